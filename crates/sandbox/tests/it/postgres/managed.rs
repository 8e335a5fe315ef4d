//! Managed Postgres.

use serde_json::{Value, json};

use crate::support::TestSandbox;

fn new_cluster() -> Value {
    json!({ "org_slug": "acme", "name": "main", "region": "fra", "plan": "Basic", "pg_major_version": "17" })
}

/// Creates a cluster and returns the path to it.
async fn create(sandbox: &TestSandbox) -> String {
    let created = sandbox
        .post("/v1/postgres", new_cluster())
        .await
        .assert_status(201);
    format!("/v1/postgres/{}", created["data"]["id"].as_str().unwrap())
}

async fn create_ready(sandbox: &TestSandbox) -> String {
    let path = create(sandbox).await;
    sandbox.advance_ms(120_000);
    path
}

#[tokio::test]
async fn cluster_is_created_and_deleted_asynchronously() {
    let sandbox = TestSandbox::scripted().await;
    let path = create(&sandbox).await;
    for (status, advance_ms) in [
        ("creating", 10_000),
        ("initializing", 110_000),
        ("ready", 1_000),
    ] {
        let cluster = sandbox.get(&path).await.assert_status(200)["data"].clone();
        assert_eq!(cluster["status"], status);
        assert_eq!(
            cluster["endpoints"].is_null(),
            status != "ready",
            "{cluster}"
        );
        assert_eq!(
            (&cluster["plan"], &cluster["memory_mb"]),
            (&json!("basic"), &json!(1024))
        );
        sandbox.advance_ms(advance_ms);
    }
    let cluster = sandbox.get(&path).await.assert_status(200)["data"].clone();
    let host = cluster["endpoints"]["primary"]["pooler"]["host"]
        .as_str()
        .unwrap();
    assert!(host.starts_with("pgbouncer."), "{host}");
    let change = sandbox
        .request("PATCH", &path)
        .json(&json!({ "plan": "launch" }));
    assert_eq!(sandbox.send(change).await.status, 404);
    sandbox.delete(&path).await.assert_status(202);
    sandbox
        .delete(&path)
        .await
        .assert_error(410, "This cluster is being deleted");
    assert_eq!(
        sandbox.get(&path).await.assert_status(200)["data"]["status"],
        "deleting"
    );
    sandbox.advance_ms(30_000);
    sandbox
        .get(&path)
        .await
        .assert_error(404, "Cluster not found");
    sandbox
        .delete(&path)
        .await
        .assert_error(410, "This cluster has been deleted");
    let count = async |query: &str| {
        let listed = sandbox
            .get(&format!("/v1/postgres?org_slug=acme{query}"))
            .await
            .assert_status(200);
        listed["data"].as_array().unwrap().len()
    };
    assert_eq!(
        (count("").await, count("&include_deleted=true").await),
        (0, 1)
    );
}

#[tokio::test]
async fn invalid_clusters_are_refused() {
    let sandbox = TestSandbox::scripted().await;
    sandbox
        .get("/v1/postgres")
        .await
        .assert_error(400, "org_slug is required");
    sandbox
        .get("/v1/postgres?org_slug=acme&include_deleted=maybe")
        .await
        .assert_error(422, "boolean");
    for (key, value) in [
        ("org_slug", Value::Null),
        ("region", json!("mars")),
        ("plan", json!("huge")),
        ("disk_size_gb", json!(501)),
        ("pg_major_version", json!("15")),
        ("pool_mode", json!("statement")),
    ] {
        let mut body = new_cluster();
        body[key] = value;
        sandbox.advance_ms(1_000);
        let response = sandbox.post("/v1/postgres", body).await;
        assert_eq!(response.status, 422, "{key}: {}", response.text);
    }
    sandbox
        .post_admin("managed-postgres", json!({ "failing_creations": 1 }))
        .await;
    let path = create(&sandbox).await;
    sandbox.advance_ms(120_000);
    assert_eq!(
        sandbox.get(&path).await.assert_status(200)["data"]["status"],
        "failed"
    );
}

#[tokio::test]
async fn service_inside_of_cluster_can_be_unavailable() {
    let sandbox = TestSandbox::scripted().await;
    let path = create(&sandbox).await;
    let users = format!("{path}/users");
    // Until the cluster is ready there is no such service.
    assert_eq!(sandbox.get(&users).await.status, 503);
    sandbox.advance_ms(120_000);
    sandbox
        .post_admin("managed-postgres", json!({ "unavailable_requests": 1 }))
        .await;
    let refused = sandbox.get(&users).await;
    refused.assert_error(503, "pg-admin is unavailable");
    assert_eq!(refused.headers["retry-after"], "2");
    sandbox.get(&users).await.assert_status(200);
}

