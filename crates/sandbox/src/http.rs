//! Conversion between HTTP and the sandbox's own types: reads JSON bodies, and sends complete,
//! truncated or no responses.

use axum::body::{Body as HttpBody, to_bytes};
use axum::http::{Response, StatusCode, header};
use serde_json::Value;

use crate::api::{ApiError, ApiResponse, ResponseBody};
use crate::connection::ConnectionBreaker;
use crate::ids;

/// The largest request body. No request of Fly's APIs comes close; this bounds the memory that a
/// broken client can use.
pub(crate) const MAX_BODY_BYTES: usize = 16 << 20;

/// Reads a body as JSON; an empty body is null.
///
/// # Errors
/// `400` when it cannot be read or is not JSON.
pub(crate) async fn read_json_body(body: HttpBody) -> Result<Value, ApiError> {
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
        // The server has run the program before it sends the response.
        ResponseBody::Empty | ResponseBody::Psql(_) => (None, String::new()),
        ResponseBody::Json(value) => (Some("application/json; charset=utf-8"), value.to_string()),
        ResponseBody::Text(text) => (Some("text/plain; charset=utf-8"), text.clone()),
    }
}

fn response_builder(
    response: &ApiResponse,
    number: u64,
    content_type: Option<&str>,
) -> axum::http::response::Builder {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = Response::builder()
        .status(status)
        .header("fly-request-id", request_id(number));
    let has_content_type = response
        .headers
        .iter()
        .any(|(name, _)| *name == "content-type");
    // An endpoint that sets the header itself, such as a manifest's, takes precedence.
    if let Some(content_type) = content_type.filter(|_| !has_content_type) {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in &response.headers {
        builder = builder.header(*name, value);
    }
    builder
}

/// A request id such as `01H…-iad`: a ULID and the region that responded.
fn request_id(number: u64) -> String {
    format!(
        "{}-iad",
        ids::ulid(0, &ids::derive_bytes(&["request", &number.to_string()]))
    )
}

/// The HTTP response for an API response.
pub(crate) fn render_response(response: &ApiResponse, number: u64) -> Response<HttpBody> {
    let (content_type, text) = encode_body(&response.body);
    response_builder(response, number, content_type)
        .body(HttpBody::from(text))
        .unwrap_or_default()
}

/// Closes the connection instead of responding.
pub(crate) fn drop_connection(breaker: Option<ConnectionBreaker>) -> Response<HttpBody> {
    if let Some(breaker) = breaker {
        breaker.trip();
    }
    Response::default()
}

/// A response whose `content-length` is that of the whole body, but that ends after half of it.
pub(crate) fn truncated_response(response: &ApiResponse, number: u64) -> Response<HttpBody> {
    let (content_type, text) = encode_body(&response.body);
    truncated_body_response(
        response_builder(response, number, content_type),
        text.as_bytes(),
    )
}

/// Like [`truncated_response`], with a body of any type.
pub(crate) fn truncated_body_response(
    builder: axum::http::response::Builder,
    bytes: &[u8],
) -> Response<HttpBody> {
    // At least 1, so that even an empty body is announced but not sent.
    let announced_length = bytes.len().max(1);
    let half = bytes[..bytes.len() / 2].to_vec();
    let builder = builder.header(header::CONTENT_LENGTH, announced_length);
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
