//! An SDK interceptor that sees every attempt of every request: it counts the request together with
//! those to other clouds, logs it, limits the size of the response, and records the response's
//! `Date` header. Locks are judged only by that server time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef,
            BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
    primitives::SdkBody,
};
use http_body_util::Limited;
use jiff::Timestamp;

use crate::clouds::{
    endpoint::MAX_BODY_BYTES,
    request_counter::{RequestCounter, RequestNumbers},
};

/// The interceptor. Clones share the counter and the last server date.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestInterceptor {
    request_counter: RequestCounter,
    last_server_date: Arc<Mutex<Option<(Timestamp, Instant)>>>,
}

/// The request's numbers, kept in the SDK's config bag from the start of an attempt to its end.
#[derive(Clone, Copy, Debug)]
struct AttemptOrdinal(RequestNumbers);

impl aws_smithy_types::config_bag::Storable for AttemptOrdinal {
    type Storer = aws_smithy_types::config_bag::StoreReplace<Self>;
}

impl RequestInterceptor {
    pub(super) fn new(request_counter: RequestCounter) -> Self {
        Self {
            request_counter,
            last_server_date: Arc::default(),
        }
    }

    /// How many requests this run has sent, to any cloud.
    pub(super) fn request_count(&self) -> u64 {
        self.request_counter.request_count()
    }

    /// The `Date` header of the newest response that had one, if it arrived at or after `since`.
    pub(super) fn server_date_since(&self, since: Instant) -> Option<Timestamp> {
        let last_date = *self
            .last_server_date
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last_date
            .filter(|(_, at)| *at >= since)
            .map(|(date, _)| date)
    }

    fn record_server_date(&self, date: Option<&str>) {
        let date = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        if let Some(date) = date {
            *self
                .last_server_date
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some((date.timestamp(), Instant::now()));
        }
    }
}

/// Whether a request changes something. In S3 the method tells; IAM and STS use the query protocol,
/// where every request is a POST and the action in the body tells.
fn is_write(method: &str, body: Option<&[u8]>) -> bool {
    if method != "POST" {
        return !matches!(method, "GET" | "HEAD");
    }
    let reads = ["Action=Get", "Action=List", "Action=AssumeRole"];
    !body.is_some_and(|body| reads.iter().any(|read| body.starts_with(read.as_bytes())))
}

impl Intercept for RequestInterceptor {
    fn name(&self) -> &'static str {
        "trimtab"
    }

    /// The SDK reads a response body to its end whatever its length, so the size is limited here.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let body = response.take_body();
        *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_BODY_BYTES));
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        tracing::debug!(
            method = request.method(),
            path = request.uri().split('?').next(),
            "request to AWS"
        );
        let numbers = self.request_counter.begin_request(
            "call AWS",
            is_write(request.method(), request.body().bytes()),
        )?;
        cfg.interceptor_state().store_put(AttemptOrdinal(numbers));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        self.record_server_date(response.headers().get("date"));
        tracing::debug!(status = response.status().as_u16(), "response from AWS");
        if let Some(AttemptOrdinal(numbers)) = cfg.load::<AttemptOrdinal>() {
            self.request_counter.end_request("call AWS", *numbers)?;
        }
        Ok(())
    }
}
