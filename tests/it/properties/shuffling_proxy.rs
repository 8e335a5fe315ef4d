//! A proxy between the client and the sandbox that shuffles the lists in responses: Fly does not
//! guarantee an order.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::Value;

use super::toml_files::SeededRng;

/// Starts the proxy and returns its URL. It stops with the tokio runtime.
pub(super) async fn start(upstream: String, seed: u64) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router =
        Router::new()
            .fallback(forward)
            .with_state((upstream, seed, reqwest::Client::new()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn forward(
    State((upstream, seed, client)): State<(String, u64, reqwest::Client)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let url = format!("{upstream}{uri}");
    let mut request = client.request(method, url).body(body);
    for name in ["authorization", "content-type"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(mut value) => {
            shuffle_lists(&mut value, &mut SeededRng(seed));
            value.to_string()
        }
        Err(_) => text,
    };
    (status, text)
}

/// Shuffles all lists except those in a machine's configuration, where the order matters.
fn shuffle_lists(value: &mut Value, rng: &mut SeededRng) {
    match value {
        Value::Array(list) => {
            rng.shuffle(list);
            list.iter_mut().for_each(|item| shuffle_lists(item, rng));
        }
        Value::Object(object) => {
            object
                .iter_mut()
                .filter(|(key, _)| *key != "config")
                .for_each(|(_, value)| shuffle_lists(value, rng));
        }
        _ => {}
    }
}

#[tokio::test]
async fn oldest_address_is_ours_in_any_order() {
    let text = "project = \"any\"\n[fly]\norg = \"any\"\n[apps.web]\nname = \"web\"\nprimary_region = \"iad\"\n\
                image = \"any:1\"\nips = [\"v6\"]\n";
    let env = crate::support::TestEnv::new(text).await;
    env.apply().await;
    let name = trimtab::model::Name::parse("web/v6").unwrap();
    let ours = env.world().await.fly_ip[&name].address.clone();
    for _ in 0..3 {
        env.send_manual_request(
            "POST",
            "/v1/apps/web/ip_assignments",
            serde_json::json!({ "type": "v6" }),
        )
        .await;
    }
    for seed in 1..9 {
        let readers = env.readers_at(start(env.sandbox.url(), seed).await).await;
        let world = trimtab::observe::observe(&readers, &env.desired())
            .await
            .unwrap();
        assert_eq!(world.fly_ip[&name].address, ours, "in order {seed}");
    }
}
