//! Managed policies: a few of AWS's, and the account's own.

use super::query::Call;
use super::{Policy, texts};
use crate::aws::answer::Problem;
use crate::aws::xml::Node;
use crate::aws::{keys, policy};
use crate::clock;
use crate::ids;

/// A policy's size; blanks do not count.
const TEXT_MAX: usize = 6144;

/// Whether there is such a policy.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn check(call: &Call<'_>, arn: &str) -> Result<(), Problem> {
    let own = call
        .look()
        .is_some_and(|account| account.policies.contains_key(arn));
    match own || policy::managed(arn).is_some() {
        true => Ok(()),
        false => Err(Problem::no_entity(format!(
            "Policy {arn} does not exist or is not attachable."
        ))),
    }
}

fn view(arn: &str, policy: &Policy, attached: usize) -> Node {
    let node = Node::new("Policy")
        .text("PolicyName", &policy.name)
        .text("PolicyId", &policy.id)
        .text("Arn", arn);
    let node = node
        .text("Path", &policy.path)
        .text("DefaultVersionId", "v1")
        .text("AttachmentCount", attached);
    let node = node
        .text("PermissionsBoundaryUsageCount", 0)
        .text("IsAttachable", true);
    let node = node.maybe("Description", policy.description.as_ref());
    let stamp = clock::seconds(policy.created_ms);
    node.text("CreateDate", &stamp).text("UpdateDate", stamp)
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Node, Problem> {
    let (name, document) = (
        texts::policy_name(call)?,
        texts::document(call, "PolicyDocument")?,
    );
    let (path, description) = (texts::path(call)?, texts::description(call)?);
    policy::identity(&document)
        .map_err(|message| Problem::new(400, "MalformedPolicyDocument", message))?;
    if document.chars().filter(|c| !c.is_whitespace()).count() > TEXT_MAX {
        let message = format!("Cannot exceed quota for PolicySize: {TEXT_MAX}");
        return Err(Problem::new(409, "LimitExceeded", message));
    }
    if call.look().is_some_and(|account| {
        account
            .policies
            .values()
            .any(|other| other.name.eq_ignore_ascii_case(&name))
    }) {
        let message =
            format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(Problem::new(409, "EntityAlreadyExists", message));
    }
    let arn = format!("arn:aws:iam::{}:policy{path}{name}", call.account);
    let id = keys::unique(call.world, "ANPA");
    let policy = Policy {
        id,
        name,
        path,
        created_ms: call.world.now,
        document,
        description,
    };
    let node = view(&arn, &policy, 0);
    call.change().policies.insert(arn, policy);
    Ok(Node::new("").with(node))
}

/// How many roles it is attached to.
fn users(call: &Call<'_>, arn: &str) -> usize {
    let account = call.seen().unwrap_or_default();
    account
        .roles
        .values()
        .filter(|role| role.attached.contains(arn))
        .count()
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Node, Problem> {
    let arn = call.need("PolicyArn")?;
    check(call, &arn).map_err(|_| Problem::no_entity(format!("Policy {arn} was not found.")))?;
    let own = call
        .look()
        .and_then(|account| account.policies.get(&arn))
        .cloned();
    let theirs = policy::managed(&arn).map(|(name, about, _)| Policy {
        id: format!(
            "ANPA{}",
            &ids::hex(&ids::draw(&[name])).to_ascii_uppercase()[..17]
        ),
        name: name.to_owned(),
        path: "/".to_owned(),
        created_ms: 0,
        document: String::new(),
        description: Some(about.to_owned()),
    });
    let attached = users(call, &arn);
    Ok(Node::new("").all(own.or(theirs).map(|policy| view(&arn, &policy, attached))))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Node, Problem> {
    let arn = call.need("PolicyArn")?;
    if users(call, &arn) > 0 {
        return Err(Problem::new(
            409,
            "DeleteConflict",
            "Cannot delete a policy attached to entities.",
        ));
    }
    let gone = call.change().policies.remove(&arn);
    gone.map(|_| Node::new(""))
        .ok_or_else(|| Problem::no_entity(format!("Policy {arn} was not found.")))
}
