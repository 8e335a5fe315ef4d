//! The entry point of the AWS port: counts and records a request, injects faults, executes it, stores
//! the changed state and renders the response.
//!
//! Requests to the Fly APIs take the same path, with the same counters, clock, faults and records.

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest};
use axum::http::response::Builder;
use axum::http::{HeaderValue, Response, StatusCode};

use super::iam::{self, QueryRequest};
use super::request::AwsRequest;
use super::response::{AwsError, AwsResponse};
use super::s3::{self, OperationClass, S3Call, S3Operation};
use super::{caller, state::AwsState};
use crate::aws::policy::RequestContext;
use crate::connection::ConnectionBreaker;
use crate::faults::{Injected, RequestKind};
use crate::http::{drop_connection, render_response, truncated_body_response};
use crate::ids;
use crate::local_only::check_local;
use crate::server::Server;
use crate::shared_state::SharedState;

/// The largest request body, in bytes. S3 accepts 5 GiB in one `PutObject`, but bodies are held in memory here.
const BODY_MAX_BYTES: usize = 256 << 20;

/// The operation that a request is for.
#[derive(Debug)]
enum RoutedRequest {
    S3(Option<&'static S3Operation>),
    Query(QueryRequest),
}

impl RoutedRequest {
    fn from_request(request: &AwsRequest) -> Self {
        match iam::parse_query_request(request) {
            Some(query) => Self::Query(query),
            None => Self::S3(s3::find_operation(request)),
        }
    }

    /// The kind of request that fault rules select on.
    fn fault_kind(&self, request: &AwsRequest) -> RequestKind {
        let conditional = ["if-match", "if-none-match"]
            .iter()
            .any(|name| request.headers.contains_key(*name));
        match self {
            Self::S3(Some(operation)) => match operation.class {
                OperationClass::Read => RequestKind::Read,
                OperationClass::Configure => RequestKind::BucketConfiguration,
                OperationClass::Write if conditional => RequestKind::ConditionalWrite,
                OperationClass::Write => RequestKind::Write,
            },
            Self::S3(None) if matches!(request.method.as_str(), "GET" | "HEAD") => {
                RequestKind::Read
            }
            Self::S3(None) => RequestKind::Write,
            Self::Query(query) if query.is_write() => RequestKind::Write,
            Self::Query(_) => RequestKind::Read,
        }
    }

    /// The path under which the request is recorded.
    fn recorded_path(&self, request: &AwsRequest) -> String {
        match self {
            Self::S3(operation) => s3::recorded_path(request, *operation),
            Self::Query(query) => query.to_string(),
        }
    }

