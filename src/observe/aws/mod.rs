//! From what AWS reports to live records.

pub(super) mod assemble;
pub(super) mod collect;
pub(super) mod orphaned_roles;
