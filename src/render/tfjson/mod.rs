//! The plan as `terraform show -json` writes one.

pub(super) mod naming;
