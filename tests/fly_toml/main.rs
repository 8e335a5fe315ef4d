//! fly.toml in all its spellings: from the text to the canonical tree.

pub(crate) mod common;
mod corpus;
mod diagnostics;
mod fixtures;
mod json;
mod legacy;
mod robustness;
