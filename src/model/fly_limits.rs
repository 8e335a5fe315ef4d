//! Fly's rate limits and waiting times, where both the client and the plan's time estimate need
//! them.

/// How many requests of one action on one machine or app Fly accepts in a burst ("Working with the
/// Machines API", rate limits).
pub const REQUEST_BURST: u32 = 3;
/// How many requests per second Fly accepts after the burst; see [`REQUEST_BURST`].
pub const REQUESTS_PER_SECOND: u32 = 1;
/// How many seconds a machine without checks must stay up before its start counts as successful, as
/// in flyctl's smoke checks.
pub const SMOKE_CHECK_SECS: u64 = 10;
