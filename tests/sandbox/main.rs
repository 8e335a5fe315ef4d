//! The sandbox, asked over HTTP as any client would ask it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod kit;
mod lives;
