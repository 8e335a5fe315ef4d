//! Images by digest: a tag is resolved before the plan, the digest is what is applied and compared,
//! and a missing image stops the run before any write.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use trimtab::{
    clouds::{ClientConfig, CloudError, ErrorKind, RegistryClient},
    kinds::Cause,
    model::{Image, Secret},
    plan::Change,
};

use crate::{
    reconcile::MANIFEST,
    support::{TestEnv, plan_summary},
};

const IMAGE: &str = "registry.fly.io/harbor-web:v1";
const TOKEN: &str = "fo1_canary";

fn digest(digits: &str) -> String {
    format!("sha256:{}", digits.repeat(32))
}

async fn set_registry_image(env: &TestEnv, image: serde_json::Value) {
    env.send_manual_request("POST", "/_sandbox/images", image)
        .await;
}

async fn configured_image(env: &TestEnv, machine: &str) -> String {
    env.world().await.fly_machine[machine]
        .workload
        .config
        .image
        .clone()
        .unwrap()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_is_resolved_once_and_applied_by_digest() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let world = env.world().await;
    for machine in world.fly_machine.values().map(|machine| &machine.workload) {
        let image = machine.config.image.clone().unwrap();
        assert_eq!(
            image.as_str(),
            format!("{IMAGE}@{}", machine.digest.clone().unwrap())
        );
    }
    let before = env.sandbox.requests().len();
    env.images().await;
    let requests = env.sandbox.requests().split_off(before);
    let requests: Vec<_> = requests
        .iter()
        .map(|request| (request.method.as_str(), request.path.as_str()))
        .collect();
    assert_eq!(
        requests,
        [("HEAD", "/v2/harbor-web/manifests/v1")],
        "three machines and a cron machine share it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_tag_is_reported() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let (before, after) = (
        configured_image(&env, "web/app/ewr/0").await,
        format!("{IMAGE}@{}", digest("be")),
    );
    set_registry_image(&env, json!({"reference": IMAGE, "digest": digest("be")})).await;
    let plan = env.plan().await;
    assert_eq!(
        plan_summary(&plan),
        [
            "restart fly.machine/web/app/ewr/0 image",
            "restart fly.machine/web/app/ewr/1 image",
            "restart fly.machine/web/app/iad/0 image",
            "update fly.cron/web/nightly image",
        ]
    );
    let changes = plan.changes();
    let moved = |change: &&Change| {
        change.lines[0].note.as_deref() == Some("tag moved") && change.cause == Cause::Moved
    };
    assert!(changes.iter().all(|change| moved(&change)), "{changes:#?}");
    assert_eq!(
        serde_json::to_value(&changes[0].lines[0].from).unwrap()["value"],
        before
    );
    assert_eq!(
        serde_json::to_value(&changes[0].lines[0].to).unwrap()["value"],
        after
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(configured_image(&env, "web/app/ewr/0").await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_with_same_digest_is_no_change() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let there = env.world().await.fly_machine["web/app/ewr/0"]
        .workload
        .digest
        .clone()
        .unwrap();
    set_registry_image(
        &env,
        json!({"reference": "registry.fly.io/harbor-web:v2", "digest": there}),
    )
    .await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_with_tag_is_compared_by_digest() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let id = env.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    env.change_machine("harbor-web", &id, |config| config["image"] = IMAGE.into())
        .await;
    assert_eq!(configured_image(&env, "web/app/iad/0").await, IMAGE);
    assert_eq!(env.summary().await, Vec::<String>::new());
    set_registry_image(&env, json!({"reference": IMAGE, "digest": digest("be")})).await;
    assert!(
        env.summary()
            .await
            .contains(&"restart fly.machine/web/app/iad/0 image".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_image_stops_run_before_writes() {
    let env = TestEnv::new(MANIFEST).await;
    set_registry_image(&env, json!({"reference": IMAGE, "missing": true})).await;
    let error = env.try_apply(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let writes = |method: &str| !matches!(method, "GET" | "HEAD");
    assert!(
        env.sandbox
            .requests()
            .iter()
            .all(|request| !writes(&request.method))
    );
    let images = env.images().await;
    let missing: Vec<_> = images.fatal_failures().collect();
    assert_eq!((missing.len(), missing[0].used_by.len()), (1, 4));
    assert_eq!(missing[0].reason(), format!("there is no image `{IMAGE}`"));
    // Commands that only read report it as a warning.
    assert_eq!(images.warnings(true).count(), 1);
    assert_eq!(images.warnings(false).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_is_used_unchanged() {
    let mut env = TestEnv::new(MANIFEST).await;
    let image = format!("registry.fly.io/harbor-web@{}", digest("ab"));
    env.inputs.images.insert("web".to_owned(), image.clone());
    env.apply().await;
    assert_eq!(configured_image(&env, "web/app/ewr/0").await, image);
    assert_eq!(env.summary().await, Vec::<String>::new());
    set_registry_image(&env, json!({"reference": image, "missing": true})).await;
    assert_eq!(
        env.images().await.fatal_failures().count(),
        1,
        "that it exists is still made sure of"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn app_without_image_keeps_running_digest() {
    let plain = MANIFEST.replace("image = \"registry.fly.io/harbor-web:v1\"\n", "");
    let mut env = TestEnv::new(&plain).await;
    env.inputs.images.insert("web".to_owned(), IMAGE.to_owned());
    env.apply().await;
    env.inputs.images.clear();
    env.write_manifest(&plain);
    assert_eq!(env.summary().await, Vec::<String>::new());
    // Even if the tag has moved: a machine that is added, or changed for another reason, runs the
    // digest that its app runs.
    set_registry_image(&env, json!({"reference": IMAGE, "digest": digest("be")})).await;
    let before = configured_image(&env, "web/app/ewr/0").await;
    env.write_manifest(&plain.replace("iad = 1", "iad = 2").replace("512mb", "1gb"));
    env.apply().await;
    for machine in ["web/app/ewr/0", "web/app/iad/1"] {
        assert_eq!(configured_image(&env, machine).await, before, "{machine}");
    }
    let cron = env.world().await.fly_cron["web/nightly"]
        .workload
        .config
        .image
        .clone()
        .unwrap();
    assert_eq!(cron.as_str(), before);
}

/// A registry of somebody else: a handler, and the requests that it received.
#[derive(Clone, Default)]
struct FakeRegistry {
    requests: Arc<Mutex<Vec<RegistryRequest>>>,
    handler: Arc<Mutex<Option<RegistryHandler>>>,
}

/// The request line, and the `Authorization` header.
type RegistryRequest = (String, Option<String>);
type RegistryHandler = Box<dyn Fn(&str, Option<&str>) -> Response + Send>;

impl FakeRegistry {
    async fn start(
        handler: impl Fn(&str, Option<&str>) -> Response + Send + 'static,
    ) -> (Self, String) {
        let registry = Self::default();
        *registry.handler.lock().unwrap() = Some(Box::new(handler));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router =
            Router::new()
                .fallback(
                    |State(registry): State<Self>, request: Request| async move {
                        registry.serve(&request)
                    },
                )
                .with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (registry, host)
    }

    fn serve(&self, request: &Request) -> Response {
        let sent = request
            .headers()
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path_and_query().unwrap().to_string();
        let line = format!("{} {path}", request.method());
        self.requests
            .lock()
            .unwrap()
            .push((line.clone(), sent.clone()));
        let handler = self.handler.lock().unwrap();
        handler.as_ref().unwrap()(&line, sent.as_deref())
    }

    fn requests(&self) -> Vec<RegistryRequest> {
        self.requests.lock().unwrap().clone()
    }
}

async fn resolve_digest(base: Option<&str>, image: &str) -> Result<String, CloudError> {
    let registries = base.map(|host| format!("http://{host}"));
    let token = Secret::new(TOKEN);
    let settings = ClientConfig {
        registry_url: registries,
        ..ClientConfig::for_sandbox(String::new(), token, 1000.0)
    };
    RegistryClient::new(&settings)
        .unwrap()
        .resolve_digest(&Image::new(image))
        .await
}

fn digest_response() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("docker-content-digest", digest("ab").parse().unwrap());
    headers.into_response()
}

fn redirect_to(url: &str) -> Response {
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, url.to_owned())],
    )
        .into_response()
}

fn auth_challenge(realm: &str) -> Response {
    let challenge =
        format!("Bearer realm=\"{realm}\",service=\"theirs\",scope=\"repository:a/web:pull\"");
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn fly_token_is_not_sent_to_other_registries() {
    let (realm, realm_host) =
        FakeRegistry::start(|_, _| r#"{"token":"anonymous"}"#.into_response()).await;
    let url = format!("http://{realm_host}/token");
    let (registry, host) = FakeRegistry::start(move |_, sent| match sent {
        Some("Bearer anonymous") => digest_response(),
        _ => auth_challenge(&url),
    })
    .await;
    assert_eq!(
        resolve_digest(None, &format!("{host}/a/web:v1"))
            .await
            .unwrap(),
        digest("ab")
    );
    let path = "HEAD /v2/a/web/manifests/v1".to_owned();
    assert_eq!(
        registry.requests(),
        [
            (path.clone(), None),
            (path, Some("Bearer anonymous".to_owned()))
        ]
    );
    let requests = (
        "GET /token?service=theirs&scope=repository%3Aa%2Fweb%3Apull".to_owned(),
        None,
    );
    assert_eq!(realm.requests(), [requests]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fly_token_is_dropped_on_redirect() {
    let (elsewhere, elsewhere_host) =
        FakeRegistry::start(|_, _| r#"{"token":"anonymous"}"#.into_response()).await;
    for away in [redirect_to as fn(&str) -> Response, auth_challenge] {
        let url = format!("http://{elsewhere_host}/away");
        let (fly, host) = FakeRegistry::start(move |_, _| away(&url)).await;
        // The result does not matter here.
        drop(resolve_digest(Some(&host), "registry.fly.io/web:v1").await);
        let sent = fly.requests()[0].1.clone().unwrap();
        assert!(sent.starts_with("Basic "), "{sent}");
        let (other, host) = FakeRegistry::start(|_, _| digest_response()).await;
        resolve_digest(Some(&host), "ghcr.io/a/web:v1")
            .await
            .unwrap();
        assert_eq!(
            other.requests(),
            [("HEAD /v2/a/web/manifests/v1?ns=ghcr.io".to_owned(), None)]
        );
    }
    assert!(elsewhere.requests().len() >= 2);
    assert!(
        elsewhere.requests().iter().all(|(_, sent)| sent.is_none()),
        "{:?}",
        elsewhere.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_digest_header_falls_back_to_hash() {
    const MANIFEST: &str = r#"{"schemaVersion":2}"#;
    let (_, host) = FakeRegistry::start(|_, _| MANIFEST.into_response()).await;
    let digits: String = Sha256::digest(MANIFEST)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        resolve_digest(None, &format!("{host}/web:v1"))
            .await
            .unwrap(),
        format!("sha256:{digits}")
    );
    let (_, host) = FakeRegistry::start(|line, _| match line.starts_with("HEAD") {
        true => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        false => digest_response(),
    })
    .await;
    assert_eq!(
        resolve_digest(None, &format!("{host}/web:v1"))
            .await
            .unwrap(),
        digest("ab")
    );
    let other = format!("{host}/web@{}", digest("cd"));
    assert!(
        resolve_digest(None, &other)
            .await
            .unwrap_err()
            .message
            .contains("another image")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unsafe_registry_redirect_is_rejected() {
    let (_, host) = FakeRegistry::start(|_, _| redirect_to("/again")).await;
    assert!(
        resolve_digest(None, &format!("{host}/web:v1"))
            .await
            .unwrap_err()
            .message
            .contains("without end")
    );
    let (_, host) = FakeRegistry::start(|_, _| redirect_to("http://192.0.2.1/v2/")).await;
    assert!(
        resolve_digest(None, &format!("{host}/web:v1"))
            .await
            .unwrap_err()
            .message
            .contains("not safe")
    );
    let (_, host) = FakeRegistry::start(|_, _| auth_challenge("http://192.0.2.1/token")).await;
    assert!(
        resolve_digest(None, &format!("{host}/web:v1"))
            .await
            .unwrap_err()
            .message
            .contains("not safe")
    );
}
