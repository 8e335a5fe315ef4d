//! Exit codes. They are an interface: scripts and workflows depend on them.

use crate::ops::Completion;

/// Everything was done, or there was nothing to do.
pub const OK: u8 = 0;
/// Something is wrong: the manifest, the token, the cloud, the command line.
pub const ERROR: u8 = 1;
/// There are changes (`plan --detailed-exitcode`), drift (`drift`) or findings (`doctor`). Terraform's code.
pub const CHANGES: u8 = 2;
/// The plan is refused: dangerous, not the one that was reviewed, or not confirmed.
pub const REFUSED: u8 = 3;
/// Some steps were not done, or a signal has ended a run that may have written: run the same command again.
pub const INCOMPLETE: u8 = 4;

/// The exit code of two commands in one: an error is worse than any other outcome.
pub(super) fn worst(first: u8, second: u8) -> u8 {
    if first == ERROR || second == ERROR {
        ERROR
    } else {
        first.max(second)
    }
}

/// The exit code of an operation.
pub(super) fn code(completion: Completion) -> u8 {
    match completion {
        Completion::Complete => OK,
        Completion::Incomplete => INCOMPLETE,
    }
}
