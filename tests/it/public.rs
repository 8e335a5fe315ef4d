//! The public side: what Fly's proxy answers, and how the client looks at it.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::Redirect,
};
use serde_json::{Value, json};
use trimtab::clouds::{
    Probe, Trouble, Voice,
    fly::{NewMachine, Reader, Writer},
};

use crate::support::{Bare, SPEED};

fn served(image: &str) -> Value {
    let service = json!({ "protocol": "tcp", "internal_port": 80,
        "ports": [{ "port": 443, "handlers": ["tls", "http"] }], "checks": [{ "type": "tcp" }] });
    json!({ "image": image, "services": [service] })
}

async fn public() -> (Bare, Writer) {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    fly.assign_ip("web", "acme", "shared_v4", None)
        .await
        .unwrap();
    (bare, fly)
}

async fn look(fly: &Reader) -> (u16, Value) {
    let Probe { status, body } = fly.probe("web.fly.dev", "/").await.unwrap();
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

#[tokio::test]
async fn a_healthy_machine_answers_and_a_hidden_one_does_not() {
    let (bare, fly) = public().await;
    let mut ids = Vec::new();
    for image in ["web:1", "web:2"] {
        let made = bare.machine(&fly, served(image)).await;
        fly.wait_until_passing("web", &made.id, 300, &Voice::silent())
            .await
            .unwrap();
        ids.push(made.id);
    }
    let mut seen: Vec<Value> = vec![
        look(&fly).await.1["machine"].take(),
        look(&fly).await.1["machine"].take(),
    ];
    seen.sort_by_key(Value::to_string);
    ids.sort();
    assert_eq!(seen, ids);
    fly.cordon("web", &ids[0]).await.unwrap();
    for _ in 0..2 {
        let (status, page) = look(&fly).await;
        assert_eq!(
            (status, &page["machine"], &page["app"]),
            (200, &json!(ids[1]), &json!("web"))
        );
    }
    fly.cordon("web", &ids[1]).await.unwrap();
    assert_eq!(look(&fly).await.0, 503);
    assert!(
        bare.sandbox
            .requests()
            .iter()
            .all(|request| request.path != "/"),
        "a visit is no call of the API"
    );
}

#[tokio::test]
async fn a_rule_says_what_is_served_and_failing_checks_hide_it() {
    let (bare, fly) = public().await;
    let made = bare.machine(&fly, served("web:1")).await;
    fly.wait_until_passing("web", &made.id, 300, &Voice::silent())
        .await
        .unwrap();
    bare.admin(
        "rules",
        json!({ "behave": { "http": { "status": 500, "body": "broken" } } }),
    )
    .await;
    assert_eq!(look(&fly).await, (500, json!("broken")));
    bare.admin("rules", json!({ "behave": { "checks": "critical" } }))
        .await;
    assert_eq!(look(&fly).await.0, 503);
}

#[tokio::test]
async fn a_machine_that_sleeps_is_woken_unless_it_must_not_be() {
    let (bare, fly) = public().await;
    let made = bare.machine(&fly, served("web:1")).await;
    fly.wait_until_passing("web", &made.id, 300, &Voice::silent())
        .await
        .unwrap();
    fly.stop("web", &made.id).await.unwrap();
    fly.wait_for("web", &made.id, None, "stopped", 300, &Voice::silent())
        .await
        .unwrap();
    assert_eq!(look(&fly).await.0, 200);
    let woken = fly.machine("web", &made.id).await.unwrap();
    assert!(
        woken
            .events
            .iter()
            .any(|event| event.kind == "start" && event.source == "proxy"),
        "{woken:?}"
    );
    let mut config = served("web:2");
    config["services"][0]["autostart"] = false.into();
    let update = NewMachine {
        region: "fra".to_owned(),
        config,
        skip_launch: true,
        ..NewMachine::default()
    };
    fly.update_machine("web", &made.id, &made.instance_id, &update)
        .await
        .unwrap();
    fly.wait_for("web", &made.id, None, "stopped", 300, &Voice::silent())
        .await
        .unwrap();
    assert_eq!(look(&fly).await.0, 503);
}

#[tokio::test]
async fn a_name_leads_somewhere_only_with_an_address_and_a_certificate() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = bare.machine(&fly, served("web:1")).await;
    fly.wait_until_passing("web", &made.id, 300, &Voice::silent())
        .await
        .unwrap();
    assert_eq!(
        fly.probe("web.fly.dev", "/").await.unwrap_err().trouble,
        Trouble::Ambiguous
    );
    assert_eq!(
        fly.probe("nobody.fly.dev", "/").await.unwrap_err().trouble,
        Trouble::Ambiguous
    );
    fly.assign_ip("web", "acme", "v6", None).await.unwrap();
    fly.create_certificate("web", "www.example.com")
        .await
        .unwrap();
    bare.sandbox
        .advance(std::time::Duration::from_secs(3_600))
        .unwrap();
    assert_eq!(fly.probe("www.example.com", "/").await.unwrap().status, 200);
}

/// What a web server was asked: host, path, and whether a token came along.
type Asked = Arc<Mutex<Vec<(String, String, bool)>>>;

/// A web server that sends visitors on from page to page until there are none left.
async fn onward(
    State(asked): State<Asked>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<String, Redirect> {
    let host = headers[header::HOST].to_str().unwrap().to_owned();
    let token = headers.contains_key(header::AUTHORIZATION);
    asked
        .lock()
        .unwrap()
        .push((host, uri.path().to_owned(), token));
    match uri.path().trim_start_matches('/').parse::<u32>() {
        Ok(left @ 1..) => Err(Redirect::temporary(&format!(
            "https://next.example/{}",
            left - 1
        ))),
        _ => Ok("x".repeat(100_000)),
    }
}

#[tokio::test]
async fn redirects_are_followed_without_a_token_and_pages_are_cut() {
    let bare = Bare::new(SPEED).await;
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = bare.settings();
    settings.public = Some(format!("http://{}", listener.local_addr().unwrap()));
    let router = Router::new().fallback(onward).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let reader = Reader::new(&settings).unwrap();
    let probe = reader.probe("first.example", "/5").await.unwrap();
    assert_eq!((probe.status, probe.body.len()), (200, 64 * 1024));
    let hosts: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|(host, ..)| host.clone())
        .collect();
    assert_eq!(
        hosts,
        [
            "first.example",
            "next.example",
            "next.example",
            "next.example",
            "next.example",
            "next.example"
        ]
    );
    assert!(asked.lock().unwrap().iter().all(|(.., token)| !token));
    let error = reader.probe("first.example", "/6").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "look at https://first.example/6: it was redirected more than 5 times"
    );
}
