//! The errors of HTTP requests: no response, an error status, or a response that cannot be parsed.

use reqwest::StatusCode;
use serde_json::Value;

use super::{CloudError, CloudProvider, ErrorKind, endpoint, format_error_chain, http::ApiRequest};
use crate::model::redact;

/// The cause of a connection error. The error's own text would contain the whole URL; the operation
/// says better what was done.
fn connection_error_cause(error: &reqwest::Error) -> String {
    std::error::Error::source(error)
        .map_or_else(|| "the connection was lost".to_owned(), format_error_chain)
}

/// The error of a request without a response: either no connection was made, or the outcome is
/// unknown. An invalid certificate is not retried, since it will still be invalid.
pub(super) fn connection_error(operation: &str, error: &reqwest::Error) -> CloudError {
    let message = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        connection_error_cause(error)
    };
    let kind = match error.is_connect() {
        true if message.contains("certificate") => ErrorKind::Rejected,
        true => ErrorKind::Unreachable,
        false => ErrorKind::Ambiguous,
    };
    let server = error
        .url()
        .filter(|_| error.is_connect())
        .and_then(server_of);
    let message = server.map_or_else(
        || message.clone(),
        |server| format!("no connection to {server}: {message}"),
    );
    CloudError::new(operation, kind, message)
}

/// The host of a URL, and its port unless it is the usual one.
fn server_of(url: &reqwest::Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// The error of a successful response whose body cannot be parsed.
pub(super) fn invalid_response_error(
    request: &ApiRequest<'_>,
    reason: &str,
    request_id: Option<String>,
) -> CloudError {
    let message = redact(&format!("the answer cannot be read: {reason}"));
    CloudError {
        request_id,
        ..CloudError::new(&request.operation, ErrorKind::InvalidResponse, message)
    }
}

/// The error of a response with an error status. Servers and proxies may repeat the request in
/// their message, so it is redacted.
pub(super) fn status_error(
    request: &ApiRequest<'_>,
    status: StatusCode,
    text: &str,
    redirect_target: Option<String>,
    request_id: Option<String>,
) -> CloudError {
    // Redact before shortening, so that no half of a secret is left.
    let text = &redact(text);
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let message = ["message", "error"]
        .iter()
        .find_map(|key| body.get(key).and_then(Value::as_str));
    let message = match redirect_target {
        Some(target) => format!(
            "it points to {target}, and a redirect is not followed, since the token would go along: use the address \
             that is meant"
        ),
        None => message.map_or_else(|| endpoint::summarize_text(text), endpoint::to_single_line),
    };
    CloudError {
        operation: request.operation.clone(),
        message: redact(format!("{} {message}", status.as_u16()).trim_end()),
        kind: ErrorKind::from_status(status.as_u16()),
        status: Some(status.as_u16()),
        request_id,
        cloud: CloudProvider::Fly,
    }
}
