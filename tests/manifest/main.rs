//! Manifests as users write them: what they become, and what is said of broken ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod bad;
mod good;
mod inputs;
mod junk;
mod lowering;
mod schema;
mod support;
