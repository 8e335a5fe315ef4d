//! The sandbox, asked over HTTP as any client would ask it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

mod access;
mod aws;
mod config;
mod failures;
mod flyctl;
mod junk;
mod kit;
mod leases;
mod lives;
mod openapi;
mod organizations;
mod record;
mod registry;
mod state;
mod things;
mod tour;
mod wait;
