//! Faults: what the client sees, and whether the request was done.

use serde_json::json;
use trimtab_sandbox::ClockMode;

use crate::kit::{Box, nginx};

async fn faulty(fault: &str) -> Box {
    Box::with(|options| {
        options.clock = ClockMode::Scripted;
        options.faults = vec![fault.parse().unwrap()];
    })
    .await
}

async fn create(sandbox: &Box) -> Result<(u16, Result<String, reqwest::Error>), reqwest::Error> {
    let body = json!({ "name": "web", "org_slug": "acme" });
    let answer = sandbox
        .request("POST", "/v1/apps")
        .json(&body)
        .send()
        .await?;
    Ok((answer.status().as_u16(), answer.text().await))
}

#[tokio::test]
async fn a_request_can_be_lost_before_and_after_its_effect() {
    let sandbox = faulty("drop-before:1").await;
    create(&sandbox).await.unwrap_err();
    sandbox
        .get("/v1/apps/web")
        .await
        .refused(404, "app not found");
    let sandbox = faulty("drop-after:w1").await;
    sandbox
        .get("/v1/apps/web")
        .await
        .refused(404, "app not found");
    create(&sandbox).await.unwrap_err();
    sandbox.get("/v1/apps/web").await.is(200);
    assert_eq!(sandbox.running.requests()[1].status, 0);
}

#[tokio::test]
async fn an_error_may_or_may_not_have_had_an_effect() {
    let sandbox = faulty("status:1:503").await;
    assert_eq!(create(&sandbox).await.unwrap().0, 503);
    sandbox
        .get("/v1/apps/web")
        .await
        .refused(404, "app not found");
    let sandbox = faulty("status-after:1:408").await;
    assert_eq!(create(&sandbox).await.unwrap().0, 408);
    sandbox.get("/v1/apps/web").await.is(200);
}

#[tokio::test]
async fn an_answer_can_be_cut_short() {
    let sandbox = faulty("truncate:1").await;
    let (status, text) = create(&sandbox).await.unwrap();
    assert_eq!(status, 201);
    text.unwrap_err();
    sandbox.get("/v1/apps/web").await.is(200);
}

#[tokio::test]
async fn a_burst_of_429_ends() {
    let sandbox = faulty("429:1:2").await;
    assert_eq!(create(&sandbox).await.unwrap().0, 429);
    assert_eq!(create(&sandbox).await.unwrap().0, 429);
    assert_eq!(create(&sandbox).await.unwrap().0, 201);
}

