//! The AWS port: from a raw request through counters, faults, signature and rights to an answer that is stored.
//!
//! The path is the one that Fly's requests take, with the same counters, clock, faults and record.

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest};
use axum::http::response::Builder;
use axum::http::{HeaderValue, Response, StatusCode};

use super::answer::{Problem, Reply};
use super::iam::{self, Query};
use super::request::Request;
use super::s3::{self, Call, Class, Operation};
use super::{state::Cloud, who};
use crate::aws::policy::Context;
use crate::connection::Cut;
use crate::faults::{Blow, Kind};
use crate::ids;
use crate::server::{Core, Server};
use crate::wire::{cut_short, hang_up};

/// The largest body. A single write of S3 may have 5 GiB, but here it is held in memory.
const BODY_MAX: usize = 256 << 20;

/// What a request asks for.
#[derive(Debug)]
enum Plan {
    S3(Option<&'static Operation>),
    Query(Query),
}

impl Plan {
    fn of(request: &Request) -> Self {
        match iam::query(request) {
            Some(query) => Self::Query(query),
            None => Self::S3(s3::find(request)),
        }
    }

    /// What faults tell apart.
    fn kind(&self, request: &Request) -> Kind {
        let conditional = ["if-match", "if-none-match"]
            .iter()
            .any(|name| request.headers.contains_key(*name));
        match self {
            Self::S3(Some(operation)) => match operation.class {
                Class::Read => Kind::Read,
                Class::Configure => Kind::Configure,
                Class::Write if conditional => Kind::Conditional,
                Class::Write => Kind::Write,
            },
            Self::S3(None) if matches!(request.method.as_str(), "GET" | "HEAD") => Kind::Read,
            Self::S3(None) => Kind::Write,
            Self::Query(query) if query.writes() => Kind::Write,
            Self::Query(_) => Kind::Read,
        }
    }

    /// The path under which the request is recorded.
    fn readable(&self, request: &Request) -> String {
        match self {
            Self::S3(operation) => s3::readable(request, *operation),
            Self::Query(query) => query.to_string(),
        }
    }

