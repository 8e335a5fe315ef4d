//! Public requests: what Fly's proxy answers, and how the client's probe handles it.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::Redirect,
};
use serde_json::{Value, json};
use trimtab::clouds::{
    ErrorKind, ProbeResponse, ProgressSink,
    fly::{FlyReader, FlyWriter, MachineRequest},
};

use crate::support::{BareSandbox, SPEED};

fn service_config(image: &str) -> Value {
    let service = json!({ "protocol": "tcp", "internal_port": 80,
        "ports": [{ "port": 443, "handlers": ["tls", "http"] }], "checks": [{ "type": "tcp" }] });
    json!({ "image": image, "services": [service] })
}

async fn public_app() -> (BareSandbox, FlyWriter) {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    fly.assign_ip("web", "acme", "shared_v4", None)
        .await
        .unwrap();
    (bare, fly)
}

async fn probe_app(fly: &FlyReader) -> (u16, Value) {
    let ProbeResponse { status, body } = fly.probe("web.fly.dev", "/").await.unwrap();
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

#[tokio::test]
async fn cordoned_machine_gets_no_requests() {
    let (bare, fly) = public_app().await;
    let mut ids = Vec::new();
    for image in ["web:1", "web:2"] {
        let machine = bare.create_machine(&fly, service_config(image)).await;
        fly.wait_until_checks_pass("web", &machine.id, 300, &ProgressSink::disabled())
            .await
            .unwrap();
        ids.push(machine.id);
    }
    let mut seen: Vec<Value> = vec![
        probe_app(&fly).await.1["machine"].take(),
        probe_app(&fly).await.1["machine"].take(),
    ];
    seen.sort_by_key(Value::to_string);
    ids.sort();
    assert_eq!(seen, ids);
    fly.cordon_machine("web", &ids[0]).await.unwrap();
    for _ in 0..2 {
        let (status, page) = probe_app(&fly).await;
        assert_eq!(
            (status, &page["machine"], &page["app"]),
            (200, &json!(ids[1]), &json!("web"))
        );
    }
    fly.cordon_machine("web", &ids[1]).await.unwrap();
    assert_eq!(probe_app(&fly).await.0, 503);
    assert!(
        bare.sandbox
            .requests()
            .iter()
            .all(|request| request.path != "/"),
        "a visit is no call of the API"
    );
}

#[tokio::test]
async fn failing_checks_take_machine_out_of_service() {
    let (bare, fly) = public_app().await;
    let machine = bare.create_machine(&fly, service_config("web:1")).await;
    fly.wait_until_checks_pass("web", &machine.id, 300, &ProgressSink::disabled())
        .await
        .unwrap();
    bare.post_admin(
        "rules",
        json!({ "behave": { "http": { "status": 500, "body": "broken" } } }),
    )
    .await;
    assert_eq!(probe_app(&fly).await, (500, json!("broken")));
    bare.post_admin("rules", json!({ "behave": { "checks": "critical" } }))
        .await;
    assert_eq!(probe_app(&fly).await.0, 503);
}

#[tokio::test]
async fn autostart_wakes_stopped_machine() {
    let (bare, fly) = public_app().await;
    let machine = bare.create_machine(&fly, service_config("web:1")).await;
    fly.wait_until_checks_pass("web", &machine.id, 300, &ProgressSink::disabled())
        .await
        .unwrap();
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
    assert_eq!(probe_app(&fly).await.0, 200);
    let woken = fly.get_machine("web", &machine.id).await.unwrap();
    assert!(
        woken
            .events
            .iter()
            .any(|event| event.kind == "start" && event.source == "proxy"),
        "{woken:?}"
    );
    let mut config = service_config("web:2");
    config["services"][0]["autostart"] = false.into();
    let update = MachineRequest {
        region: "fra".to_owned(),
        config,
        skip_launch: true,
        ..MachineRequest::default()
    };
    fly.update_machine("web", &machine.id, &machine.instance_id, &update)
        .await
        .unwrap();
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
    assert_eq!(probe_app(&fly).await.0, 503);
}

#[tokio::test]
async fn hostname_needs_address_and_certificate() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine = bare.create_machine(&fly, service_config("web:1")).await;
    fly.wait_until_checks_pass("web", &machine.id, 300, &ProgressSink::disabled())
        .await
        .unwrap();
    assert_eq!(
        fly.probe("web.fly.dev", "/").await.unwrap_err().kind,
        ErrorKind::Ambiguous
    );
    assert_eq!(
        fly.probe("nobody.fly.dev", "/").await.unwrap_err().kind,
        ErrorKind::Ambiguous
    );
    fly.assign_ip("web", "acme", "v6", None).await.unwrap();
    fly.create_certificate("web", "www.example.com")
        .await
        .unwrap();
    bare.sandbox
        .advance_clock(std::time::Duration::from_secs(3_600))
        .unwrap();
    assert_eq!(fly.probe("www.example.com", "/").await.unwrap().status, 200);
}

/// The requests that a web server received: host, path, and whether they had a token.
type ReceivedRequests = Arc<Mutex<Vec<(String, String, bool)>>>;

/// Redirects to another host as often as the path says.
async fn redirect_onward(
    State(received): State<ReceivedRequests>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<String, Redirect> {
    let host = headers[header::HOST].to_str().unwrap().to_owned();
    let token = headers.contains_key(header::AUTHORIZATION);
    received
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
async fn probe_follows_redirects_without_token() {
    let bare = BareSandbox::new(SPEED).await;
    let received = ReceivedRequests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = bare.settings();
    settings.public_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    let router = Router::new()
        .fallback(redirect_onward)
        .with_state(received.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let reader = FlyReader::new(&settings).unwrap();
    let probe = reader.probe("first.example", "/5").await.unwrap();
    assert_eq!((probe.status, probe.body.len()), (200, 64 * 1024));
    let hosts: Vec<_> = received
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
    assert!(received.lock().unwrap().iter().all(|(.., token)| !token));
    let error = reader.probe("first.example", "/6").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "look at https://first.example/6: it was redirected more than 5 times"
    );
}
