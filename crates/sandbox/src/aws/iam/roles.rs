//! Roles themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::late::Lost;
use super::query::Call;
use super::{Role, boundaries, tags, texts, view};
use crate::aws::answer::Problem;
use crate::aws::xml::Node;
use crate::aws::{keys, policy};

/// A trust policy's size; blanks do not count.
const TRUST_MAX: usize = 2048;
const SESSION_MIN_S: i64 = 3600;
const SESSION_MAX_S: i64 = 43_200;

/// The role that a request names.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn find<'a>(call: &'a Call<'_>) -> Result<&'a Role, Problem> {
    let name = texts::role_name(call)?;
    let there = call.look().and_then(|account| account.role(&name));
    there.ok_or_else(|| no_role(&name))
}

/// The same as a read shows it, which may have been deleted a moment ago.
///
/// # Errors
/// As [`find`].
pub(super) fn seen(call: &Call<'_>) -> Result<Role, Problem> {
    let name = texts::role_name(call)?;
    let there = call.seen().and_then(|account| account.role(&name).cloned());
    there.ok_or_else(|| no_role(&name))
}

/// The same, to change it.
///
/// # Errors
/// As [`find`].
pub(super) fn find_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Role, Problem> {
    let name = call.need("RoleName")?;
    find(call)?;
    call.change()
        .roles
        .get_mut(&name.to_lowercase())
        .ok_or_else(|| no_role(&name))
}

fn no_role(name: &str) -> Problem {
    Problem::no_entity(format!("The role with name {name} cannot be found."))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Node, Problem> {
    let (name, path, description) = (
        texts::role_name(call)?,
        texts::path(call)?,
        texts::description(call)?,
    );
    let trust = trust(call, "AssumeRolePolicyDocument")?;
    let max_session_s = call
        .number("MaxSessionDuration", SESSION_MIN_S, SESSION_MAX_S)?
        .unwrap_or(SESSION_MIN_S);
    let tags = tags::check(call.query.tags(), tags::ROLES)?;
    let boundary = call.query.get("PermissionsBoundary").map(str::to_owned);
    if let Some(arn) = &boundary {
        boundaries::check(call, arn)?;
    }
    let key = name.to_lowercase();
    if call
        .seen()
        .is_some_and(|account| account.roles.contains_key(&key))
    {
        return Err(Problem::new(
            409,
            "EntityAlreadyExists",
            format!("Role with name {name} already exists."),
        ));
    }
    let role = Role {
        id: keys::unique(call.world, "AROA"),
        name,
        path,
        created_ms: call.world.now,
        trust,
        description,
        max_session_s,
        boundary,
        tags,
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        used_ms: None,
    };
    let node = view::role(&role, &call.account);
    call.change().roles.insert(key, role);
    Ok(Node::new("").with(node))
}

fn trust(call: &Call<'_>, parameter: &str) -> Result<String, Problem> {
    let text = texts::document(call, parameter)?;
    let root = &call.world.aws.root;
    policy::trust(&text, |arn| root.has_principal(arn))
        .map_err(|message| Problem::new(400, "MalformedPolicyDocument", message))?;
    if text.chars().filter(|c| !c.is_whitespace()).count() > TRUST_MAX {
        let message = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_MAX}");
        return Err(Problem::new(409, "LimitExceeded", message));
    }
    Ok(text)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Node, Problem> {
    Ok(Node::new("").with(view::role(&seen(call)?, &call.account)))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Node, Problem> {
    let prefix = texts::path_prefix(call)?;
    let shown = |role: &&Role| role.path.starts_with(prefix) && call.world.listed(role.created_ms);
    let account = call.seen().unwrap_or_default();
    let roles = account.roles.values();
    let one = |role: &Role| {
        (
            role.name.to_lowercase(),
            view::listed("member", role, &call.account),
        )
    };
    call.page("Roles", roles.filter(shown).map(one).collect())
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Node, Problem> {
    let description = texts::description(call)?;
    let said = call.query.get("Description").is_some();
    let seconds = call.number("MaxSessionDuration", SESSION_MIN_S, SESSION_MAX_S)?;
    let role = find_mut(call)?;
    if said {
        role.description = description;
    }
    role.max_session_s = seconds.unwrap_or(role.max_session_s);
    Ok(Node::new(""))
}

pub(super) fn update_trust(call: &mut Call<'_>) -> Result<Node, Problem> {
    find(call)?;
    let text = trust(call, "PolicyDocument")?;
    find_mut(call)?.trust = text;
    Ok(Node::new(""))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Node, Problem> {
    find(call)?;
    let role = seen(call)?;
    let conflict = |message: &str| Err(Problem::new(409, "DeleteConflict", message));
    if !role.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    if !role.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    let key = role.name.to_lowercase();
    if let Some(role) = call.change().roles.remove(&key) {
        forget(call, &role.arn(&call.account), &role.id);
        call.lose(Lost::Role(role));
    }
    Ok(Node::new(""))
}

/// Policies that named the role now name what only it was called: a role of the same name that comes later is another.
fn forget(call: &mut Call<'_>, arn: &str, id: &str) {
    let aws = &mut call.world.aws;
    for role in aws
        .root
        .accounts
        .values_mut()
        .flat_map(|account| account.roles.values_mut())
    {
        if let Some(text) = policy::dangling(&role.trust, arn, id) {
            role.trust = text;
        }
    }
    for bucket in aws.buckets.values_mut() {
        let Some(text) = bucket
            .config
            .policy
            .as_ref()
            .and_then(|text| policy::dangling(text, arn, id))
        else {
            continue;
        };
        bucket.config.policy = Some(text);
        aws.dirty.insert(bucket.name.clone());
    }
}

/// Nothing runs on EC2 here.
pub(super) fn instance_profiles(call: &mut Call<'_>) -> Result<Node, Problem> {
    seen(call)?;
    Ok(Node::new("")
        .with(Node::new("InstanceProfiles"))
        .text("IsTruncated", false))
}
