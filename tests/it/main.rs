//! One test binary, quick to link: what crosses modules (the real client against the sandbox), the rules of the house,
//! and the folders beside this one, each of which tests one module.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

mod aws;
mod corpus;
mod deploys;
mod floors;
mod health;
mod hostile;
mod images;
mod leases;
mod locks;
mod lost;
mod machines;
mod manifests;
mod matrix;
mod picture;
mod properties;
mod public;
mod readme;
mod rollouts;
mod scripts;
mod secrets;
mod skip;
mod story;
mod support;

#[path = "../fly_toml/main.rs"]
mod fly_toml;
#[path = "../manifest/main.rs"]
mod manifest;
#[path = "../render/main.rs"]
mod render;
