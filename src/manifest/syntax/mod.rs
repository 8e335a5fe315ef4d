//! Parses TOML with the location of every value, and reports diagnostics that point at it.

pub mod bounded_read;
pub(super) mod cursor;
pub mod dotenv;
pub(super) mod error;
pub(super) mod mask;
pub mod node;
pub(super) mod secret_detection;
pub(super) mod suggest;
