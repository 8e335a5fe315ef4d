//! Creates, reads, updates and deletes roles.

use std::collections::{BTreeMap, BTreeSet};

use super::query::QueryCall;
use super::removals::Removal;
use super::{IamRole, instance_profiles, permissions_boundary, tags, validation, xml_views};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::aws::{access_keys, policy};

/// The largest trust policy, in characters without whitespace.
const TRUST_POLICY_SIZE_MAX: usize = 2048;
const SESSION_MIN_S: i64 = 3600;
const SESSION_MAX_S: i64 = 43_200;

/// Finds the role that `RoleName` names.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn find<'a>(call: &'a QueryCall<'_>) -> Result<&'a IamRole, AwsError> {
    let name = validation::require_role_name(call)?;
    let role = call
        .account_state()
        .and_then(|account| account.find_role(&name));
    role.ok_or_else(|| no_such_role(&name))
}

/// Like [`find`] for reads, which can still show a role that was just deleted.
///
/// # Errors
/// As [`find`].
pub(super) fn find_visible(call: &QueryCall<'_>) -> Result<IamRole, AwsError> {
    let name = validation::require_role_name(call)?;
    let role = call
        .visible_account()
        .and_then(|account| account.find_role(&name).cloned());
    role.ok_or_else(|| no_such_role(&name))
}

/// Like [`find`], to change the role.
///
/// # Errors
/// As [`find`].
pub(super) fn find_mut<'a>(call: &'a mut QueryCall<'_>) -> Result<&'a mut IamRole, AwsError> {
    let name = call.require("RoleName")?;
    find(call)?;
    call.account_state_mut()
        .roles
        .get_mut(&name.to_lowercase())
        .ok_or_else(|| no_such_role(&name))
}

fn no_such_role(name: &str) -> AwsError {
    AwsError::no_such_entity(format!("The role with name {name} cannot be found."))
}

/// `CreateRole`
pub(super) fn create(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let (name, path, description) = (
        validation::require_role_name(call)?,
        validation::parse_path(call)?,
        validation::parse_description(call)?,
    );
    let trust = require_trust_policy(call, "AssumeRolePolicyDocument")?;
    let max_session_s = call
        .optional_number("MaxSessionDuration", SESSION_MIN_S, SESSION_MAX_S)?
        .unwrap_or(SESSION_MIN_S);
    let tags = tags::check_tags(call.query.tags(), tags::CASE_INSENSITIVE_KEYS)?;
    let boundary = call.query.get("PermissionsBoundary").map(str::to_owned);
    if let Some(arn) = &boundary {
        permissions_boundary::check_boundary(call, arn)?;
    }
    let key = name.to_lowercase();
    // Like IAM, this can still see a role that was just deleted.
    if call
        .visible_account()
        .is_some_and(|account| account.roles.contains_key(&key))
    {
        return Err(AwsError::new(
            409,
            "EntityAlreadyExists",
            format!("Role with name {name} already exists."),
        ));
    }
    let role = IamRole {
        id: access_keys::generate_unique_id(call.world, "AROA"),
        name,
        path,
        created_ms: call.world.now_ms,
        trust,
        description,
        max_session_s,
        boundary,
        tags,
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        used_ms: None,
    };
    let node = xml_views::role_detail(&role, &call.account);
    call.account_state_mut().roles.insert(key, role);
    Ok(XmlNode::new("").with_child(node))
}

fn require_trust_policy(call: &QueryCall<'_>, parameter: &str) -> Result<String, AwsError> {
    let text = validation::require_document(call, parameter)?;
    let root = &call.world.aws.global;
    policy::parse_trust_policy(&text, |arn| root.principal_exists(arn))
        .map_err(AwsError::malformed_policy_document)?;
    if validation::policy_size(&text) > TRUST_POLICY_SIZE_MAX {
        let message = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_SIZE_MAX}");
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    Ok(text)
}

/// `GetRole`
pub(super) fn get(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    Ok(XmlNode::new("").with_child(xml_views::role_detail(&find_visible(call)?, &call.account)))
}

/// `ListRoles`
pub(super) fn list(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let prefix = validation::parse_path_prefix(call)?;
    let is_listed =
        |role: &&IamRole| role.path.starts_with(prefix) && call.world.is_listed(role.created_ms);
    let account = call.visible_account().unwrap_or_default();
    let roles = account.roles.values();
    let member = |role: &IamRole| {
        (
            role.name.to_lowercase(),
            xml_views::role_summary("member", role, &call.account),
        )
    };
    call.paginate("Roles", roles.filter(is_listed).map(member).collect())
}

/// `UpdateRole`
pub(super) fn update(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let description = validation::parse_description(call)?;
    let has_description = call.query.get("Description").is_some();
    let max_session_s = call.optional_number("MaxSessionDuration", SESSION_MIN_S, SESSION_MAX_S)?;
    let role = find_mut(call)?;
    if has_description {
        role.description = description;
    }
    role.max_session_s = max_session_s.unwrap_or(role.max_session_s);
    Ok(XmlNode::new(""))
}

/// `UpdateAssumeRolePolicy`
pub(super) fn update_trust(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    find(call)?;
    let text = require_trust_policy(call, "PolicyDocument")?;
    find_mut(call)?.trust = text;
    Ok(XmlNode::new(""))
}

/// `DeleteRole`
pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    find(call)?;
    // The check uses what reads show: like IAM, it can still see a policy that was just removed.
    let role = find_visible(call)?;
    instance_profiles::check_unused(call, &role.name)?;
    let delete_conflict = |message: &str| Err(AwsError::new(409, "DeleteConflict", message));
    if !role.inline.is_empty() {
        return delete_conflict("Cannot delete entity, must delete policies first.");
    }
    if !role.attached.is_empty() {
        return delete_conflict("Cannot delete entity, must detach all policies first.");
    }
    let key = role.name.to_lowercase();
    if let Some(role) = call.account_state_mut().roles.remove(&key) {
        replace_role_in_policies(call, &role.arn(&call.account), &role.id);
        call.record_removal(Removal::Role(role));
    }
    Ok(XmlNode::new(""))
}

/// Replaces a deleted role in all trust policies and bucket policies by its unique id, as IAM does. A
/// new role of the same name then gets no access.
fn replace_role_in_policies(call: &mut QueryCall<'_>, arn: &str, id: &str) {
    let aws = &mut call.world.aws;
    for role in aws
        .global
        .accounts
        .values_mut()
        .flat_map(|account| account.roles.values_mut())
    {
        if let Some(text) = policy::replace_deleted_principal(&role.trust, arn, id) {
            role.trust = text;
        }
    }
    for bucket in aws.buckets.values_mut() {
        let Some(text) = bucket
            .config
            .policy
            .as_ref()
            .and_then(|text| policy::replace_deleted_principal(text, arn, id))
        else {
            continue;
        };
        bucket.config.policy = Some(text);
        aws.dirty_buckets.insert(bucket.name.clone());
    }
}
