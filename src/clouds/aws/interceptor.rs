//! What every attempt of the SDK passes: it is counted with the run's other requests, logged, its answer is bounded, and
//! the answer's `Date` tells the server's clock, which is the only one that a lock may be judged by.

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

/// The interceptor. Clones share what they have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestInterceptor {
    request_counter: RequestCounter,
    last_server_date: Arc<Mutex<Option<(Timestamp, Instant)>>>,
}

/// The numbers of an attempt, kept between its two ends.
#[derive(Clone, Copy, Debug)]
struct AttemptOrdinal(RequestNumbers);

impl aws_smithy_types::config_bag::Storable for AttemptOrdinal {
    type Storer = aws_smithy_types::config_bag::StoreReplace<Self>;
}

impl RequestInterceptor {
    pub(super) fn new(gauge: RequestCounter) -> Self {
        Self {
            request_counter: gauge,
            last_server_date: Arc::default(),
        }
    }

    /// How many requests the run has sent.
    pub(super) fn request_count(&self) -> u64 {
        self.request_counter.request_count()
    }

    /// The `Date` of the last answer that had one, if that came after this moment.
    pub(super) fn server_date_since(&self, moment: Instant) -> Option<Timestamp> {
        let seen = *self
            .last_server_date
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, at)| *at >= moment).map(|(told, _)| told)
    }

    fn record_server_date(&self, date: Option<&str>) {
        let told = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        if let Some(told) = told {
            *self
                .last_server_date
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some((told.timestamp(), Instant::now()));
        }
    }
}

/// Whether a request changes something: S3 says it by the method, the query protocol of IAM and STS by the action.
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

    /// The SDK reads an answer to its end, whatever its length.
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
            "asks AWS"
        );
        let turn = self.request_counter.begin_request(
            "call AWS",
            is_write(request.method(), request.body().bytes()),
        )?;
        cfg.interceptor_state().store_put(AttemptOrdinal(turn));
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
        tracing::debug!(status = response.status().as_u16(), "AWS answered");
        if let Some(AttemptOrdinal(turn)) = cfg.load::<AttemptOrdinal>() {
            self.request_counter.end_request("call AWS", *turn)?;
        }
        Ok(())
    }
}
