//! Faults: what the client sees, and whether the request took effect.

use serde_json::json;
use trimtab_sandbox::ClockMode;

use crate::support::{TestSandbox, nginx_machine};

async fn sandbox_with_fault(fault: &str) -> TestSandbox {
    TestSandbox::with_options(|options| {
        options.clock = ClockMode::Manual;
        options.faults = vec![fault.parse().unwrap()];
    })
    .await
}

async fn create_app(
    sandbox: &TestSandbox,
) -> Result<(u16, Result<String, reqwest::Error>), reqwest::Error> {
    let body = json!({ "name": "web", "org_slug": "acme" });
    let response = sandbox
        .request("POST", "/v1/apps")
        .json(&body)
        .send()
        .await?;
    Ok((response.status().as_u16(), response.text().await))
}

#[tokio::test]
async fn drop_faults() {
    let sandbox = sandbox_with_fault("drop-before:1").await;
    create_app(&sandbox).await.unwrap_err();
    sandbox
        .get("/v1/apps/web")
        .await
        .assert_error(404, "app not found");
    let sandbox = sandbox_with_fault("drop-after:w1").await;
    sandbox
        .get("/v1/apps/web")
        .await
        .assert_error(404, "app not found");
    create_app(&sandbox).await.unwrap_err();
    sandbox.get("/v1/apps/web").await.assert_status(200);
    assert_eq!(sandbox.running.requests()[1].status, 0);
}

#[tokio::test]
async fn status_faults() {
    let sandbox = sandbox_with_fault("status:1:503").await;
    assert_eq!(create_app(&sandbox).await.unwrap().0, 503);
    sandbox
        .get("/v1/apps/web")
        .await
        .assert_error(404, "app not found");
    let sandbox = sandbox_with_fault("status-after:1:408").await;
    assert_eq!(create_app(&sandbox).await.unwrap().0, 408);
    sandbox.get("/v1/apps/web").await.assert_status(200);
}

#[tokio::test]
async fn truncate_fault() {
    let sandbox = sandbox_with_fault("truncate:1").await;
    let (status, text) = create_app(&sandbox).await.unwrap();
    assert_eq!(status, 201);
    text.unwrap_err();
    sandbox.get("/v1/apps/web").await.assert_status(200);
}

#[tokio::test]
async fn rate_limit_burst_fault() {
    let sandbox = sandbox_with_fault("429:1:2").await;
    assert_eq!(create_app(&sandbox).await.unwrap().0, 429);
    assert_eq!(create_app(&sandbox).await.unwrap().0, 429);
    assert_eq!(create_app(&sandbox).await.unwrap().0, 201);
}

