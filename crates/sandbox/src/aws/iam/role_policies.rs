//! Inline policies and attached managed policies of roles.

use super::query::QueryCall;
use super::removals::Removal;
use super::{managed_policies, roles, validation};
use crate::aws::policy;
use crate::aws::request::percent_encode;
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;

/// The largest total size of a role's inline policies, in characters without whitespace.
const INLINE_POLICIES_SIZE_MAX: usize = 10_240;
/// The most managed policies that can be attached to a role.
const ATTACHED_POLICIES_MAX: usize = 10;

fn no_such_policy(name: &str) -> AwsError {
    AwsError::no_such_entity(format!("The role policy with name {name} cannot be found."))
}

/// `PutRolePolicy`
pub(super) fn put(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let (name, text) = (
        validation::require_policy_name(call)?,
        validation::require_document(call, "PolicyDocument")?,
    );
    let role = roles::find(call)?;
    policy::parse_identity_policy(&text).map_err(AwsError::malformed_policy_document)?;
    let others = role
        .inline
        .iter()
        .filter(|(other, _)| **other != name)
        .map(|(_, text)| validation::policy_size(text));
    if others.sum::<usize>() + validation::policy_size(&text) > INLINE_POLICIES_SIZE_MAX {
        let message = format!(
            "Maximum policy size of {INLINE_POLICIES_SIZE_MAX} bytes exceeded for role {}",
            role.name
        );
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    roles::find_mut(call)?.inline.insert(name, text);
    Ok(XmlNode::new(""))
}

/// `GetRolePolicy`
pub(super) fn get(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let name = validation::require_policy_name(call)?;
    let role = roles::find_visible(call)?;
    let text = role
        .inline
        .get(&name)
        .ok_or_else(|| no_such_policy(&name))?;
    let node = XmlNode::new("")
        .with_text("RoleName", &role.name)
        .with_text("PolicyName", name);
    Ok(node.with_text("PolicyDocument", percent_encode(text)))
}

/// `ListRolePolicies`
pub(super) fn list(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let names = roles::find_visible(call)?.inline.into_keys();
    let members = names
        .map(|name| (name.clone(), XmlNode::leaf("member", name)))
        .collect();
    call.paginate("PolicyNames", members)
}

/// `DeleteRolePolicy`
pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let name = validation::require_policy_name(call)?;
    let role = roles::find_mut(call)?;
    let text = role
        .inline
        .remove(&name)
        .ok_or_else(|| no_such_policy(&name))?;
    let role_id = role.id.clone();
    call.record_removal(Removal::InlinePolicy {
        role_id,
        name,
        document: text,
    });
    Ok(XmlNode::new(""))
}

/// `ListAttachedRolePolicies`
pub(super) fn list_attached(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let member = |arn: &String| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        (
            arn.clone(),
            XmlNode::new("member")
                .with_text("PolicyName", name)
                .with_text("PolicyArn", arn),
        )
    };
    let members = roles::find_visible(call)?
        .attached
        .iter()
        .map(member)
        .collect();
    call.paginate("AttachedPolicies", members)
}

/// `AttachRolePolicy`
pub(super) fn attach(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PolicyArn")?;
    let role = roles::find(call)?;
    managed_policies::check_attachable(call, &arn)?;
    if role.attached.len() >= ATTACHED_POLICIES_MAX && !role.attached.contains(&arn) {
        let message = format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_POLICIES_MAX}");
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    roles::find_mut(call)?.attached.insert(arn);
    Ok(XmlNode::new(""))
}

/// `DetachRolePolicy`
pub(super) fn detach(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PolicyArn")?;
    let role = roles::find_mut(call)?;
    if !role.attached.remove(&arn) {
        return Err(AwsError::no_such_entity(format!(
            "Policy {arn} was not found."
        )));
    }
    let role_id = role.id.clone();
    call.record_removal(Removal::AttachedPolicy { role_id, arn });
    Ok(XmlNode::new(""))
}
