//! Records every request to Fly's and GitHub's APIs with its response, byte for byte, so that tools can check
//! clients and the sandbox against the published API documents (`scripts/conformance`).
//!
//! Each exchange is one line of JSON, written when its response is sent: `method`, `path`, `query`,
//! `headers`, `body`, and of the response `status` (0 when the connection was closed instead),
//! `answer_headers`, `answer`. Bodies are recorded as they were sent, including the values of
//! secrets, so other users must not be able to read the file. The `authorization` header is left
//! out. Several servers may append to one file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::middleware::Next;
use serde_json::{Map, Value, json};

use crate::connection::ConnectionBreaker;
use crate::http::MAX_BODY_BYTES;

/// Appends exchanges to a file.
#[derive(Debug)]
pub(crate) struct ExchangeRecorder(Mutex<File>);

impl ExchangeRecorder {
    /// Opens the file, creating it if it does not exist.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(path)?;
        // An existing file may have had wider permissions.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(Self(Mutex::new(file)))
    }

    /// Appends a line in one write, so that lines of several processes never mix.
    fn append(&self, exchange: &Value) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{exchange}\n").as_bytes()) {
            tracing::error!(%error, "the sandbox could not record an exchange");
        }
    }
}

/// Middleware: passes a request on and records it with its response.
pub(crate) async fn record_exchange(
    State(recorder): State<Arc<ExchangeRecorder>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    // Paths such as `/_sandbox` belong to the sandbox, not to Fly's API.
    if request.uri().path().starts_with("/_") {
        return next.run(request).await;
    }
    let breaker = request
        .extensions()
        .get::<ConnectInfo<ConnectionBreaker>>()
        .map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    let Ok(request_bytes) = to_bytes(body, MAX_BODY_BYTES).await else {
        // The client disconnected, or the body is too long. The next handler gets a body that fails
        // to be read, as it would without recording.
        return next.run(Request::from_parts(parts, broken_body())).await;
    };
    let mut exchange = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query().unwrap_or_default(),
        "headers": headers_json(&parts.headers),
        "body": String::from_utf8_lossy(&request_bytes),
    });
    let response = next
        .run(Request::from_parts(parts, Body::from(request_bytes)))
        .await;
    let (response_parts, body) = response.into_parts();
    // After a fault that breaks the connection the client sees no response, whatever the handler
    // returned.
    let complete =
        body.size_hint().exact().is_some() && !breaker.is_some_and(|breaker| breaker.is_tripped());
    // Only a body that is cut off on purpose has no known length; it is passed on unchanged.
    let (body, response_text) = match complete {
        false => (body, String::new()),
        true => match to_bytes(body, usize::MAX).await {
            Ok(bytes) => (
                Body::from(bytes.clone()),
                String::from_utf8_lossy(&bytes).into_owned(),
            ),
            Err(_) => (broken_body(), String::new()),
        },
    };
    let status = if complete {
        response_parts.status.as_u16()
    } else {
        0
    };
    if let Some(fields) = exchange.as_object_mut() {
        fields.insert("status".to_owned(), status.into());
        fields.insert(
            "answer_headers".to_owned(),
            headers_json(&response_parts.headers),
        );
        fields.insert("answer".to_owned(), response_text.into());
    }
    recorder.append(&exchange);
    Response::from_parts(response_parts, body)
}

/// A body whose first read fails.
fn broken_body() -> Body {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    Body::from_stream(futures_util::stream::once(async move {
        Err::<Vec<u8>, _>(reset())
    }))
}

/// The headers as JSON, without the credentials.
fn headers_json(headers: &HeaderMap) -> Value {
    let visible = headers
        .iter()
        .filter(|(name, _)| **name != header::AUTHORIZATION);
    let text =
        |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned());
    Value::Object(
        visible
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect::<Map<_, _>>(),
    )
}
