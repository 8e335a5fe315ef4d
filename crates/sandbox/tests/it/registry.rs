//! The registry API `/v2`: manifests of every registry, the token that Fly's own requires, and
//! machines that keep the digest of their creation.

use serde_json::{Value, json};

use crate::support::TestSandbox;

fn sandbox_url(sandbox: &TestSandbox, path: &str) -> String {
    format!("{}{path}", sandbox.running.url())
}

async fn get_manifest(
    sandbox: &TestSandbox,
    path: &str,
    password: Option<&str>,
) -> (u16, String, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(sandbox_url(sandbox, path));
    if let Some(password) = password {
        request = request.basic_auth("x", Some(password));
    }
    let response = request.send().await.unwrap();
    let digest = response.headers().get("docker-content-digest");
    let digest = digest
        .map(|digest| digest.to_str().unwrap().to_owned())
        .unwrap_or_default();
    (
        response.status().as_u16(),
        digest,
        response.json().await.unwrap(),
    )
}

async fn create_machine(sandbox: &TestSandbox, image: &str) -> Value {
    let body = json!({ "region": "fra", "config": { "image": image } });
    sandbox
        .post("/v1/apps/web/machines", body)
        .await
        .assert_status(200)
}

#[tokio::test]
async fn manifest_digest_matches_machine() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    for (image, path) in [
        ("nginx", "/v2/library/nginx/manifests/latest?ns=docker.io"),
        (
            "ghcr.io/acme/team/web:v1",
            "/v2/acme/team/web/manifests/v1?ns=ghcr.io",
        ),
    ] {
        let created = create_machine(&sandbox, image).await;
        let (status, digest, _) = get_manifest(&sandbox, path, None).await;
        assert_eq!(
            (status, digest.as_str()),
            (200, created["image_ref"]["digest"].as_str().unwrap()),
            "{image}"
        );
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let head = client
        .head(sandbox_url(
            &sandbox,
            "/v2/library/nginx/manifests/latest?ns=docker.io",
        ))
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.headers()["content-type"],
        "application/vnd.oci.image.index.v1+json"
    );
    assert!(head.headers().contains_key("docker-content-digest"));
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn fly_registry_requires_app_token() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let path = "/v2/web/manifests/v1";
    let other = sandbox.running.org_token("other").unwrap();
    for (password, status, code) in [
        (None, 401, "UNAUTHORIZED"),
        (Some("fo1_unknown"), 401, "UNAUTHORIZED"),
        (Some(other.as_str()), 403, "DENIED"),
    ] {
        let (got, _, body) = get_manifest(&sandbox, path, password).await;
        assert_eq!((got, &body["errors"][0]["code"]), (status, &json!(code)));
    }
    assert_eq!(
        get_manifest(&sandbox, path, Some(&sandbox.token)).await.0,
        200
    );
    assert_eq!(get_manifest(&sandbox, "/v2/", None).await.0, 401);
    assert_eq!(
        get_manifest(&sandbox, "/v2/", Some(&sandbox.token)).await.0,
        200
    );
    assert_eq!(
        get_manifest(&sandbox, "/v2/web/tags/list", Some(&sandbox.token))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn missing_image_is_rejected_everywhere() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let body = json!({ "reference": "registry.fly.io/web:v1", "missing": true });
    sandbox
        .post("/_sandbox/images", body.clone())
        .await
        .assert_status(200);
    let (status, _, body) =
        get_manifest(&sandbox, "/v2/web/manifests/v1", Some(&sandbox.token)).await;
    assert_eq!(
        (status, &body["errors"][0]["code"]),
        (404, &json!("MANIFEST_UNKNOWN"))
    );
    let config = json!({ "region": "fra", "config": { "image": "registry.fly.io/web:v1" } });
    sandbox
        .post("/v1/apps/web/machines", config.clone())
        .await
        .assert_error(400, "MANIFEST_UNKNOWN");
    let created = create_machine(&sandbox, "registry.fly.io/web:v2").await;
    let path = format!("/v1/apps/web/machines/{}", created["id"].as_str().unwrap());
    sandbox
        .post(&path, config)
        .await
        .assert_error(400, "MANIFEST_UNKNOWN");
    let stored = sandbox.get("/_sandbox/images").await.assert_status(200);
    assert_eq!(stored, json!({ "registry.fly.io/web:v1": "missing" }));
    sandbox
        .post(
            "/_sandbox/images",
            json!({ "reference": "registry.fly.io/web:v1" }),
        )
        .await
        .assert_status(200);
    assert_eq!(
        get_manifest(&sandbox, "/v2/web/manifests/v1", Some(&sandbox.token))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn machine_keeps_digest_when_tag_moves() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let before = create_machine(&sandbox, "nginx:1").await;
    let moved = format!("sha256:{}", "be".repeat(32));
    sandbox
        .post(
            "/_sandbox/images",
            json!([{ "reference": "docker.io/nginx:1", "digest": moved }]),
        )
        .await
        .assert_status(200);
    assert_eq!(
        get_manifest(&sandbox, "/v2/library/nginx/manifests/1?ns=docker.io", None)
            .await
            .1,
        moved
    );
    let path = format!("/v1/apps/web/machines/{}", before["id"].as_str().unwrap());
    assert_eq!(
        sandbox.get(&path).await.assert_status(200)["image_ref"],
        before["image_ref"]
    );
    assert_eq!(
        create_machine(&sandbox, "nginx:1").await["image_ref"]["digest"],
        moved.as_str()
    );
    for wrong in [
        json!({ "reference": "a", "missing": true, "digest": moved }),
        json!({ "reference": "a", "digest": "sha256:x" }),
        json!({ "missing": true }),
    ] {
        sandbox
            .post("/_sandbox/images", wrong)
            .await
            .assert_error(400, "");
    }
}