#[tokio::test]
async fn stale_list_fault() {
    let sandbox = sandbox_with_fault("stale-list:5000").await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    assert_eq!(
        sandbox
            .get("/v1/apps/web/machines")
            .await
            .assert_status(200),
        json!([])
    );
    sandbox.get(&path).await.assert_status(200);
    sandbox.advance_ms(5_000);
    assert_eq!(
        sandbox
            .get("/v1/apps/web/machines")
            .await
            .assert_status(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn admin_sets_and_clears_faults() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.post_admin("faults", json!(["status:1:500"])).await;
    assert_eq!(create_app(&sandbox).await.unwrap().0, 500);
    sandbox
        .post("/_sandbox/faults", json!(["nonsense"]))
        .await
        .assert_error(400, "unknown fault");
    sandbox.delete("/_sandbox/faults").await.assert_status(200);
    assert_eq!(create_app(&sandbox).await.unwrap().0, 201);
}

#[tokio::test]
async fn host_and_region_outages() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox
        .post_admin(
            "hosts",
            json!({ "machine": machine["id"], "status": "unreachable" }),
        )
        .await;
    let read = sandbox.get(&path).await.assert_status(200);
    assert_eq!(read["host_status"], "unreachable");
    assert_eq!(read.get("config"), None);
    assert_eq!(read["incomplete_config"]["image"], "nginx:1");
    sandbox
        .post(&format!("{path}/stop"), json!({}))
        .await
        .assert_error(503, "unreachable");
    sandbox
        .post_admin("hosts", json!({ "region": "fra", "error": true }))
        .await;
    let list = sandbox
        .get("/v1/orgs/acme/machines")
        .await
        .assert_status(200);
    assert_eq!(list["error_regions"], json!(["fra"]));
    assert_eq!(list["machines"], json!([]));
    sandbox
        .post_admin("hosts", json!({ "region": "fra", "full": true }))
        .await;
    sandbox
        .post("/v1/apps/web/machines", nginx_machine())
        .await
        .assert_error(409, "could not reserve resource for machine");
    sandbox
        .post(
            "/v1/apps/web/volumes",
            json!({ "name": "d", "region": "fra" }),
        )
        .await
        .assert_error(400, "no capacity");
}

#[tokio::test]
async fn flaky_fault_keeps_state_consistent() {
    let sandbox = TestSandbox::with_options(|options| {
        options.clock = ClockMode::Stepped;
        options.faults = vec!["flaky:0.4".parse().unwrap()];
        options.seed = 7;
    })
    .await;
    let create = async |at: usize| {
        let body = json!({ "name": format!("app-{at}"), "org_slug": "acme" });
        for _ in 0..40 {
            let request = sandbox.request("POST", "/v1/apps").json(&body);
            let Ok(response) = request.send().await else {
                continue;
            };
            // 422 (name taken) means that an earlier attempt took effect although its response was
            // lost.
            if matches!(response.status().as_u16(), 201 | 422) {
                return;
            }
        }
        panic!("app-{at} could not be made");
    };
    futures_util::future::join_all((0..40).map(create)).await;
    sandbox.delete("/_sandbox/faults").await.assert_status(200);
    let list = sandbox
        .get("/v1/apps?org_slug=acme")
        .await
        .assert_status(200);
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
        .restart(|options| options.clock = ClockMode::Stepped)
        .await;
    assert_eq!(
        sandbox
            .get("/v1/apps?org_slug=acme")
            .await
            .assert_status(200),
        list
    );
}

#[tokio::test]
async fn twice_fault() {
    let sandbox = sandbox_with_fault("twice:w1").await;
    let (status, text) = create_app(&sandbox).await.unwrap();
    assert_eq!(
        status, 422,
        "the second finds the first one's app: {text:?}"
    );
    let sandbox = sandbox_with_fault("twice:w2").await;
    sandbox.create_app().await;
    let volume = json!({ "name": "data", "region": "fra", "size_gb": 1 });
    sandbox
        .request("POST", "/v1/apps/web/volumes")
        .json(&volume)
        .send()
        .await
        .unwrap();
    let volumes = sandbox.get("/v1/apps/web/volumes").await.assert_status(200);
    assert_eq!(volumes.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn expired_fault() {
    let sandbox = sandbox_with_fault("expired:2").await;
    sandbox.create_app().await;
    for _ in 0..2 {
        sandbox
            .get("/v1/apps/web")
            .await
            .assert_error(401, "token validation error");
    }
    sandbox.running.set_faults(Vec::new());
    sandbox.get("/v1/apps/web").await.assert_status(200);
}

#[tokio::test]
async fn hold_faults() {
    for (fault, there) in [("hold-before:w1", 404), ("hold-after:w1", 200)] {
        let sandbox = sandbox_with_fault(fault).await;
        let held = async {
            sandbox.running.wait_until_held().await;
            let meanwhile = sandbox.request("GET", "/v1/apps/web").send().await.unwrap();
            assert_eq!(meanwhile.status().as_u16(), there, "{fault}");
            sandbox.running.release_held_request();
        };
        let (created, ()) = tokio::join!(create_app(&sandbox), held);
        assert_eq!(created.unwrap().0, 201, "{fault}");
    }
}
