//! A record of every exchange with Fly's APIs, byte for byte, for tools that hold clients and this imitation to the
//! published documents (`scripts/conformance`).
//!
//! One line of JSON for each, when its answer goes out: `method`, `path`, `query`, `headers`, `body`, and of the answer
//! `status` (0 when the connection was cut instead), `answer_headers`, `answer`. Bodies are the text as it was sent, so
//! values of secrets are in them: nobody else may read the file. The token of a request is not: `authorization` is left
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

use super::connection::ConnectionBreaker;
use super::http::MAX_BODY_BYTES;

/// Where the lines go.
#[derive(Debug)]
pub(super) struct ExchangeRecorder(Mutex<File>);

impl ExchangeRecorder {
    /// Opens the file, and makes it if it is missing.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(path)?;
        // It may have been there before.
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

/// Passes a request on, and records what came of it.
pub(super) async fn record_exchange(
    State(recorder): State<Arc<ExchangeRecorder>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    // What only the imitation has is nobody's API.
    if request.uri().path().starts_with("/_") {
        return next.run(request).await;
    }
    let cut = request
        .extensions()
        .get::<ConnectInfo<ConnectionBreaker>>()
        .map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    let Ok(sent) = to_bytes(body, MAX_BODY_BYTES).await else {
        // Its sender went away, or it was far too long: what comes next sees a body that breaks off, as without a record.
        return next.run(Request::from_parts(parts, broken_body())).await;
    };
    let mut exchange = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query().unwrap_or_default(),
        "headers": headers_json(&parts.headers),
        "body": String::from_utf8_lossy(&sent),
    });
    let answer = next.run(Request::from_parts(parts, Body::from(sent))).await;
    let (head, body) = answer.into_parts();
    let whole = body.size_hint().exact().is_some() && !cut.is_some_and(|cut| cut.is_tripped());
    // Only a body that is meant to break off has no length beforehand; it goes on as it is.
    let (body, text) = match whole {
        false => (body, String::new()),
        true => match to_bytes(body, usize::MAX).await {
            Ok(bytes) => (
                Body::from(bytes.clone()),
                String::from_utf8_lossy(&bytes).into_owned(),
            ),
            Err(_) => (broken_body(), String::new()),
        },
    };
    let status = if whole { head.status.as_u16() } else { 0 };
    if let Some(fields) = exchange.as_object_mut() {
        fields.insert("status".to_owned(), status.into());
        fields.insert("answer_headers".to_owned(), headers_json(&head.headers));
        fields.insert("answer".to_owned(), text.into());
    }
    recorder.append(&exchange);
    Response::from_parts(head, body)
}

/// A body that breaks off at once.
fn broken_body() -> Body {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    Body::from_stream(futures_util::stream::once(async move {
        Err::<Vec<u8>, _>(reset())
    }))
}

/// The headers, without what proves who somebody is.
fn headers_json(headers: &HeaderMap) -> Value {
    let shown = headers
        .iter()
        .filter(|(name, _)| **name != header::AUTHORIZATION);
    let text =
        |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned());
    Value::Object(
        shown
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect::<Map<_, _>>(),
    )
}
