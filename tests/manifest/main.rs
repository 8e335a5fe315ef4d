//! Manifests as users write them: the desired state that they become, and the diagnostics of
//! invalid ones.

mod aws_hazards;
mod aws_limits;
mod corpus;
mod fly_toml;
mod iam_policies;
mod inputs;
mod invalid;
mod lowering;
mod machine_config;
mod mangled;
mod postgres;
mod schema;
pub(crate) mod support;
mod valid;
