//! One test binary for what crosses modules: the real client against the sandbox, and the rules of the house.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod crash;
mod floors;
mod manifests;
mod properties;
mod scripts;
mod story;
mod support;
