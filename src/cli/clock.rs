//! The only place that reads the wall clock. Events carry time stamps; a plan never does.

/// The current time in UTC, as RFC 3339.
pub(super) fn rfc3339_now() -> String {
    current_time().to_string()
}

/// The current time.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn current_time() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
