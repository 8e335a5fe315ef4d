//! The border between HTTP and the sandbox's own answers: reading bodies, and sending whole, half or no answers.

use axum::body::{Body as HttpBody, to_bytes};
use axum::http::{Response, StatusCode, header};
use serde_json::Value;

use super::api::{ApiError, ApiResponse, ResponseBody};
use super::connection::ConnectionBreaker;
use super::ids;

/// No request of these APIs comes near this; it only bounds what a broken client can make the sandbox hold.
pub(super) const MAX_BODY_BYTES: usize = 16 << 20;

/// Reads a body as JSON; no body is null.
///
/// # Errors
/// `400` when it is not JSON.
pub(super) async fn read_json_body(body: HttpBody) -> Result<Value, ApiError> {
    let bytes = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| ApiError::bad_request("failed to read request body"))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("failed to decode request body: {error}")))
}

fn encode_body(body: &ResponseBody) -> (Option<&'static str>, String) {
    match body {
        ResponseBody::Empty => (None, String::new()),
        ResponseBody::Json(value) => (Some("application/json; charset=utf-8"), value.to_string()),
        ResponseBody::Text(text) => (Some("text/plain; charset=utf-8"), text.clone()),
    }
}

fn response_builder(
    answer: &ApiResponse,
    n: u64,
    kind: Option<&str>,
) -> axum::http::response::Builder {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = Response::builder()
        .status(status)
        .header("fly-request-id", request_id(n));
    let typed = answer
        .headers
        .iter()
        .any(|(name, _)| *name == "content-type");
    if let Some(kind) = kind.filter(|_| !typed) {
        builder = builder.header(header::CONTENT_TYPE, kind);
    }
    for (name, value) in &answer.headers {
        builder = builder.header(*name, value);
    }
    builder
}

/// `01H…-iad`: a ULID and the region that answered.
fn request_id(n: u64) -> String {
    format!(
        "{}-iad",
        ids::ulid(0, &ids::derive_bytes(&["request", &n.to_string()]))
    )
}

/// Sends an answer.
pub(super) fn render_response(answer: &ApiResponse, n: u64) -> Response<HttpBody> {
    let (kind, text) = encode_body(&answer.body);
    response_builder(answer, n, kind)
        .body(HttpBody::from(text))
        .unwrap_or_default()
}

/// Closes the connection instead of answering.
pub(super) fn drop_connection(cut: Option<ConnectionBreaker>) -> Response<HttpBody> {
    if let Some(cut) = cut {
        cut.trip();
    }
    Response::default()
}

/// Promises the whole body and sends half of it.
pub(super) fn truncated_response(answer: &ApiResponse, n: u64) -> Response<HttpBody> {
    let (kind, text) = encode_body(&answer.body);
    truncated_body_response(response_builder(answer, n, kind), text.as_bytes())
}

/// The same with a body of any kind.
pub(super) fn truncated_body_response(
    builder: axum::http::response::Builder,
    bytes: &[u8],
) -> Response<HttpBody> {
    let half = bytes[..bytes.len() / 2].to_vec();
    let builder = builder.header(header::CONTENT_LENGTH, bytes.len().max(1));
    let broken = async {
        // Lets the first half reach the socket before the connection breaks.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let parts = futures_util::stream::once(async { Ok(half) });
    let parts = futures_util::StreamExt::chain(parts, futures_util::stream::once(broken));
    builder
        .body(HttpBody::from_stream(parts))
        .unwrap_or_default()
}
