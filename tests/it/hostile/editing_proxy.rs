//! A proxy between the client and the sandbox that edits responses, so that they lie as a faulty or hostile server would.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::Value;

/// Edits the JSON of a successful response to `GET` of this path, which has no query.
type Edit = dyn Fn(&str, &mut Value) + Send + Sync;

/// It stops with the tokio runtime.
#[derive(Clone)]
pub(super) struct EditingProxy {
    pub(super) url: String,
    upstream: String,
    edit: Arc<Edit>,
    client: reqwest::Client,
    writes: Arc<Mutex<Vec<String>>>,
}

impl EditingProxy {
    pub(super) async fn new(
        upstream: String,
        edit: impl Fn(&str, &mut Value) + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            upstream,
            edit: Arc::new(edit),
            client: reqwest::Client::new(),
            writes: Arc::default(),
        };
        let router = Router::new().fallback(forward).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        proxy
    }

    /// The method and path of each request that was not a read.
    pub(super) fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }
}

async fn forward(
    State(proxy): State<EditingProxy>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    if method != Method::GET {
        let write = format!("{method} {uri}");
        proxy.writes.lock().unwrap().push(write);
    }
    let url = format!("{}{uri}", proxy.upstream);
    let mut request = proxy.client.request(method.clone(), url).body(body);
    for name in ["authorization", "content-type", "fly-machine-lease-nonce"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    match serde_json::from_str::<Value>(&text) {
        Ok(mut value) if method == Method::GET && status.is_success() => {
            (proxy.edit)(uri.path(), &mut value);
            (status, value.to_string())
        }
        _ => (status, text),
    }
}
