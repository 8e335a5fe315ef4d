//! Images by digest: a tag is looked up before the plan, the digest is what is applied and compared, and what is not
//! there stops a run before it has written anything.

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
    clouds::{CloudError, Registry, Settings, Trouble},
    kinds::Cause,
    model::{Image, Secret},
    plan::Change,
};

use crate::{
    story::TEAM,
    support::{Team, summary},
};

const IMAGE: &str = "registry.fly.io/harbor-web:v1";
const TOKEN: &str = "fo1_canary";

fn digest(digits: &str) -> String {
    format!("sha256:{}", digits.repeat(32))
}

async fn say(team: &Team, what: serde_json::Value) {
    team.by_hand("POST", "/_sandbox/images", what).await;
}

/// The image that a machine's configuration names.
async fn runs(team: &Team, machine: &str) -> String {
    team.world().await.fly_machine[machine]
        .workload
        .config
        .image
        .clone()
        .unwrap()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_applied_by_its_digest_and_asked_for_once() {
    let team = Team::new(TEAM).await;
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    let world = team.world().await;
    for machine in world.fly_machine.values().map(|machine| &machine.workload) {
        let image = machine.config.image.clone().unwrap();
        assert_eq!(
            image.as_str(),
            format!("{IMAGE}@{}", machine.digest.clone().unwrap())
        );
    }
    let before = team.sandbox.requests().len();
    team.images().await;
    let asked = team.sandbox.requests().split_off(before);
    let asked: Vec<_> = asked
        .iter()
        .map(|request| (request.method.as_str(), request.path.as_str()))
        .collect();
    assert_eq!(
        asked,
        [("HEAD", "/v2/harbor-web/manifests/v1")],
        "three machines and a cron machine share it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_is_said_to_have_moved() {
    let team = Team::new(TEAM).await;
    team.apply().await;
    let (before, after) = (
        runs(&team, "web/app/ewr/0").await,
        format!("{IMAGE}@{}", digest("be")),
    );
    say(&team, json!({"reference": IMAGE, "digest": digest("be")})).await;
    let plan = team.plan().await;
    assert_eq!(
        summary(&plan),
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
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    assert_eq!(runs(&team, "web/app/ewr/0").await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tag_of_the_same_image_is_no_difference() {
    let team = Team::new(TEAM).await;
    team.apply().await;
    let there = team.world().await.fly_machine["web/app/ewr/0"]
        .workload
        .digest
        .clone()
        .unwrap();
    say(
        &team,
        json!({"reference": "registry.fly.io/harbor-web:v2", "digest": there}),
    )
    .await;
    team.write(&TEAM.replace("harbor-web:v1", "harbor-web:v2"));
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_made_by_tag_is_compared_by_its_digest() {
    let team = Team::new(TEAM).await;
    team.apply().await;
    let id = team.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    team.change_machine("harbor-web", &id, |config| config["image"] = IMAGE.into())
        .await;
    assert_eq!(runs(&team, "web/app/iad/0").await, IMAGE);
    assert_eq!(team.summary().await, Vec::<String>::new());
    say(&team, json!({"reference": IMAGE, "digest": digest("be")})).await;
    assert!(
        team.summary()
            .await
            .contains(&"restart fly.machine/web/app/iad/0 image".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_stops_a_run_before_any_write() {
    let team = Team::new(TEAM).await;
    say(&team, json!({"reference": IMAGE, "missing": true})).await;
    let error = team.try_apply(None).await.unwrap_err();
    assert_eq!(error.trouble, Trouble::NotFound);
    let writes = |method: &str| !matches!(method, "GET" | "HEAD");
    assert!(
        team.sandbox
            .requests()
            .iter()
            .all(|request| !writes(&request.method))
    );
    let images = team.images().await;
    let missing: Vec<_> = images.missing().collect();
    assert_eq!((missing.len(), missing[0].users.len()), (1, 4));
    assert_eq!(missing[0].reason(), format!("there is no image `{IMAGE}`"));
    // A look that must not fail says it, and compares what it can.
    assert_eq!(images.warnings(true).count(), 1);
    assert_eq!(images.warnings(false).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_taken_as_it_is() {
    let mut team = Team::new(TEAM).await;
    let image = format!("registry.fly.io/harbor-web@{}", digest("ab"));
    team.inputs.images.insert("web".to_owned(), image.clone());
    team.apply().await;
    assert_eq!(runs(&team, "web/app/ewr/0").await, image);
    assert_eq!(team.summary().await, Vec::<String>::new());
    say(&team, json!({"reference": image, "missing": true})).await;
    assert_eq!(
        team.images().await.missing().count(),
        1,
        "that it exists is still made sure of"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_image_follows_the_digest_that_runs() {
    let plain = TEAM.replace("image = \"registry.fly.io/harbor-web:v1\"\n", "");
    let mut team = Team::new(&plain).await;
    team.inputs
        .images
        .insert("web".to_owned(), IMAGE.to_owned());
    team.apply().await;
    team.inputs.images.clear();
    team.write(&plain);
    assert_eq!(team.summary().await, Vec::<String>::new());
    // Whatever the tag means by now: a machine that is added or changed for another reason runs what its app runs.
    say(&team, json!({"reference": IMAGE, "digest": digest("be")})).await;
    let before = runs(&team, "web/app/ewr/0").await;
    team.write(&plain.replace("iad = 1", "iad = 2").replace("512mb", "1gb"));
    team.apply().await;
    for machine in ["web/app/ewr/0", "web/app/iad/1"] {
        assert_eq!(runs(&team, machine).await, before, "{machine}");
    }
    let cron = team.world().await.fly_cron["web/nightly"]
        .workload
        .config
        .image
        .clone()
        .unwrap();
    assert_eq!(cron.as_str(), before);
}

/// A registry of somebody else: what it answers to a path, and who asked with what.
#[derive(Clone, Default)]
struct Theirs {
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Option<Answering>>>,
}

/// A request's line, and what it was sent with.
type Asked = (String, Option<String>);
type Answering = Box<dyn Fn(&str, Option<&str>) -> Response + Send>;

impl Theirs {
    async fn start(
        answer: impl Fn(&str, Option<&str>) -> Response + Send + 'static,
    ) -> (Self, String) {
        let theirs = Self::default();
        *theirs.answer.lock().unwrap() = Some(Box::new(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .fallback(|State(theirs): State<Self>, request: Request| async move {
                theirs.serve(&request)
            })
            .with_state(theirs.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (theirs, host)
    }

    fn serve(&self, request: &Request) -> Response {
        let sent = request
            .headers()
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path_and_query().unwrap().to_string();
        let line = format!("{} {path}", request.method());
        self.asked
            .lock()
            .unwrap()
            .push((line.clone(), sent.clone()));
        let answer = self.answer.lock().unwrap();
        answer.as_ref().unwrap()(&line, sent.as_deref())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn look(base: Option<&str>, image: &str) -> Result<String, CloudError> {
    let registries = base.map(|host| format!("http://{host}"));
    let token = Secret::new(TOKEN);
    let settings = Settings {
        registries,
        ..Settings::imitation(String::new(), token, 1000.0)
    };
    Registry::new(&settings)
        .unwrap()
        .digest(&Image::new(image))
        .await
}

fn found() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("docker-content-digest", digest("ab").parse().unwrap());
    headers.into_response()
}

fn to(url: &str) -> Response {
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, url.to_owned())],
    )
        .into_response()
}

fn challenge(realm: &str) -> Response {
    let challenge =
        format!("Bearer realm=\"{realm}\",service=\"theirs\",scope=\"repository:a/web:pull\"");
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_registry_never_sees_the_fly_token() {
    let (realm, realm_host) =
        Theirs::start(|_, _| r#"{"token":"anonymous"}"#.into_response()).await;
    let url = format!("http://{realm_host}/token");
    let (theirs, host) = Theirs::start(move |_, sent| match sent {
        Some("Bearer anonymous") => found(),
        _ => challenge(&url),
    })
    .await;
    assert_eq!(
        look(None, &format!("{host}/a/web:v1")).await.unwrap(),
        digest("ab")
    );
    let path = "HEAD /v2/a/web/manifests/v1".to_owned();
    assert_eq!(
        theirs.asked(),
        [
            (path.clone(), None),
            (path, Some("Bearer anonymous".to_owned()))
        ]
    );
    let asked = (
        "GET /token?service=theirs&scope=repository%3Aa%2Fweb%3Apull".to_owned(),
        None,
    );
    assert_eq!(realm.asked(), [asked]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fly_token_stays_with_flys_registry() {
    let (elsewhere, elsewhere_host) =
        Theirs::start(|_, _| r#"{"token":"anonymous"}"#.into_response()).await;
    for away in [to as fn(&str) -> Response, challenge] {
        let url = format!("http://{elsewhere_host}/away");
        let (fly, host) = Theirs::start(move |_, _| away(&url)).await;
        // Whatever comes of it.
        drop(look(Some(&host), "registry.fly.io/web:v1").await);
        let sent = fly.asked()[0].1.clone().unwrap();
        assert!(sent.starts_with("Basic "), "{sent}");
        let (other, host) = Theirs::start(|_, _| found()).await;
        look(Some(&host), "ghcr.io/a/web:v1").await.unwrap();
        assert_eq!(
            other.asked(),
            [("HEAD /v2/a/web/manifests/v1?ns=ghcr.io".to_owned(), None)]
        );
    }
    assert!(elsewhere.asked().len() >= 2);
    assert!(
        elsewhere.asked().iter().all(|(_, sent)| sent.is_none()),
        "{:?}",
        elsewhere.asked()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_digests_has_its_manifest_hashed() {
    const MANIFEST: &str = r#"{"schemaVersion":2}"#;
    let (_, host) = Theirs::start(|_, _| MANIFEST.into_response()).await;
    let digits: String = Sha256::digest(MANIFEST)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        look(None, &format!("{host}/web:v1")).await.unwrap(),
        format!("sha256:{digits}")
    );
    let (_, host) = Theirs::start(|line, _| match line.starts_with("HEAD") {
        true => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        false => found(),
    })
    .await;
    assert_eq!(
        look(None, &format!("{host}/web:v1")).await.unwrap(),
        digest("ab")
    );
    let other = format!("{host}/web@{}", digest("cd"));
    assert!(
        look(None, &other)
            .await
            .unwrap_err()
            .answer
            .contains("another image")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_leads_astray_is_left() {
    let (_, host) = Theirs::start(|_, _| to("/again")).await;
    assert!(
        look(None, &format!("{host}/web:v1"))
            .await
            .unwrap_err()
            .answer
            .contains("without end")
    );
    let (_, host) = Theirs::start(|_, _| to("http://192.0.2.1/v2/")).await;
    assert!(
        look(None, &format!("{host}/web:v1"))
            .await
            .unwrap_err()
            .answer
            .contains("not safe")
    );
    let (_, host) = Theirs::start(|_, _| challenge("http://192.0.2.1/token")).await;
    assert!(
        look(None, &format!("{host}/web:v1"))
            .await
            .unwrap_err()
            .answer
            .contains("not safe")
    );
}
