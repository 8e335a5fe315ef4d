//! Machine leases: acquiring, refreshing, using and releasing them with the real client.

use std::time::Duration;

use serde_json::json;
use trimtab::clouds::{
    ErrorKind, ProgressSink,
    fly::{FlyWriter, Leases, MachineRequest, wire},
};

use crate::support::BareSandbox;

const LEASE_TIMEOUT: Duration = Duration::from_secs(300);
/// Slower than in other tests: a lease of a minute lasts two seconds, which even a busy machine can
/// refresh in time.
const SLOW_SPEED: f64 = 30.0;

/// A client with its own leases, as each run has.
fn client_with_leases(bare: &BareSandbox, description: &str) -> FlyWriter {
    FlyWriter::with_leases(bare.reader(), Leases::new(description))
}

async fn create_running_machine(bare: &BareSandbox, fly: &FlyWriter) -> wire::MachineResponse {
    let machine = bare.create_machine(fly, json!({ "image": "web:1" })).await;
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "started",
        300,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
    machine
}

/// Somebody else's lease, for an hour.
async fn take_foreign_lease(bare: &BareSandbox, id: &str) {
    let url = format!("{}/v1/apps/web/machines/{id}/lease", bare.sandbox.url());
    let body = json!({ "ttl": 3_600, "description": "trimtab apply draft/staging by ci@host" });
    let token = bare.sandbox.user_token().unwrap();
    let response = reqwest::Client::new()
        .post(url)
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test]
async fn foreign_lease_is_waited_for() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let fly = client_with_leases(&bare, "ours");
    let machine = create_running_machine(&bare, &fly).await;
    take_foreign_lease(&bare, &machine.id).await;
    let refused = async || {
        while !bare
            .sandbox
            .requests()
            .iter()
            .any(|request| request.status == 409)
        {
            fly.sleep_scaled(Duration::from_secs(1)).await;
        }
        bare.sandbox
            .advance_clock(Duration::from_secs(3_600))
            .unwrap();
    };
    let (held, ()) = tokio::join!(
        fly.leases().acquire("web", &machine.id, LEASE_TIMEOUT),
        refused()
    );
    let held = held.unwrap();
    assert_eq!(
        (held.version, held.had_to_wait),
        (machine.instance_id, true)
    );
    assert!(
        bare.sandbox
            .requests()
            .iter()
            .all(|request| !request.rate_limited)
    );
}

#[tokio::test]
async fn lease_timeout_names_holder() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let fly = client_with_leases(&bare, "ours");
    let machine = create_running_machine(&bare, &fly).await;
    take_foreign_lease(&bare, &machine.id).await;
    let error = fly
        .leases()
        .acquire("web", &machine.id, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    let text = error.to_string();
    let begins = format!(
        "lease machine {} of web: me@example.com (trimtab apply draft/staging by ci@host) holds it until 2",
        machine.id
    );
    assert!(
        text.starts_with(&begins) && text.contains("did not let go within 5 s"),
        "{text}"
    );
}

#[tokio::test]
async fn lease_from_lost_response_expires() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let fly = client_with_leases(&bare, "ours");
    let machine = create_running_machine(&bare, &fly).await;
    // The third write, after those that created the app and the machine.
    bare.post_admin("faults", json!(["drop-after:w3"])).await;
    let held = fly
        .leases()
        .acquire("web", &machine.id, LEASE_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        (held.version, held.had_to_wait),
        (machine.instance_id, true)
    );
    fly.cordon_machine("web", &machine.id).await.unwrap();
}

