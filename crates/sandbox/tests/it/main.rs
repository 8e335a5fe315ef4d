//! Integration tests of the sandbox: every test calls it over HTTP, as any client would.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

mod access;
mod aws;
mod faults;
mod flyctl;
mod github;
mod leases;
mod local_only;
mod machine_config;
mod machine_lifecycle;
mod malformed_requests;
mod networks;
mod openapi;
mod openapi_coverage;
mod organizations;
mod postgres;
mod record;
mod registry;
mod resources;
mod state;
mod support;
mod updates;
mod wait;