#[tokio::test]
async fn lists_can_lag_behind_and_single_reads_do_not() {
    let sandbox = faulty("stale-list:5000").await;
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    assert_eq!(
        sandbox.get("/v1/apps/web/machines").await.is(200),
        json!([])
    );
    sandbox.get(&path).await.is(200);
    sandbox.pass(5_000);
    assert_eq!(
        sandbox
            .get("/v1/apps/web/machines")
            .await
            .is(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn faults_come_and_go_by_administration() {
    let sandbox = Box::scripted().await;
    sandbox.admin("faults", json!(["status:1:500"])).await;
    assert_eq!(create(&sandbox).await.unwrap().0, 500);
    sandbox
        .post("/_sandbox/faults", json!(["nonsense"]))
        .await
        .refused(400, "unknown fault");
    sandbox.delete("/_sandbox/faults").await.is(200);
    assert_eq!(create(&sandbox).await.unwrap().0, 201);
}

#[tokio::test]
async fn an_unreachable_host_shows_half_a_machine_and_a_silent_region_says_so() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (machine, path) = sandbox.machine(nginx()).await;
    sandbox
        .admin(
            "hosts",
            json!({ "machine": machine["id"], "status": "unreachable" }),
        )
        .await;
    let read = sandbox.get(&path).await.is(200);
    assert_eq!(read["host_status"], "unreachable");
    assert_eq!(read.get("config"), None);
    assert_eq!(read["incomplete_config"]["image"], "nginx:1");
    sandbox
        .post(&format!("{path}/stop"), json!({}))
        .await
        .refused(503, "unreachable");
    sandbox
        .admin("hosts", json!({ "region": "fra", "error": true }))
        .await;
    let list = sandbox.get("/v1/orgs/acme/machines").await.is(200);
    assert_eq!(list["error_regions"], json!(["fra"]));
    assert_eq!(list["machines"], json!([]));
    sandbox
        .admin("hosts", json!({ "region": "fra", "full": true }))
        .await;
    sandbox
        .post("/v1/apps/web/machines", nginx())
        .await
        .refused(409, "could not reserve resource for machine");
    sandbox
        .post(
            "/v1/apps/web/volumes",
            json!({ "name": "d", "region": "fra" }),
        )
        .await
        .refused(400, "no capacity");
}

#[tokio::test]
async fn a_flaky_service_keeps_a_sound_state() {
    let sandbox = Box::with(|options| {
        options.clock = ClockMode::Stepped;
        options.faults = vec!["flaky:0.4".parse().unwrap()];
        options.seed = 7;
    })
    .await;
    let create = async |at: usize| {
        let body = json!({ "name": format!("app-{at}"), "org_slug": "acme" });
        for _ in 0..40 {
            let request = sandbox.request("POST", "/v1/apps").json(&body);
            let Ok(answer) = request.send().await else {
                continue;
            };
            // Taken means that an earlier attempt took effect without saying so.
            if matches!(answer.status().as_u16(), 201 | 422) {
                return;
            }
        }
        panic!("app-{at} could not be made");
    };
    futures_util::future::join_all((0..40).map(create)).await;
    sandbox.delete("/_sandbox/faults").await.is(200);
    let list = sandbox.get("/v1/apps?org_slug=acme").await.is(200);
    assert_eq!(list["total_apps"], 40);
    let statuses: Vec<u16> = sandbox
        .running
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    for kind in [0, 408, 429, 500] {
        assert!(statuses.contains(&kind), "{kind} is not among {statuses:?}");
    }
    let sandbox = sandbox
        .again(|options| options.clock = ClockMode::Stepped)
        .await;
    assert_eq!(sandbox.get("/v1/apps?org_slug=acme").await.is(200), list);
}

#[tokio::test]
async fn a_request_can_be_delivered_twice() {
    let sandbox = faulty("twice:w1").await;
    let (status, text) = create(&sandbox).await.unwrap();
    assert_eq!(
        status, 422,
        "the second finds the first one's app: {text:?}"
    );
    let sandbox = faulty("twice:w2").await;
    sandbox.app().await;
    let volume = json!({ "name": "data", "region": "fra", "size_gb": 1 });
    sandbox
        .request("POST", "/v1/apps/web/volumes")
        .json(&volume)
        .send()
        .await
        .unwrap();
    let volumes = sandbox.get("/v1/apps/web/volumes").await.is(200);
    assert_eq!(volumes.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_can_expire_in_the_middle() {
    let sandbox = faulty("expired:2").await;
    sandbox.app().await;
    for _ in 0..2 {
        sandbox
            .get("/v1/apps/web")
            .await
            .refused(401, "token validation error");
    }
    sandbox.running.set_faults(Vec::new());
    sandbox.get("/v1/apps/web").await.is(200);
}

#[tokio::test]
async fn a_request_can_be_held_back_before_and_after_its_effect() {
    for (fault, there) in [("hold-before:w1", 404), ("hold-after:w1", 200)] {
        let sandbox = faulty(fault).await;
        let held = async {
            sandbox.running.held().await;
            let meanwhile = sandbox.request("GET", "/v1/apps/web").send().await.unwrap();
            assert_eq!(meanwhile.status().as_u16(), there, "{fault}");
            sandbox.running.release();
        };
        let (made, ()) = tokio::join!(create(&sandbox), held);
        assert_eq!(made.unwrap().0, 201, "{fault}");
    }
}
