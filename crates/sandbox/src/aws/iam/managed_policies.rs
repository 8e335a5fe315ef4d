//! `CreatePolicy`, `GetPolicy` and `DeletePolicy`.

use super::query::QueryCall;
use super::{ManagedPolicy, validation};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::aws::{access_keys, policy};
use crate::clock;
use crate::ids;

/// The largest managed policy, in characters without whitespace.
const POLICY_SIZE_MAX: usize = 6144;

/// Checks that a managed policy exists, of AWS or of the account.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn check_attachable(call: &QueryCall<'_>, arn: &str) -> Result<(), AwsError> {
    let customer_managed = call
        .account_state()
        .is_some_and(|account| account.policies.contains_key(arn));
    match customer_managed || policy::find_aws_managed_policy(arn).is_some() {
        true => Ok(()),
        false => Err(AwsError::no_such_entity(format!(
            "Policy {arn} does not exist or is not attachable."
        ))),
    }
}

fn policy_node(arn: &str, policy: &ManagedPolicy, attachments: usize) -> XmlNode {
    let node = XmlNode::new("Policy")
        .with_text("PolicyName", &policy.name)
        .with_text("PolicyId", &policy.id)
        .with_text("Arn", arn);
    let node = node
        .with_text("Path", &policy.path)
        .with_text("DefaultVersionId", "v1")
        .with_text("AttachmentCount", attachments);
    let node = node
        .with_text("PermissionsBoundaryUsageCount", 0)
        .with_text("IsAttachable", true);
    let node = node.with_optional_text("Description", policy.description.as_ref());
    let created = clock::format_seconds(policy.created_ms);
    node.with_text("CreateDate", &created)
        .with_text("UpdateDate", created)
}

/// `CreatePolicy`
pub(super) fn create(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let (name, document) = (
        validation::require_policy_name(call)?,
        validation::require_document(call, "PolicyDocument")?,
    );
    let (path, description) = (
        validation::parse_path(call)?,
        validation::parse_description(call)?,
    );
    policy::parse_identity_policy(&document).map_err(AwsError::malformed_policy_document)?;
    if validation::policy_size(&document) > POLICY_SIZE_MAX {
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

/// The number of roles that a policy is attached to.
fn count_attachments(call: &QueryCall<'_>, arn: &str) -> usize {
    let account = call.visible_account().unwrap_or_default();
    account
        .roles
        .values()
        .filter(|role| role.attached.contains(arn))
        .count()
}

/// `GetPolicy`
pub(super) fn get(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PolicyArn")?;
    check_attachable(call, &arn)
        .map_err(|_| AwsError::no_such_entity(format!("Policy {arn} was not found.")))?;
    let customer_managed = call
        .account_state()
        .and_then(|account| account.policies.get(&arn))
        .cloned();
    let aws_managed =
        policy::find_aws_managed_policy(&arn).map(|(name, description, _)| ManagedPolicy {
            id: format!(
                "ANPA{}",
                &ids::hex(&ids::derive_bytes(&[name])).to_ascii_uppercase()[..17]
            ),
            name: name.to_owned(),
            path: "/".to_owned(),
            created_ms: 0,
            document: String::new(),
            description: Some(description.to_owned()),
        });
    let attachments = count_attachments(call, &arn);
    Ok(XmlNode::new("").with_children(
        customer_managed
            .or(aws_managed)
            .map(|policy| policy_node(&arn, &policy, attachments)),
    ))
}

/// `DeletePolicy`
pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("PolicyArn")?;
    if count_attachments(call, &arn) > 0 {
        return Err(AwsError::new(
            409,
            "DeleteConflict",
            "Cannot delete a policy attached to entities.",
        ));
    }
    let removed = call.account_state_mut().policies.remove(&arn);
    removed
        .map(|_| XmlNode::new(""))
        .ok_or_else(|| AwsError::no_such_entity(format!("Policy {arn} was not found.")))
}
