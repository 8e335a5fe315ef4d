//! What a route is: method, path, endpoint, and the bucket that limits it.

use super::api::{ApiCall, ApiResult};
use super::rate_limit::RateLimit;
use super::world::SimulatedWorld;

/// An endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RouteHandler {
    /// It answers at once.
    Immediate(fn(&mut SimulatedWorld, &ApiCall) -> ApiResult),
    /// It may not have an answer yet, and then says until when it would wait for one.
    LongPoll(fn(&mut SimulatedWorld, &ApiCall) -> Result<ApiResult, i64>),
}

/// Which part of a call the rate limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateLimitKey {
    /// The most specific thing that the path names.
    Path,
    /// Whoever asks.
    Token,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) handler: RouteHandler,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) rate_limit_key: RateLimitKey,
    /// Whether a read-only token is refused.
    pub(crate) is_write: bool,
    /// Whether the endpoint itself decides about somebody without a token, and takes it as a password too.
    pub(crate) allows_anonymous: bool,
}

/// An ordinary route: `GET` reads, everything else writes, all are limited per identifier in the path.
pub(crate) fn route(
    method: &'static str,
    path: &'static str,
    run: fn(&mut SimulatedWorld, &ApiCall) -> ApiResult,
) -> Route {
    let identifier = if path.contains('{') {
        RateLimitKey::Path
    } else {
        RateLimitKey::Token
    };
    Route {
        method,
        path,
        handler: RouteHandler::Immediate(run),
        rate_limit: Some(RateLimit::DEFAULT),
        rate_limit_key: identifier,
        is_write: method != "GET",
        allows_anonymous: false,
    }
}

impl Route {
    /// The same with a rate limit of its own.
    pub(crate) fn with_rate_limit(self, rate: RateLimit, identifier: RateLimitKey) -> Self {
        Self {
            rate_limit: Some(rate),
            rate_limit_key: identifier,
            ..self
        }
    }

    /// The same without a rate limit: the documentation limits the Machines API only.
    pub(crate) fn without_rate_limit(self) -> Self {
        Self {
            rate_limit: None,
            ..self
        }
    }

    /// The same, open to read-only tokens although its method is not `GET`.
    pub(crate) fn read_only(self) -> Self {
        Self {
            is_write: false,
            ..self
        }
    }

    /// What the rate limit of a call counts by. For things under an application the application is part of it,
    /// because names of secrets and certificates are only unique there.
    pub(crate) fn rate_limit_id(&self, call: &ApiCall) -> String {
        match self.rate_limit_key {
            RateLimitKey::Path => call.params.values().cloned().collect::<Vec<_>>().join("/"),
            RateLimitKey::Token => call
                .caller
                .tokens
                .first()
                .map(|token| token.id.clone())
                .unwrap_or_default(),
        }
    }
}
