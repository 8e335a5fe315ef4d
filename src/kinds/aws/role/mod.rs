//! An IAM role: who may assume it, and what it then allows. Its path identifies the environment,
//! and its name follows from the manifest, so its ARN is known before it exists.

mod credential_override;
mod diff;
mod drive;
mod spec;

pub use credential_override::CredentialOverride;
pub use diff::{RoleEdit, compute_edits};
pub use spec::{RoleLive, RoleSpec, RoleUsers, Trust, role_path};

use crate::model::KindName;

/// The kind `aws.role`.
#[derive(Clone, Copy, Debug)]
pub enum Role {}

impl KindName for Role {
    const NAME: &'static str = "aws.role";
}
