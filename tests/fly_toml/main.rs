//! fly.toml in all its spellings, from the text to the canonical tree.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails its test")]

mod common;
mod corpus;
mod fixtures;
mod json;
mod legacy;
mod problems;
mod robust;
