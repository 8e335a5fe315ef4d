//! The one place that knows the time of day. Only events carry it; a plan never does.

/// Now, as RFC 3339 in UTC.
pub(super) fn rfc3339_now() -> String {
    current_time().to_string()
}

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn current_time() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
