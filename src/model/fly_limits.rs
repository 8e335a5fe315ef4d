//! What is known of Fly's own pace, where more than one floor needs it: the client keeps to it, and plans foretell it.

/// How many requests of one action Fly allows on one machine or app at once, and how many more in each second ("Working
/// with the Machines API", rate limits).
pub const REQUEST_BURST: u32 = 3;
/// See [`BURST`].
pub const REQUESTS_PER_SECOND: u32 = 1;
/// For how many seconds a machine without checks must stay up before its start counts, as in flyctl's smoke checks.
pub const SMOKE_CHECK_SECS: u64 = 10;
