//! A server that repeats what it was sent, headers and body, in its refusals: some do, and so do proxies before them.
//! Other requests go on to a sandbox, with a token that is good there.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::Response,
};
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions};

/// How an answer repeats the request.
#[derive(Clone, Copy, Debug)]
pub(super) enum EchoFormat {
    /// A message in JSON, as Fly's.
    Json(u16),
    /// The text alone, as a proxy's.
    Text(u16),
    /// Success, with the text where a number or a list belongs.
    Malformed,
    /// An error of AWS: its code, and the message.
    Xml(&'static str),
    /// Identity tokens as GitHub gives them; any other request is refused in AWS's words.
    Identity,
}

struct EchoServer {
    sandbox: RunningSandbox,
    token: String,
    /// What the path of a request that is repeated ends with; nothing is all of them.
    path_suffix: Option<&'static str>,
    format: EchoFormat,
    identity_token: String,
}

/// Serves it; the address of what repeats.
pub(super) async fn start(
    place: Option<&'static str>,
    style: EchoFormat,
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
        path_suffix: place,
        format: style,
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
        .is_none_or(|place| parts.uri.path().ends_with(place) && parts.method != "GET");
    if here {
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        let headers: Vec<String> = headers.collect();
        let said = format!(
            "{uri} {} {}",
            headers.join(" "),
            String::from_utf8_lossy(&body)
        );
        return echo_request(&echo, &uri, &said);
    }
    let url = format!("{}{uri}", echo.sandbox.url());
    let mut onward = reqwest::Client::new().request(parts.method, url);
    for (name, value) in &parts.headers {
        if !["authorization", "host", "content-length"].contains(&name.as_str()) {
            onward = onward.header(name, value);
        }
    }
    let told = onward
        .bearer_auth(&echo.token)
        .body(body)
        .send()
        .await
        .unwrap();
    let status = told.status();
    Response::builder()
        .status(status)
        .body(Body::from(told.bytes().await.unwrap()))
        .unwrap()
}

fn echo_request(echo: &EchoServer, uri: &str, said: &str) -> Response<Body> {
    let escaped = said
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
            serde_json::json!({ "error": format!("refused: {said}") }).to_string(),
        ),
        EchoFormat::Text(status) => (status, said.to_owned()),
        EchoFormat::Malformed => (
            200,
            serde_json::json!({ "secrets": said, "version": said }).to_string(),
        ),
        EchoFormat::Xml(code) => xml(code),
        EchoFormat::Identity if uri.contains("audience=") => (
            200,
            serde_json::json!({ "value": echo.identity_token }).to_string(),
        ),
        EchoFormat::Identity => xml("AccessDenied"),
    };
    // A header of the answer repeats it as well.
    let header: String = said.chars().filter(char::is_ascii_graphic).collect();
    let answer = Response::builder()
        .status(status)
        .header("fly-request-id", header);
    answer.body(Body::from(text)).unwrap()
}