    /// Renders an error in the format of the API that was called.
    fn render_error(&self, request: &AwsRequest, error: &AwsError, id: &str) -> AwsResponse {
        match self {
            Self::S3(_) => error.to_s3_response(&request.path, id),
            Self::Query(query) => error.to_query_response(query.namespace(), id),
        }
    }
}

/// Handles one request to the AWS port.
pub(crate) async fn serve(server: &Server, request: HttpRequest) -> Response<HttpBody> {
    let breaker = request
        .extensions()
        .get::<ConnectInfo<ConnectionBreaker>>()
        .map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    if let Err(error) = check_local(&parts.headers) {
        return render_response(&error.into(), 0);
    }
    let body = to_bytes(body, BODY_MAX_BYTES).await;
    // The sandbox was stopped in the meantime, and another process can own its state by now.
    if server.lock_state().closed {
        return drop_connection(breaker);
    }
    let too_large = body.is_err();
    let request = AwsRequest::new(
        parts.method.to_string(),
        &parts.uri,
        parts.headers,
        body.unwrap_or_default(),
    );
    let routed = RoutedRequest::from_request(&request);
    // Counting, recording and choosing a fault happen under one lock, so that request ordinals are unique.
    let (request_number, injected) = {
        let mut state = server.lock_state();
        let kind = routed.fault_kind(&request);
        let (path, query) = (routed.recorded_path(&request), request.raw_query.clone());
        state.begin_request(&request.method, path, query, false, kind)
    };
    server
        .hold_if_injected(injected, Injected::HoldBefore)
        .await;
    let id = ids::hex(&ids::derive_bytes(&["aws request", &request_number.to_string()])[..8])
        .to_ascii_uppercase();
    let response = match too_large {
        true => Err(AwsError::new(
            400,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
        )),
        false => execute_with_faults(server, &routed, &request, injected, &id),
    };
    let response = response.unwrap_or_else(|error| routed.render_error(&request, &error, &id));
    server.hold_if_injected(injected, Injected::HoldAfter).await;
    server.delay().await;
    let dropped = matches!(injected, Some(Injected::DropBefore | Injected::DropAfter));
    server.finish_request(
        request_number,
        if dropped { 0 } else { response.status },
        injected == Some(Injected::RateLimited),
    );
    if dropped {
        return drop_connection(breaker);
    }
    // These responses have no body, so there is nothing to truncate: the connection is dropped instead.
    let has_no_body = request.method == "HEAD" || matches!(response.status, 204 | 304);
    let now = server.lock_state().clock.now_ms();
    match injected == Some(Injected::Truncate) {
        true if has_no_body => drop_connection(breaker),
        true => truncated_body_response(response_builder(&response, &id, now), &response.body),
        false => {
            let body = if has_no_body {
                Vec::new()
            } else {
                response.body.clone()
            };
            response_builder(&response, &id, now)
                .body(HttpBody::from(body))
                .unwrap_or_default()
        }
    }
}

/// Executes the request, or does what the injected fault demands.
fn execute_with_faults(
    server: &Server,
    routed: &RoutedRequest,
    request: &AwsRequest,
    injected: Option<Injected>,
    id: &str,
) -> Result<AwsResponse, AwsError> {
    let s3 = matches!(routed, RoutedRequest::S3(_));
    match injected {
        Some(Injected::DropBefore) => Ok(AwsResponse::empty(500)),
        Some(Injected::Status(code)) => Err(error_for_status(code, s3)),
        Some(Injected::RateLimited) => Err(error_for_status(429, s3)),
        Some(Injected::OperationAborted) => Err(error_for_status(409, s3)),
        Some(Injected::ConditionalConflict) => {
            let message = "The conditional request cannot succeed due to a conflicting operation against this resource.";
            Err(AwsError::new(409, "ConditionalRequestConflict", message))
        }
        Some(Injected::StatusAfter(code)) => {
            // The request takes effect and the client still gets an error, so the real result is ignored.
            let _ = execute(server, routed, request, id);
            Err(error_for_status(code, s3))
        }
        Some(Injected::TokenExpired) => Err(AwsError::new(
            if s3 { 400 } else { 403 },
            "ExpiredToken",
            if s3 {
                "The provided token has expired."
            } else {
                "The security token included in the request is expired"
            },
        )),
        Some(Injected::Twice) => {
            // As if the first response was lost and a proxy sent the request again.
            let _ = execute(server, routed, request, id);
            execute(server, routed, request, id)
        }
        Some(
            Injected::DropAfter | Injected::Truncate | Injected::HoldBefore | Injected::HoldAfter,
        )
        | None => execute(server, routed, request, id),
    }
}

/// The error that AWS returns with the status that a fault demands.
fn error_for_status(code: u16, s3: bool) -> AwsError {
    let (status, name, message) = match (code, s3) {
        (400, _) => (400, "InvalidRequest", "Invalid Request"),
        (403, _) => (403, "AccessDenied", "Access Denied"),
        (404, true) => (404, "NoSuchBucket", "The specified bucket does not exist"),
        (404, false) => (404, "NoSuchEntity", "The entity cannot be found."),
        (409, true) => {
            let message = "A conflicting conditional operation is currently in progress against this resource. Please \
                           try again.";
            (409, "OperationAborted", message)
        }
        (409, false) => {
            let message = "The request was rejected because multiple requests to change this object were submitted \
                           simultaneously. Wait a few minutes and submit your request again.";
            (409, "ConcurrentModification", message)
        }
        (412, _) => (
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        ),
        (429 | 503, true) => (503, "SlowDown", "Please reduce your request rate."),
        (429, false) => (400, "Throttling", "Rate exceeded"),
        (503, false) => (
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
        (code, _) => (
            code,
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
    };
    AwsError::new(status, name, message)
}

fn execute(
    server: &Server,
    routed: &RoutedRequest,
    request: &AwsRequest,
    id: &str,
) -> Result<AwsResponse, AwsError> {
    let mut state = server.lock_state();
    state.catch_up_with_clock();
    let response = match routed {
        RoutedRequest::S3(operation) => execute_s3(&mut state, *operation, request),
        RoutedRequest::Query(query) => iam::dispatch(&mut state.world, query, request)
            .map(|node| query.wrap_response(&node, id)),
    };
    // Save even after an error: catching up with the clock can have changed the world.
    state.save().map_err(|error| {
        tracing::error!(%error, "the sandbox could not store its state");
        AwsError::new(500, "InternalError", error.to_string())
    })?;
    // Wake requests that wait for a change: catching up with the clock can have changed machines.
    server.notify_waiters();
    response
}

fn execute_s3(
    state: &mut SharedState,
    operation: Option<&S3Operation>,
    request: &AwsRequest,
) -> Result<AwsResponse, AwsError> {
    let (caller, signature) = caller::authenticate(&state.world, request, "s3")?;
    let operation = operation.ok_or_else(|| unsupported_operation(request))?;
    let (bucket, key) = request.bucket_and_key();
    if operation.class == OperationClass::Configure
        && is_config_not_yet_visible(
            &state.world.aws,
            &bucket,
            state.world.now_ms,
            state.faults.late_bucket_ms(),
        )
    {
        return Err(s3::no_such_bucket(&bucket));
    }
    let (body, trailer) = request.decode_body()?;
    let mut call = S3Call {
        ignore_preconditions: state.faults.ignores_conditions(),
        region: signature
            .map(|signature| signature.region)
            .unwrap_or_default(),
        world: &mut state.world,
        request,
        caller: &caller,
        bucket,
        key,
        body,
        trailer,
        context: RequestContext::default(),
    };
    s3::execute(&mut call, operation)
}

/// The error for a request that matches no simulated operation.
fn unsupported_operation(request: &AwsRequest) -> AwsError {
    match request.method.as_str() {
        "GET" | "HEAD" | "PUT" | "POST" | "DELETE" => {
            let message = "A header or query you provided implies functionality that the sandbox does not support";
            AwsError::new(501, "NotImplemented", message)
        }
        _ => AwsError::method_not_allowed(),
    }
}

/// Whether a fault still hides the configuration of this bucket because the bucket is so new.
fn is_config_not_yet_visible(aws: &AwsState, bucket: &str, now: i64, late_ms: i64) -> bool {
    late_ms > 0
        && aws
            .buckets
            .get(bucket)
            .is_some_and(|bucket| now - bucket.created_ms < late_ms)
}

/// Starts the HTTP response: status line and headers.
fn response_builder(response: &AwsResponse, id: &str, now: i64) -> Builder {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let builder = Response::builder()
        .status(status)
        .header("date", s3::format_http_date(now));
    let builder = builder
        .header("x-amz-request-id", id)
        .header("x-amzn-requestid", id)
        .header("x-amz-id-2", id);
    // Object metadata comes back in headers. Values that are not valid in a header are left out.
    let valid_headers = response
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)));
    valid_headers.fold(builder, |builder, (name, value)| {
        builder.header(name, value)
    })
}
