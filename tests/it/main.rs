//! All tests in one binary, which is quick to link: tests across modules (the real client against
//! the sandbox), rules for the sources themselves, and the folders next to this one, each of which
//! tests one module.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

mod architecture;
mod aws;
mod builds;
mod data_loss;
mod deploys;
mod doctor;
mod fuzz_corpus;
mod github;
mod health;
mod hostile;
mod images;
mod init;
mod joined_sandbox;
mod kinds;
mod leases;
mod locks;
mod lost_responses;
mod machines;
mod manifest_lifecycle;
mod matrix;
mod postgres;
mod properties;
mod public_endpoint;
mod readme;
mod readme_screenshot;
mod reconcile;
mod rollouts;
mod scripts;
mod secrets;
mod skip_if_message;
mod starting_steps;
mod support;
mod unstated;
mod workflows;

#[path = "../fly_toml/main.rs"]
mod fly_toml;
#[path = "../manifest/main.rs"]
mod manifest;
#[path = "../render/main.rs"]
mod render;
