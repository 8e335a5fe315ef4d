//! Leases as the real client takes, keeps, shows and gives them back.

use std::time::Duration;

use serde_json::json;
use trimtab::clouds::{
    Trouble, Voice,
    fly::{Leases, NewMachine, Writer, wire},
};

use crate::support::Bare;

const BUDGET: Duration = Duration::from_secs(300);
/// Slower than other tests: a lease of a minute lasts two seconds, which a busy machine does not lose by chance.
const CALM: f64 = 30.0;

/// A client with leases of its own, as each run has.
fn client(bare: &Bare, description: &str) -> Writer {
    Writer::with_leases(bare.reader(), Leases::new(description))
}

async fn running(bare: &Bare, fly: &Writer) -> wire::Machine {
    let made = bare.machine(fly, json!({ "image": "web:1" })).await;
    fly.wait_for("web", &made.id, None, "started", 300, &Voice::silent())
        .await
        .unwrap();
    made
}

/// Somebody else's lease, for an hour.
async fn foreign(bare: &Bare, id: &str) {
    let url = format!("{}/v1/apps/web/machines/{id}/lease", bare.sandbox.url());
    let body = json!({ "ttl": 3_600, "description": "trimtab apply draft/staging by ci@host" });
    let token = bare.sandbox.user_token().unwrap();
    let answer = reqwest::Client::new()
        .post(url)
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test]
async fn another_s_lease_is_waited_for() {
    let bare = Bare::new(CALM).await;
    let fly = client(&bare, "ours");
    let made = running(&bare, &fly).await;
    foreign(&bare, &made.id).await;
    let refused = async || {
        while !bare
            .sandbox
            .requests()
            .iter()
            .any(|request| request.status == 409)
        {
            fly.rest(Duration::from_secs(1)).await;
        }
        bare.sandbox.advance(Duration::from_secs(3_600)).unwrap();
    };
    let (held, ()) = tokio::join!(fly.leases().acquire("web", &made.id, BUDGET), refused());
    let held = held.unwrap();
    assert_eq!((held.version, held.waited), (made.instance_id, true));
    assert!(
        bare.sandbox
            .requests()
            .iter()
            .all(|request| !request.rate_limited)
    );
}

