//! Lowers `[apps.KEY]` to the specs of Fly resources.

pub(super) mod app;
pub(super) mod build;
pub(super) mod checks;
pub(super) mod collisions;
pub(super) mod containers;
pub(super) mod cron;
pub(super) mod depends_on;
pub(super) mod deploy;
pub(super) mod env;
pub(super) mod files;
pub(super) mod guest;
pub(super) mod machine_config;
pub(super) mod machine_parts;
pub(super) mod machines;
pub(super) mod mounts;
pub(super) mod network;
pub(super) mod ports;
pub(super) mod process_groups;
pub(super) mod repeated_sections;
pub(super) mod scalars;
pub(super) mod secret_origin;
pub(super) mod secret_sources;
pub(super) mod secret_value;
pub(super) mod secrets;
pub(super) mod services;
