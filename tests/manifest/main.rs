//! Manifests as users write them: what they become, and what is said of broken ones.

mod good;
mod support;
