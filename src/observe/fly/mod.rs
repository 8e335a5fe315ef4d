//! From the lists of the Fly APIs to live records.

pub(super) mod app_resources;
pub(super) mod assemble;
pub(super) mod collect;
pub(super) mod slots;
