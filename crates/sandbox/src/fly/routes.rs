//! A route: method, path, endpoint, and its rate limit.

use super::rate_limit::RateLimit;
use crate::api::{ApiCall, ApiResult};
use crate::world::SimulatedWorld;

/// The endpoint of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RouteHandler {
    /// Responds at once.
    Immediate(fn(&mut SimulatedWorld, &ApiCall) -> ApiResult),
    /// May have to wait for a change: `Err` is the time until which it wants to wait.
    LongPoll(fn(&mut SimulatedWorld, &ApiCall) -> Result<ApiResult, i64>),
}

/// What the rate limit of a route is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateLimitKey {
    /// The resource that the path names.
    Path,
    /// The caller's token.
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
    /// Whether it writes; read-only tokens are then rejected.
    pub(crate) is_write: bool,
    /// Whether it accepts calls without a token, and tokens as the password of basic
    /// authentication.
    pub(crate) allows_anonymous: bool,
}

/// An ordinary route: `GET` reads, every other method writes, each with its default rate limit. It is
/// counted by the resource in the path, or by token when the path names none.
pub(crate) fn route(
    method: &'static str,
    path: &'static str,
    run: fn(&mut SimulatedWorld, &ApiCall) -> ApiResult,
) -> Route {
    let rate_limit_key = if path.contains('{') {
        RateLimitKey::Path
    } else {
        RateLimitKey::Token
    };
    let is_write = method != "GET";
    let rate_limit = if is_write {
        RateLimit::WRITE
    } else {
        RateLimit::READ
    };
    Route {
        method,
        path,
        handler: RouteHandler::Immediate(run),
        rate_limit: Some(rate_limit),
        rate_limit_key,
        is_write,
        allows_anonymous: false,
    }
}

impl Route {
    /// The same route with its own rate limit.
    pub(crate) fn with_rate_limit(
        self,
        rate_limit: RateLimit,
        rate_limit_key: RateLimitKey,
    ) -> Self {
        Self {
            rate_limit: Some(rate_limit),
            rate_limit_key,
            ..self
        }
    }

    /// The same route without a rate limit: the documentation mentions limits for the Machines API
    /// only.
    pub(crate) fn without_rate_limit(self) -> Self {
        Self {
            rate_limit: None,
            ..self
        }
    }

    /// The same route, open to read-only tokens although its method is not `GET`.
    pub(crate) fn read_only(self) -> Self {
        Self {
            is_write: false,
            ..self
        }
    }

    /// The key by which the rate limit counts a call. It includes the app, because names of secrets
    /// and certificates are only unique within one.
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
