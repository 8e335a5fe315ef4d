//! The one place that knows the time of day. Only events carry it; a plan never does.

/// Now, as RFC 3339 in UTC.
pub(super) fn now() -> String {
    wall().to_string()
}

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
