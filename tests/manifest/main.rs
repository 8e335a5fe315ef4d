//! Manifests as users write them: what they become, and what is said of broken ones.

mod bad;
mod corpus;
mod good;
mod grants;
mod inputs;
mod junk;
mod limits;
mod lowering;
mod machine_config;
mod schema;
pub(crate) mod support;
