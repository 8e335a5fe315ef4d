//! fly.toml in all its spellings, from the text to the canonical tree.

pub(crate) mod common;
mod corpus;
mod fixtures;
mod json;
mod legacy;
mod problems;
mod robust;
