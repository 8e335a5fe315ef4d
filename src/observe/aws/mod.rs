//! Reads the state of AWS and matches it to the resources of the manifest.

pub(super) mod assemble;
pub(super) mod collect;
pub(super) mod orphaned_roles;
mod sharing;
