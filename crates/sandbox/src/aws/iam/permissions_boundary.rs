//! `PutRolePermissionsBoundary` and `DeleteRolePermissionsBoundary`.

use super::query::QueryCall;
use super::{managed_policies, roles};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;

/// Checks that the policy exists and can be a permissions boundary.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn check_boundary(call: &QueryCall<'_>, arn: &str) -> Result<(), AwsError> {
    managed_policies::check_attachable(call, arn).map_err(|_| {
        AwsError::no_such_entity(format!(
            "Scope ARN: {arn} does not exist or is not attachable."
        ))
    })
}

/// `PutRolePermissionsBoundary`
pub(super) fn put(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PermissionsBoundary")?;
    check_boundary(call, &arn)?;
    roles::find_mut(call)?.boundary = Some(arn);
    Ok(XmlNode::new(""))
}

/// `DeleteRolePermissionsBoundary`
pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let role = roles::find_mut(call)?;
    if role.boundary.take().is_none() {
        let message = format!(
            "The role with name {} does not have a permissions boundary.",
            role.name
        );
        return Err(AwsError::no_such_entity(message));
    }
    Ok(XmlNode::new(""))
}
