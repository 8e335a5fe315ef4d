//! A server that repeats the headers and the body of a request in its error, as some servers and
//! proxies do. Other requests are forwarded to a sandbox with a valid token.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::Response,
};
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions};

/// The form in which the request is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) enum EchoFormat {
    /// A message in JSON, as from Fly.
    Json(u16),
    /// Plain text, as from a proxy.
    Text(u16),
    /// Success, with the text in place of a number or a list.
    Malformed,
    /// An AWS error with this code.
    Xml(&'static str),
    /// Identity tokens as from GitHub; other requests get an AWS error.
    Identity,
}

struct EchoServer {
    sandbox: RunningSandbox,
    token: String,
    /// The path suffix of requests that are repeated; `None` for all requests.
    path_suffix: Option<&'static str>,
    format: EchoFormat,
    identity_token: String,
}

/// Starts the server and returns its URL.
pub(super) async fn start(
    path_suffix: Option<&'static str>,
    format: EchoFormat,
    identity: &str,
) -> String {
    let sandbox = sandbox::start(SandboxOptions {
        speed: 200.0,
        ..SandboxOptions::in_memory()
    })
    .await
    .unwrap();
    let token = sandbox.org_token("acme").unwrap();
    let echo = Arc::new(EchoServer {
        sandbox,
        token,
        path_suffix,
        format,
        identity_token: identity.to_owned(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle).with_state(echo);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn handle(State(echo): State<Arc<EchoServer>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let uri = parts.uri.to_string();
    let here = echo
        .path_suffix
        .is_none_or(|path_suffix| parts.uri.path().ends_with(path_suffix) && parts.method != "GET");
    if here {
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        let headers: Vec<String> = headers.collect();
        let text = format!(
            "{uri} {} {}",
            headers.join(" "),
            String::from_utf8_lossy(&body)
        );
        return echo_request(&echo, &uri, &text);
    }
    let url = format!("{}{uri}", echo.sandbox.url());
    let mut forwarded = reqwest::Client::new().request(parts.method, url);
    for (name, value) in &parts.headers {
        if !["authorization", "host", "content-length"].contains(&name.as_str()) {
            forwarded = forwarded.header(name, value);
        }
    }
    let response = forwarded
        .bearer_auth(&echo.token)
        .body(body)
        .send()
        .await
        .unwrap();
    let status = response.status();
    Response::builder()
        .status(status)
        .body(Body::from(response.bytes().await.unwrap()))
        .unwrap()
}

fn echo_request(echo: &EchoServer, uri: &str, text: &str) -> Response<Body> {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let xml = |code: &str| {
        let error =
            format!("<Error><Code>{code}</Code><Message>refused: {escaped}</Message></Error>");
        (403, format!("<ErrorResponse>{error}</ErrorResponse>"))
    };
    let (status, text) = match echo.format {
        EchoFormat::Json(status) => (
            status,
            serde_json::json!({ "error": format!("refused: {text}") }).to_string(),
        ),
        EchoFormat::Text(status) => (status, text.to_owned()),
        EchoFormat::Malformed => (
            200,
            serde_json::json!({ "secrets": text, "version": text }).to_string(),
        ),
        EchoFormat::Xml(code) => xml(code),
        EchoFormat::Identity if uri.contains("audience=") => (
            200,
            serde_json::json!({ "value": echo.identity_token }).to_string(),
        ),
        EchoFormat::Identity => xml("AccessDenied"),
    };
    // Repeated in a response header too.
    let header: String = text.chars().filter(char::is_ascii_graphic).collect();
    let response = Response::builder()
        .status(status)
        .header("fly-request-id", header);
    response.body(Body::from(text)).unwrap()
}
