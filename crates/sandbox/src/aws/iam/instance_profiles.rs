//! Instance profiles, which hand a role to EC2 instances. There are no instances in the sandbox, but a
//! role in a profile cannot be deleted.

use serde::{Deserialize, Serialize};

use super::query::QueryCall;
use super::{roles, validation, xml_views};
use crate::aws::access_keys;
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::clock;

/// An instance profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceProfile {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created_ms: i64,
    /// The name of its role; a profile holds at most one.
    pub(crate) role: Option<String>,
}

impl InstanceProfile {
    /// For example `arn:aws:iam::123456789012:instance-profile/path/name`.
    pub(super) fn arn(&self, account: &str) -> String {
        format!(
            "arn:aws:iam::{account}:instance-profile{}{}",
            self.path, self.name
        )
    }

    fn holds(&self, role: &str) -> bool {
        self.role
            .as_ref()
            .is_some_and(|held| held.eq_ignore_ascii_case(role))
    }
}

fn no_such_profile(name: &str) -> AwsError {
    AwsError::no_such_entity(format!("Instance Profile {name} cannot be found."))
}

fn find<'a>(call: &'a QueryCall<'_>) -> Result<&'a InstanceProfile, AwsError> {
    let name = validation::require_instance_profile_name(call)?;
    let account = call.account_state();
    account
        .and_then(|account| account.instance_profiles.get(&name.to_lowercase()))
        .ok_or_else(|| no_such_profile(&name))
}

fn find_mut<'a>(call: &'a mut QueryCall<'_>) -> Result<&'a mut InstanceProfile, AwsError> {
    let name = find(call)?.name.clone();
    call.account_state_mut()
        .instance_profiles
        .get_mut(&name.to_lowercase())
        .ok_or_else(|| no_such_profile(&name))
}

fn profile_node(call: &QueryCall<'_>, name: &str, profile: &InstanceProfile) -> XmlNode {
    let held = profile.role.as_deref().and_then(|role| {
        let role = call.account_state()?.find_role(role)?;
        Some(xml_views::role_summary("member", role, &call.account))
    });
    XmlNode::new(name)
        .with_text("Path", &profile.path)
        .with_text("InstanceProfileName", &profile.name)
        .with_text("InstanceProfileId", &profile.id)
        .with_text("Arn", profile.arn(&call.account))
        .with_text("CreateDate", clock::format_seconds(profile.created_ms))
        .with_child(XmlNode::new("Roles").with_children(held))
}

/// `CreateInstanceProfile`
pub(super) fn create(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let name = validation::require_instance_profile_name(call)?;
    let path = validation::parse_path(call)?;
    let key = name.to_lowercase();
    let account = call.account_state();
    if account.is_some_and(|account| account.instance_profiles.contains_key(&key)) {
        let message = format!("Instance Profile {name} already exists.");
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    let profile = InstanceProfile {
        id: access_keys::generate_unique_id(call.world, "AIPA"),
        name,
        path,
        created_ms: call.world.now_ms,
        role: None,
    };
    let node = profile_node(call, "InstanceProfile", &profile);
    call.account_state_mut()
        .instance_profiles
        .insert(key, profile);
    Ok(XmlNode::new("").with_child(node))
}

/// `GetInstanceProfile`
pub(super) fn get(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let node = profile_node(call, "InstanceProfile", find(call)?);
    Ok(XmlNode::new("").with_child(node))
}

/// `DeleteInstanceProfile`
pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let profile = find(call)?;
    if profile.role.is_some() {
        return Err(still_in_use());
    }
    let key = profile.name.to_lowercase();
    call.account_state_mut().instance_profiles.remove(&key);
    Ok(XmlNode::new(""))
}

/// `AddRoleToInstanceProfile`
pub(super) fn add_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let role = roles::find(call)?.name.clone();
    let profile = find_mut(call)?;
    if profile.role.is_some() {
        let message = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    profile.role = Some(role);
    Ok(XmlNode::new(""))
}

/// `RemoveRoleFromInstanceProfile`
pub(super) fn remove_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let role = validation::require_role_name(call)?;
    let profile = find_mut(call)?;
    if !profile.holds(&role) {
        return Err(AwsError::no_such_entity(format!(
            "The role with name {role} cannot be found."
        )));
    }
    profile.role = None;
    Ok(XmlNode::new(""))
}

/// `ListInstanceProfilesForRole`
pub(super) fn list_for_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let role = roles::find_visible(call)?;
    let profiles = call
        .account_state()
        .into_iter()
        .flat_map(|account| &account.instance_profiles)
        .filter(|(_, profile)| profile.holds(&role.name));
    let members = profiles
        .map(|(key, profile)| (key.clone(), profile_node(call, "member", profile)))
        .collect();
    call.paginate("InstanceProfiles", members)
}

/// Checks that no instance profile holds a role, which therefore can be deleted.
///
/// # Errors
/// `409 DeleteConflict`.
pub(super) fn check_unused(call: &QueryCall<'_>, role: &str) -> Result<(), AwsError> {
    let mut profiles = call
        .account_state()
        .into_iter()
        .flat_map(|account| account.instance_profiles.values());
    match profiles.any(|profile| profile.holds(role)) {
        true => Err(still_in_use()),
        false => Ok(()),
    }
}

fn still_in_use() -> AwsError {
    AwsError::new(
        409,
        "DeleteConflict",
        "Cannot delete entity, must remove roles from instance profile first.",
    )
}
