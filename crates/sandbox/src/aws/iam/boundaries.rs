//! Permissions boundaries of roles.

use super::query::Call;
use super::{managed, roles};
use crate::aws::answer::Problem;
use crate::aws::xml::Node;

/// Whether a policy can be a boundary.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn check(call: &Call<'_>, arn: &str) -> Result<(), Problem> {
    managed::check(call, arn).map_err(|_| {
        Problem::no_entity(format!(
            "Scope ARN: {arn} does not exist or is not attachable."
        ))
    })
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Node, Problem> {
    let arn = call.need("PermissionsBoundary")?;
    check(call, &arn)?;
    roles::find_mut(call)?.boundary = Some(arn);
    Ok(Node::new(""))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Node, Problem> {
    let role = roles::find_mut(call)?;
    if role.boundary.take().is_none() {
        let message = format!(
            "The role with name {} does not have a permissions boundary.",
            role.name
        );
        return Err(Problem::no_entity(message));
    }
    Ok(Node::new(""))
}
