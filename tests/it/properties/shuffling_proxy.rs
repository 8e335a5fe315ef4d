//! Something between the client and the sandbox that puts every list of an answer into another order: Fly promises none.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::Value;

use super::toml_files::SeededRng;

/// Where it listens. It ends with its runtime.
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
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(mut value) => {
            shuffle_lists(&mut value, &mut SeededRng(seed));
            value.to_string()
        }
        Err(_) => text,
    };
    (status, text)
}

/// Lists of objects with a name of their own: those within a machine's configuration have an order that means something.
fn shuffle_lists(value: &mut Value, dice: &mut SeededRng) {
    match value {
        Value::Array(list) => {
            dice.shuffle(list);
            list.iter_mut().for_each(|item| shuffle_lists(item, dice));
        }
        Value::Object(object) => {
            object
                .iter_mut()
                .filter(|(key, _)| *key != "config")
                .for_each(|(_, value)| shuffle_lists(value, dice));
        }
        _ => {}
    }
}

#[tokio::test]
async fn oldest_address_is_ours_in_any_order() {
    let text = "project = \"any\"\n[fly]\norg = \"any\"\n[apps.web]\nname = \"web\"\nprimary_region = \"iad\"\n\
                image = \"any:1\"\nips = [\"v6\"]\n";
    let team = crate::support::TestEnv::new(text).await;
    team.apply().await;
    let name = trimtab::model::Name::parse("web/v6").unwrap();
    let ours = team.world().await.fly_ip[&name].address.clone();
    for _ in 0..3 {
        team.send_manual_request(
            "POST",
            "/v1/apps/web/ip_assignments",
            serde_json::json!({ "type": "v6" }),
        )
        .await;
    }
    for seed in 1..9 {
        let readers = team.readers_at(start(team.sandbox.url(), seed).await).await;
        let world = trimtab::observe::observe(&readers, &team.desired())
            .await
            .unwrap();
        assert_eq!(world.fly_ip[&name].address, ours, "in order {seed}");
    }
}
