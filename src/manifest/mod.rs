//! TOML to [`Desired`](crate::kinds::Desired): reading, checking and lowering of manifests.

pub mod fly_toml;
pub mod node;