#[tokio::test]
async fn writes_send_nonce_and_others_are_rejected() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let (fly, other) = (
        client_with_leases(&bare, "ours"),
        FlyWriter::new(bare.reader()),
    );
    let machine = create_running_machine(&bare, &fly).await;
    fly.leases()
        .acquire("web", &machine.id, LEASE_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        other
            .cordon_machine("web", &machine.id)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Conflict
    );
    let before = bare.sandbox.requests().len();
    let update = MachineRequest {
        region: "fra".to_owned(),
        config: json!({ "image": "web:2" }),
        ..MachineRequest::default()
    };
    fly.update_machine("web", &machine.id, &machine.instance_id, &update)
        .await
        .unwrap();
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "started",
        300,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
    fly.restart_machine("web", &machine.id).await.unwrap();
    fly.cordon_machine("web", &machine.id).await.unwrap();
    fly.uncordon_machine("web", &machine.id).await.unwrap();
    fly.stop_machine("web", &machine.id).await.unwrap();
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "stopped",
        300,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
    fly.start_machine("web", &machine.id).await.unwrap();
    fly.set_metadata(
        "web",
        &machine.id,
        &[("a".to_owned(), "b".to_owned())].into(),
    )
    .await
    .unwrap();
    fly.destroy_machine("web", &machine.id).await.unwrap();
    assert!(fly.leases().leased_machines().is_empty());
    let requests = bare.sandbox.requests();
    let writes = || {
        requests[before..]
            .iter()
            .filter(|request| request.method != "GET")
    };
    assert!(writes().count() >= 8);
    for request in writes() {
        assert_eq!(
            request.has_lease_nonce,
            !request.path.ends_with("/metadata"),
            "{request:?}"
        );
        assert!(request.status < 300, "{request:?}");
    }
}

#[tokio::test]
async fn machine_can_be_created_with_lease() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let (fly, other) = (
        client_with_leases(&bare, "ours"),
        client_with_leases(&bare, "other"),
    );
    let new = MachineRequest {
        region: "fra".to_owned(),
        config: json!({ "image": "web:1" }),
        lease_ttl: Some(300),
        ..MachineRequest::default()
    };
    let machine = fly.create_machine("web", &new).await.unwrap();
    assert_eq!(
        fly.leases().leased_machines(),
        std::slice::from_ref(&machine.id)
    );
    fly.cordon_machine("web", &machine.id).await.unwrap();
    fly.leases().release_all().await;
    assert!(fly.leases().leased_machines().is_empty());
    let held = other
        .leases()
        .acquire("web", &machine.id, LEASE_TIMEOUT)
        .await
        .unwrap();
    assert!(!held.had_to_wait, "it was not given back");
}

#[tokio::test]
async fn lease_is_refreshed() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let fly = client_with_leases(&bare, "ours");
    let machine = create_running_machine(&bare, &fly).await;
    fly.leases()
        .acquire("web", &machine.id, LEASE_TIMEOUT)
        .await
        .unwrap();
    let refreshes = || {
        let all = bare.sandbox.requests().into_iter();
        all.filter(|r| r.path.ends_with("/lease") && r.status == 201)
            .map(|r| r.at_ms)
            .collect::<Vec<_>>()
    };
    // Longer than a lease lasts without a refresh.
    while refreshes().last().unwrap() - refreshes()[0] < 65_000 {
        fly.sleep_scaled(Duration::from_secs(1)).await;
    }
    fly.cordon_machine("web", &machine.id).await.unwrap();
}

#[tokio::test]
async fn expired_lease_is_reacquired_only_if_unchanged() {
    let bare = BareSandbox::new(SLOW_SPEED).await;
    let (fly, other) = (
        client_with_leases(&bare, "ours"),
        FlyWriter::new(bare.reader()),
    );
    let machine = create_running_machine(&bare, &fly).await;
    fly.leases()
        .acquire("web", &machine.id, LEASE_TIMEOUT)
        .await
        .unwrap();
    bare.sandbox.advance_clock(LEASE_TIMEOUT).unwrap();
    fly.cordon_machine("web", &machine.id).await.unwrap();
    bare.sandbox.advance_clock(LEASE_TIMEOUT).unwrap();
    let update = MachineRequest {
        region: "fra".to_owned(),
        config: json!({ "image": "web:9" }),
        ..MachineRequest::default()
    };
    other
        .update_machine("web", &machine.id, &machine.instance_id, &update)
        .await
        .unwrap();
    let error = fly.uncordon_machine("web", &machine.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
}