#[tokio::test]
async fn users_have_passwords_that_can_be_read() {
    let sandbox = TestSandbox::scripted().await;
    let path = create_ready(&sandbox).await;
    let users = format!("{path}/users");
    let user = json!({ "username": "web", "role": "writer" });
    let created = sandbox.post(&users, user.clone()).await.assert_status(201);
    assert_eq!(created, json!({ "data": user }));
    sandbox
        .post(&users, user)
        .await
        .assert_error(409, "already exists");
    let malformed = json!({ "username": "Web", "role": "writer" });
    sandbox
        .post(&users, malformed)
        .await
        .assert_error(422, "malformed");
    let web = format!("{users}/web");
    let credentials = async || {
        let response = sandbox.get(&format!("{web}/credentials")).await;
        let data = response.assert_status(200)["data"].clone();
        assert_eq!(data["username"], "web");
        data["password"].as_str().unwrap().to_owned()
    };
    let before = credentials().await;
    assert_eq!(before, credentials().await);
    let rotated = sandbox
        .post(
            &format!("{web}/rotate_password"),
            json!({ "kill_sessions": true }),
        )
        .await
        .assert_status(200);
    assert_ne!(rotated["data"]["password"], before);
    assert_eq!(rotated["data"]["password"], credentials().await);
    let change = sandbox
        .request("PATCH", &web)
        .json(&json!({ "role": "reader" }));
    sandbox.send(change).await.assert_status(204);
    sandbox.advance_ms(2_000);
    let listed = sandbox.get(&users).await.assert_status(200);
    let reader = json!({ "username": "web", "role": "reader" });
    assert!(
        listed["data"].as_array().unwrap().contains(&reader),
        "{listed}"
    );
    sandbox.delete(&web).await.assert_status(204);
    sandbox
        .delete(&web)
        .await
        .assert_error(404, "User not found");
}

#[tokio::test]
async fn databases_and_extensions() {
    let sandbox = TestSandbox::scripted().await;
    let path = create_ready(&sandbox).await;
    let databases = format!("{path}/databases");
    let created = sandbox.post(&databases, json!({ "name": "shop" })).await;
    assert_eq!(
        created.assert_status(201),
        json!({ "data": { "name": "shop" } })
    );
    sandbox
        .post(&databases, json!({ "name": "postgres" }))
        .await
        .assert_error(400, "reserved");
    sandbox
        .post(&databases, json!({}))
        .await
        .assert_error(422, "name is required");
    let extensions = format!("{databases}/shop/extensions");
    for (name, status) in [
        ("pg_trgm", 204),
        ("pg_trgm", 409),
        ("postgis", 409),
        ("none", 422),
    ] {
        sandbox.advance_ms(1_000);
        let response = sandbox.post(&extensions, json!({ "name": name })).await;
        assert_eq!(response.status, status, "{name}: {}", response.text);
    }
    let listed = sandbox.get(&extensions).await.assert_status(200);
    let installed: Vec<&Value> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|extension| !extension["installed"].is_null())
        .map(|extension| &extension["name"])
        .collect();
    assert_eq!(installed, ["plpgsql", "pg_trgm"]);
    sandbox
        .delete(&format!("{extensions}/pg_trgm?force=true"))
        .await
        .assert_status(204);
    sandbox
        .delete(&format!("{databases}/shop"))
        .await
        .assert_status(200);
    sandbox
        .delete(&format!("{databases}/shop"))
        .await
        .assert_error(404, "Database not found");
}

#[tokio::test]
async fn attachments_only_record_a_relation() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let path = create_ready(&sandbox).await;
    let attachments = format!("{path}/attachments");
    let body = json!({ "app_name": "web" });
    sandbox
        .post(&attachments, body.clone())
        .await
        .assert_status(201);
    let again = sandbox.post(&attachments, body).await.assert_status(200);
    assert_eq!(again["data"]["app_name"], "web");
    let missing = json!({ "app_name": "none" });
    sandbox
        .post(&attachments, missing)
        .await
        .assert_error(404, "App not found");
    let cluster = sandbox.get(&path).await.assert_status(200);
    assert_eq!(cluster["data"]["attached_apps"], json!([{ "name": "web" }]));
    let secrets = sandbox.get("/v1/apps/web/secrets").await.assert_status(200);
    assert_eq!(secrets["secrets"], json!([]));
    sandbox
        .delete(&format!("{attachments}/web"))
        .await
        .assert_status(204);
    sandbox
        .delete(&format!("{attachments}/web"))
        .await
        .assert_error(404, "Attachment not found");
}

#[tokio::test]
async fn one_backup_runs_at_a_time() {
    let sandbox = TestSandbox::scripted().await;
    let path = create_ready(&sandbox).await;
    let backups = format!("{path}/backups");
    sandbox
        .post(&backups, json!({ "type": "full" }))
        .await
        .assert_status(202);
    sandbox
        .post(&backups, json!({ "type": "incr" }))
        .await
        .assert_error(409, "currently running");
    sandbox.advance_ms(30_000);
    let listed = sandbox.get(&backups).await.assert_status(200);
    assert_eq!(listed["data"][0]["status"], "completed");
    let restore = format!("{path}/restore");
    let both = json!({ "backup_id": listed["data"][0]["id"], "pitr_time": "2026-01-01T00:01:00Z" });
    sandbox
        .post(&restore, both)
        .await
        .assert_error(422, "mutually exclusive");
    let one = json!({ "backup_id": listed["data"][0]["id"], "name": "copy" });
    let copy = sandbox.post(&restore, one).await.assert_status(201);
    assert_eq!(
        (&copy["data"]["name"], &copy["data"]["status"]),
        (&json!("copy"), &json!("creating"))
    );
    let fork = sandbox
        .post(&format!("{path}/fork"), json!({ "name": "fork" }))
        .await;
    assert_eq!(fork.assert_status(201)["data"]["name"], "fork");
}
