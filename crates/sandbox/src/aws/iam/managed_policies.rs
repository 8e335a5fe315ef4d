//! Managed policies: a few of AWS's, and the account's own.

use super::query::QueryCall;
use super::{ManagedPolicy, validation};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::aws::{access_keys, policy};
use crate::clock;
use crate::ids;

/// A policy's size; blanks do not count.
const POLICY_SIZE_MAX: usize = 6144;

/// Whether there is such a policy.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn check_attachable(call: &QueryCall<'_>, arn: &str) -> Result<(), AwsError> {
    let own = call
        .account_state()
        .is_some_and(|account| account.policies.contains_key(arn));
    match own || policy::find_aws_managed_policy(arn).is_some() {
        true => Ok(()),
        false => Err(AwsError::no_such_entity(format!(
            "Policy {arn} does not exist or is not attachable."
        ))),
    }
}

fn policy_node(arn: &str, policy: &ManagedPolicy, attached: usize) -> XmlNode {
    let node = XmlNode::new("Policy")
        .with_text("PolicyName", &policy.name)
        .with_text("PolicyId", &policy.id)
        .with_text("Arn", arn);
    let node = node
        .with_text("Path", &policy.path)
        .with_text("DefaultVersionId", "v1")
        .with_text("AttachmentCount", attached);
    let node = node
        .with_text("PermissionsBoundaryUsageCount", 0)
        .with_text("IsAttachable", true);
    let node = node.with_optional_text("Description", policy.description.as_ref());
    let stamp = clock::format_seconds(policy.created_ms);
    node.with_text("CreateDate", &stamp)
        .with_text("UpdateDate", stamp)
}

pub(super) fn create(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let (name, document) = (
        validation::require_policy_name(call)?,
        validation::require_document(call, "PolicyDocument")?,
    );
    let (path, description) = (
        validation::parse_path(call)?,
        validation::parse_description(call)?,
    );
    policy::parse_identity_policy(&document)
        .map_err(|message| AwsError::new(400, "MalformedPolicyDocument", message))?;
    if document.chars().filter(|c| !c.is_whitespace()).count() > POLICY_SIZE_MAX {
        let message = format!("Cannot exceed quota for PolicySize: {POLICY_SIZE_MAX}");
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    if call.account_state().is_some_and(|account| {
        account
            .policies
            .values()
            .any(|other| other.name.eq_ignore_ascii_case(&name))
    }) {
        let message =
            format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    let arn = format!("arn:aws:iam::{}:policy{path}{name}", call.account);
    let id = access_keys::generate_unique_id(call.world, "ANPA");
    let policy = ManagedPolicy {
        id,
        name,
        path,
        created_ms: call.world.now_ms,
        document,
        description,
    };
    let node = policy_node(&arn, &policy, 0);
    call.account_state_mut().policies.insert(arn, policy);
    Ok(XmlNode::new("").with_child(node))
}

/// How many roles it is attached to.
fn count_attachments(call: &QueryCall<'_>, arn: &str) -> usize {
    let account = call.visible_account().unwrap_or_default();
    account
        .roles
        .values()
        .filter(|role| role.attached.contains(arn))
        .count()
}

pub(super) fn get(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PolicyArn")?;
    check_attachable(call, &arn)
        .map_err(|_| AwsError::no_such_entity(format!("Policy {arn} was not found.")))?;
    let own = call
        .account_state()
        .and_then(|account| account.policies.get(&arn))
        .cloned();
    let theirs = policy::find_aws_managed_policy(&arn).map(|(name, about, _)| ManagedPolicy {
        id: format!(
            "ANPA{}",
            &ids::hex(&ids::derive_bytes(&[name])).to_ascii_uppercase()[..17]
        ),
        name: name.to_owned(),
        path: "/".to_owned(),
        created_ms: 0,
        document: String::new(),
        description: Some(about.to_owned()),
    });
    let attached = count_attachments(call, &arn);
    Ok(XmlNode::new("").with_children(
        own.or(theirs)
            .map(|policy| policy_node(&arn, &policy, attached)),
    ))
}

pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PolicyArn")?;
    if count_attachments(call, &arn) > 0 {
        return Err(AwsError::new(
            409,
            "DeleteConflict",
            "Cannot delete a policy attached to entities.",
        ));
    }
    let gone = call.account_state_mut().policies.remove(&arn);
    gone.map(|_| XmlNode::new(""))
        .ok_or_else(|| AwsError::no_such_entity(format!("Policy {arn} was not found.")))
}