    /// An error in the words of the API that was asked.
    fn refuse(&self, request: &Request, problem: &Problem, id: &str) -> Reply {
        match self {
            Self::S3(_) => problem.s3(&request.path, id),
            Self::Query(query) => problem.query(query.namespace(), id),
        }
    }
}

/// Answers a request to the AWS port.
pub(crate) async fn serve(server: &Server, request: HttpRequest) -> Response<HttpBody> {
    let cut = request
        .extensions()
        .get::<ConnectInfo<Cut>>()
        .map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await;
    if server.core().closed {
        return hang_up(cut);
    }
    let too_large = body.is_err();
    let request = Request::new(
        parts.method.to_string(),
        &parts.uri,
        parts.headers,
        body.unwrap_or_default(),
    );
    let plan = Plan::of(&request);
    let (n, blow) = {
        let mut core = server.core();
        let kind = plan.kind(&request);
        let (path, query) = (plan.readable(&request), request.raw_query.clone());
        core.arrive(&request.method, path, query, false, kind)
    };
    server.hold(blow, Blow::HoldBefore).await;
    let id = ids::hex(&ids::draw(&["aws request", &n.to_string()])[..8]).to_ascii_uppercase();
    let reply = match too_large {
        true => Err(Problem::new(
            400,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
        )),
        false => struck(server, &plan, &request, blow, &id),
    };
    let reply = reply.unwrap_or_else(|problem| plan.refuse(&request, &problem, &id));
    server.hold(blow, Blow::HoldAfter).await;
    server.linger().await;
    let dropped = matches!(blow, Some(Blow::DropBefore | Blow::DropAfter));
    server.depart(
        n,
        if dropped { 0 } else { reply.status },
        blow == Some(Blow::Limited),
    );
    if dropped {
        return hang_up(cut);
    }
    // Neither has a body, whatever there would be to say, and half of nothing is nothing.
    let silent = request.method == "HEAD" || matches!(reply.status, 204 | 304);
    let now = server.core().clock.now();
    match blow == Some(Blow::Truncate) {
        true if silent => hang_up(cut),
        true => cut_short(head(&reply, &id, now), &reply.body),
        false => {
            let body = if silent {
                Vec::new()
            } else {
                reply.body.clone()
            };
            head(&reply, &id, now)
                .body(HttpBody::from(body))
                .unwrap_or_default()
        }
    }
}

/// Does the request, unless a fault forbids it.
fn struck(
    server: &Server,
    plan: &Plan,
    request: &Request,
    blow: Option<Blow>,
    id: &str,
) -> Result<Reply, Problem> {
    let s3 = matches!(plan, Plan::S3(_));
    match blow {
        Some(Blow::DropBefore) => Ok(Reply::empty(500)),
        Some(Blow::Status(code)) => Err(words(code, s3)),
        Some(Blow::Limited) => Err(words(429, s3)),
        Some(Blow::Aborted) => Err(words(409, s3)),
        Some(Blow::Conflict) => {
            let message = "The conditional request cannot succeed due to a conflicting operation against this resource.";
            Err(Problem::new(409, "ConditionalRequestConflict", message))
        }
        Some(Blow::StatusAfter(code)) => {
            // Its answer is lost, good or bad.
            let _ = run(server, plan, request, id);
            Err(words(code, s3))
        }
        Some(Blow::Expired) => Err(Problem::new(
            if s3 { 400 } else { 403 },
            "ExpiredToken",
            if s3 {
                "The provided token has expired."
            } else {
                "The security token included in the request is expired"
            },
        )),
        Some(Blow::Twice) => {
            // The first answer is the one that was lost.
            let _ = run(server, plan, request, id);
            run(server, plan, request, id)
        }
        Some(Blow::DropAfter | Blow::Truncate | Blow::HoldBefore | Blow::HoldAfter) | None => {
            run(server, plan, request, id)
        }
    }
}

/// What AWS says with a status that a fault asks for.
fn words(code: u16, s3: bool) -> Problem {
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
    Problem::new(status, name, message)
}

fn run(server: &Server, plan: &Plan, request: &Request, id: &str) -> Result<Reply, Problem> {
    let mut core = server.core();
    core.catch_up();
    let reply = match plan {
        Plan::S3(operation) => bucket_or_object(&mut core, *operation, request),
        Plan::Query(query) => {
            iam::run(&mut core.world, query, request).map(|node| query.envelope(&node, id))
        }
    };
    core.save().map_err(|error| {
        tracing::error!(%error, "the sandbox could not store its state");
        Problem::new(500, "InternalError", error.to_string())
    })?;
    server.tell();
    reply
}

fn bucket_or_object(
    core: &mut Core,
    operation: Option<&Operation>,
    request: &Request,
) -> Result<Reply, Problem> {
    let (who, claim) = who::authenticate(&core.world, request, "s3")?;
    let operation = operation.ok_or_else(|| unknown(request))?;
    let (bucket, key) = request.target();
    if operation.class == Class::Configure
        && is_late(
            &core.world.aws,
            &bucket,
            core.world.now,
            core.faults.late_ms(),
        )
    {
        return Err(s3::no_bucket(&bucket));
    }
    let (content, trailer) = request.content()?;
    let mut call = Call {
        unconditional: core.faults.unconditional(),
        region: claim.map(|claim| claim.region).unwrap_or_default(),
        world: &mut core.world,
        request,
        who: &who,
        bucket,
        key,
        content,
        trailer,
        context: Context::default(),
    };
    s3::run(&mut call, operation)
}

/// Why a request is no operation.
fn unknown(request: &Request) -> Problem {
    match request.method.as_str() {
        "GET" | "HEAD" | "PUT" | "POST" | "DELETE" => {
            let message =
                "A header or query you provided implies functionality that is not imitated here";
            Problem::new(501, "NotImplemented", message)
        }
        _ => Problem::new(
            405,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        ),
    }
}

/// Whether a bucket is so new that its configuration is not there yet, because a fault says so.
fn is_late(cloud: &Cloud, bucket: &str, now: i64, late_ms: i64) -> bool {
    late_ms > 0
        && cloud
            .buckets
            .get(bucket)
            .is_some_and(|bucket| now - bucket.created_ms < late_ms)
}

/// The status line and the headers.
fn head(reply: &Reply, id: &str, now: i64) -> Builder {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let builder = Response::builder()
        .status(status)
        .header("date", s3::http_date(now));
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