#[tokio::test]
async fn a_lease_that_does_not_come_free_is_an_error_that_names_its_holder() {
    let bare = Bare::new(CALM).await;
    let fly = client(&bare, "ours");
    let made = running(&bare, &fly).await;
    foreign(&bare, &made.id).await;
    let error = fly
        .leases()
        .acquire("web", &made.id, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert_eq!(error.trouble, Trouble::Conflict);
    let text = error.to_string();
    let begins = format!(
        "lease machine {} of web: me@example.com (trimtab apply draft/staging by ci@host) holds it until 2",
        made.id
    );
    assert!(
        text.starts_with(&begins) && text.contains("did not let go within 5 s"),
        "{text}"
    );
}

#[tokio::test]
async fn a_lost_answer_leaves_a_lease_that_runs_out() {
    let bare = Bare::new(CALM).await;
    let fly = client(&bare, "ours");
    let made = running(&bare, &fly).await;
    // The third write after the app's and the machine's.
    bare.admin("faults", json!(["drop-after:w3"])).await;
    let held = fly.leases().acquire("web", &made.id, BUDGET).await.unwrap();
    assert_eq!((held.version, held.waited), (made.instance_id, true));
    fly.cordon("web", &made.id).await.unwrap();
}

#[tokio::test]
async fn every_write_on_a_leased_machine_shows_the_lease_and_others_are_kept_out() {
    let bare = Bare::new(CALM).await;
    let (fly, other) = (client(&bare, "ours"), Writer::new(bare.reader()));
    let made = running(&bare, &fly).await;
    fly.leases().acquire("web", &made.id, BUDGET).await.unwrap();
    assert_eq!(
        other.cordon("web", &made.id).await.unwrap_err().trouble,
        Trouble::Conflict
    );
    let before = bare.sandbox.requests().len();
    let update = NewMachine {
        region: "fra".to_owned(),
        config: json!({ "image": "web:2" }),
        ..NewMachine::default()
    };
    fly.update_machine("web", &made.id, &made.instance_id, &update)
        .await
        .unwrap();
    fly.wait_for("web", &made.id, None, "started", 300, &Voice::silent())
        .await
        .unwrap();
    fly.restart_machine("web", &made.id).await.unwrap();
    fly.cordon("web", &made.id).await.unwrap();
    fly.uncordon("web", &made.id).await.unwrap();
    fly.stop("web", &made.id).await.unwrap();
    fly.wait_for("web", &made.id, None, "stopped", 300, &Voice::silent())
        .await
        .unwrap();
    fly.start("web", &made.id).await.unwrap();
    fly.set_metadata("web", &made.id, &[("a".to_owned(), "b".to_owned())].into())
        .await
        .unwrap();
    fly.destroy_machine("web", &made.id).await.unwrap();
    assert!(fly.leases().held().is_empty());
    let requests = bare.sandbox.requests();
    let writes = || {
        requests[before..]
            .iter()
            .filter(|request| request.method != "GET")
    };
    assert!(writes().count() >= 8);
    for request in writes() {
        assert_eq!(
            request.nonce,
            !request.path.ends_with("/metadata"),
            "{request:?}"
        );
        assert!(request.status < 300, "{request:?}");
    }
}

#[tokio::test]
async fn a_machine_may_be_leased_from_its_first_moment_and_is_given_back() {
    let bare = Bare::new(CALM).await;
    let (fly, other) = (client(&bare, "ours"), client(&bare, "other"));
    let new = NewMachine {
        region: "fra".to_owned(),
        config: json!({ "image": "web:1" }),
        lease_ttl: Some(300),
        ..NewMachine::default()
    };
    let made = fly.create_machine("web", &new).await.unwrap();
    assert_eq!(fly.leases().held(), std::slice::from_ref(&made.id));
    fly.cordon("web", &made.id).await.unwrap();
    fly.leases().release_all().await;
    assert!(fly.leases().held().is_empty());
    let held = other
        .leases()
        .acquire("web", &made.id, BUDGET)
        .await
        .unwrap();
    assert!(!held.waited, "it was not given back");
}

#[tokio::test]
async fn a_lease_is_kept_alive() {
    let bare = Bare::new(CALM).await;
    let fly = client(&bare, "ours");
    let made = running(&bare, &fly).await;
    fly.leases().acquire("web", &made.id, BUDGET).await.unwrap();
    let refreshes = || {
        let all = bare.sandbox.requests().into_iter();
        all.filter(|r| r.path.ends_with("/lease") && r.status == 201)
            .map(|r| r.at_ms)
            .collect::<Vec<_>>()
    };
    // Longer than any lease lasts that nobody refreshes.
    while refreshes().last().unwrap() - refreshes()[0] < 65_000 {
        fly.rest(Duration::from_secs(1)).await;
    }
    fly.cordon("web", &made.id).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_again_only_if_nothing_happened_since() {
    let bare = Bare::new(CALM).await;
    let (fly, other) = (client(&bare, "ours"), Writer::new(bare.reader()));
    let made = running(&bare, &fly).await;
    fly.leases().acquire("web", &made.id, BUDGET).await.unwrap();
    bare.sandbox.advance(BUDGET).unwrap();
    fly.cordon("web", &made.id).await.unwrap();
    bare.sandbox.advance(BUDGET).unwrap();
    let update = NewMachine {
        region: "fra".to_owned(),
        config: json!({ "image": "web:9" }),
        ..NewMachine::default()
    };
    other
        .update_machine("web", &made.id, &made.instance_id, &update)
        .await
        .unwrap();
    let error = fly.uncordon("web", &made.id).await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Conflict);
}
