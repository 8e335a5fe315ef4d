//! Reads the state of Fly and matches it to the resources of the manifest.

pub(super) mod app_resources;
pub(super) mod assemble;
pub(super) mod collect;
mod databases;
pub(super) mod inventory;
pub(super) mod slots;
mod undeclared;
pub(super) mod volumes;
