//! The AWS port: from a raw request through counters, faults, signature and rights to an answer that is stored.
//!
//! The path is the one that Fly's requests take, with the same counters, clock, faults and record.

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
use crate::http::{drop_connection, truncated_body_response};
use crate::ids;
use crate::server::{Server, SharedState};

/// The largest body. A single write of S3 may have 5 GiB, but here it is held in memory.
const BODY_MAX_BYTES: usize = 256 << 20;

/// What a request asks for.
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

    /// What faults tell apart.
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

    /// An error in the words of the API that was asked.
    fn render_error(&self, request: &AwsRequest, problem: &AwsError, id: &str) -> AwsResponse {
        match self {
            Self::S3(_) => problem.to_s3_response(&request.path, id),
            Self::Query(query) => problem.to_query_response(query.namespace(), id),
        }
    }
}

/// Answers a request to the AWS port.
pub(crate) async fn serve(server: &Server, request: HttpRequest) -> Response<HttpBody> {
    let cut = request
        .extensions()
        .get::<ConnectInfo<ConnectionBreaker>>()
        .map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX_BYTES).await;
    if server.lock_state().closed {
        return drop_connection(cut);
    }
    let too_large = body.is_err();
    let request = AwsRequest::new(
        parts.method.to_string(),
        &parts.uri,
        parts.headers,
        body.unwrap_or_default(),
    );
    let plan = RoutedRequest::from_request(&request);
    let (n, blow) = {
        let mut core = server.lock_state();
        let kind = plan.fault_kind(&request);
        let (path, query) = (plan.recorded_path(&request), request.raw_query.clone());
        core.begin_request(&request.method, path, query, false, kind)
    };
    server.hold_if_injected(blow, Injected::HoldBefore).await;
    let id =
        ids::hex(&ids::derive_bytes(&["aws request", &n.to_string()])[..8]).to_ascii_uppercase();
    let reply = match too_large {
        true => Err(AwsError::new(
            400,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
        )),
        false => execute_with_faults(server, &plan, &request, blow, &id),
    };
    let reply = reply.unwrap_or_else(|problem| plan.render_error(&request, &problem, &id));
    server.hold_if_injected(blow, Injected::HoldAfter).await;
    server.delay().await;
    let dropped = matches!(blow, Some(Injected::DropBefore | Injected::DropAfter));
    server.finish_request(
        n,
        if dropped { 0 } else { reply.status },
        blow == Some(Injected::RateLimited),
    );
    if dropped {
        return drop_connection(cut);
    }
    // Neither has a body, whatever there would be to say, and half of nothing is nothing.
    let silent = request.method == "HEAD" || matches!(reply.status, 204 | 304);
    let now = server.lock_state().clock.now_ms();
    match blow == Some(Injected::Truncate) {
        true if silent => drop_connection(cut),
        true => truncated_body_response(response_builder(&reply, &id, now), &reply.body),
        false => {
            let body = if silent {
                Vec::new()
            } else {
                reply.body.clone()
            };
            response_builder(&reply, &id, now)
                .body(HttpBody::from(body))
                .unwrap_or_default()
        }
    }
}

/// Does the request, unless a fault forbids it.
fn execute_with_faults(
    server: &Server,
    plan: &RoutedRequest,
    request: &AwsRequest,
    blow: Option<Injected>,
    id: &str,
) -> Result<AwsResponse, AwsError> {
    let s3 = matches!(plan, RoutedRequest::S3(_));
    match blow {
        Some(Injected::DropBefore) => Ok(AwsResponse::empty(500)),
        Some(Injected::Status(code)) => Err(error_for_status(code, s3)),
        Some(Injected::RateLimited) => Err(error_for_status(429, s3)),
        Some(Injected::OperationAborted) => Err(error_for_status(409, s3)),
        Some(Injected::ConditionalConflict) => {
            let message = "The conditional request cannot succeed due to a conflicting operation against this resource.";
            Err(AwsError::new(409, "ConditionalRequestConflict", message))
        }
        Some(Injected::StatusAfter(code)) => {
            // Its answer is lost, good or bad.
            let _ = execute(server, plan, request, id);
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
            // The first answer is the one that was lost.
            let _ = execute(server, plan, request, id);
            execute(server, plan, request, id)
        }
        Some(
            Injected::DropAfter | Injected::Truncate | Injected::HoldBefore | Injected::HoldAfter,
        )
        | None => execute(server, plan, request, id),
    }
}

/// What AWS says with a status that a fault asks for.
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
    plan: &RoutedRequest,
    request: &AwsRequest,
    id: &str,
) -> Result<AwsResponse, AwsError> {
    let mut core = server.lock_state();
    core.catch_up_with_clock();
    let reply = match plan {
        RoutedRequest::S3(operation) => execute_s3(&mut core, *operation, request),
        RoutedRequest::Query(query) => iam::dispatch(&mut core.world, query, request)
            .map(|node| query.wrap_response(&node, id)),
    };
    core.save().map_err(|error| {
        tracing::error!(%error, "the sandbox could not store its state");
        AwsError::new(500, "InternalError", error.to_string())
    })?;
    server.notify_waiters();
    reply
}

fn execute_s3(
    core: &mut SharedState,
    operation: Option<&S3Operation>,
    request: &AwsRequest,
) -> Result<AwsResponse, AwsError> {
    let (who, claim) = caller::authenticate(&core.world, request, "s3")?;
    let operation = operation.ok_or_else(|| unsupported_operation(request))?;
    let (bucket, key) = request.bucket_and_key();
    if operation.class == OperationClass::Configure
        && is_config_not_yet_visible(
            &core.world.aws,
            &bucket,
            core.world.now_ms,
            core.faults.late_bucket_ms(),
        )
    {
        return Err(s3::no_such_bucket(&bucket));
    }
    let (content, trailer) = request.decode_body()?;
    let mut call = S3Call {
        ignore_preconditions: core.faults.ignores_conditions(),
        region: claim.map(|claim| claim.region).unwrap_or_default(),
        world: &mut core.world,
        request,
        caller: &who,
        bucket,
        key,
        body: content,
        trailer,
        context: RequestContext::default(),
    };
    s3::execute(&mut call, operation)
}

/// Why a request is no operation.
fn unsupported_operation(request: &AwsRequest) -> AwsError {
    match request.method.as_str() {
        "GET" | "HEAD" | "PUT" | "POST" | "DELETE" => {
            let message =
                "A header or query you provided implies functionality that is not imitated here";
            AwsError::new(501, "NotImplemented", message)
        }
        _ => AwsError::new(
            405,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        ),
    }
}

/// Whether a bucket is so new that its configuration is not there yet, because a fault says so.
fn is_config_not_yet_visible(cloud: &AwsState, bucket: &str, now: i64, late_ms: i64) -> bool {
    late_ms > 0
        && cloud
            .buckets
            .get(bucket)
            .is_some_and(|bucket| now - bucket.created_ms < late_ms)
}

/// The status line and the headers.
fn response_builder(reply: &AwsResponse, id: &str, now: i64) -> Builder {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let builder = Response::builder()
        .status(status)
        .header("date", s3::format_http_date(now));
    let builder = builder
        .header("x-amz-request-id", id)
        .header("x-amzn-requestid", id)
        .header("x-amz-id-2", id);
    // What a client sent may come back in a header, and not all of it can stand in one.
    let sound = reply
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)));
    sound.fold(builder, |builder, (name, value)| {
        builder.header(name, value)
    })
}
