//! A role: who may take it, and what it may then do. Its path says whose it is, and its name follows from the manifest, so
//! that its ARN is known before it exists.

mod diff;
mod drive;
mod shadow;
mod spec;

pub use diff::{RoleEdit, edits};
pub use shadow::Shadow;
pub use spec::{RoleLive, RoleSpec, Trust, path};

use crate::model::Named;

/// The kind `aws.role`.
#[derive(Clone, Copy, Debug)]
pub enum Role {}

impl Named for Role {
    const NAME: &'static str = "aws.role";
}
