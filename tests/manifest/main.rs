//! Manifests as users write them: what they become, and what is said of broken ones.

mod aws_limits;
mod corpus;
mod iam_policies;
mod inputs;
mod invalid;
mod lowering;
mod machine_config;
mod mangled;
mod schema;
pub(crate) mod support;
mod valid;
