//! What roles may do: policies of their own, and attached ones.

use super::late::Lost;
use super::query::Call;
use super::{managed, roles, texts};
use crate::aws::answer::Problem;
use crate::aws::policy;
use crate::aws::request::encode;
use crate::aws::xml::Node;

/// The size of all policies of one role together; blanks do not count.
const TEXT_MAX: usize = 10_240;
/// How many managed policies a role may have.
const ATTACHED_MAX: usize = 10;

fn no_policy(name: &str) -> Problem {
    Problem::no_entity(format!("The role policy with name {name} cannot be found."))
}

fn size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Node, Problem> {
    let (name, text) = (
        texts::policy_name(call)?,
        texts::document(call, "PolicyDocument")?,
    );
    let role = roles::find(call)?;
    policy::identity(&text)
        .map_err(|message| Problem::new(400, "MalformedPolicyDocument", message))?;
    let others = role
        .inline
        .iter()
        .filter(|(other, _)| **other != name)
        .map(|(_, text)| size(text));
    if others.sum::<usize>() + size(&text) > TEXT_MAX {
        let message = format!(
            "Maximum policy size of {TEXT_MAX} bytes exceeded for role {}",
            role.name
        );
        return Err(Problem::new(409, "LimitExceeded", message));
    }
    roles::find_mut(call)?.inline.insert(name, text);
    Ok(Node::new(""))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Node, Problem> {
    let name = texts::policy_name(call)?;
    let role = roles::seen(call)?;
    let text = role.inline.get(&name).ok_or_else(|| no_policy(&name))?;
    let node = Node::new("")
        .text("RoleName", &role.name)
        .text("PolicyName", name);
    Ok(node.text("PolicyDocument", encode(text)))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Node, Problem> {
    let names = roles::seen(call)?.inline.into_keys();
    let all = names
        .map(|name| (name.clone(), Node::leaf("member", name)))
        .collect();
    call.page("PolicyNames", all)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Node, Problem> {
    let name = texts::policy_name(call)?;
    let role = roles::find_mut(call)?;
    let text = role.inline.remove(&name).ok_or_else(|| no_policy(&name))?;
    let id = role.id.clone();
    call.lose(Lost::Inline(id, name, text));
    Ok(Node::new(""))
}

pub(super) fn attached(call: &mut Call<'_>) -> Result<Node, Problem> {
    let one = |arn: &String| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        (
            arn.clone(),
            Node::new("member")
                .text("PolicyName", name)
                .text("PolicyArn", arn),
        )
    };
    let all = roles::seen(call)?.attached.iter().map(one).collect();
    call.page("AttachedPolicies", all)
}

pub(super) fn attach(call: &mut Call<'_>) -> Result<Node, Problem> {
    let arn = call.need("PolicyArn")?;
    let role = roles::find(call)?;
    managed::check(call, &arn)?;
    if role.attached.len() >= ATTACHED_MAX && !role.attached.contains(&arn) {
        let message = format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_MAX}");
        return Err(Problem::new(409, "LimitExceeded", message));
    }
    roles::find_mut(call)?.attached.insert(arn);
    Ok(Node::new(""))
}

pub(super) fn detach(call: &mut Call<'_>) -> Result<Node, Problem> {
    let arn = call.need("PolicyArn")?;
    let role = roles::find_mut(call)?;
    if !role.attached.remove(&arn) {
        return Err(Problem::no_entity(format!("Policy {arn} was not found.")));
    }
    let id = role.id.clone();
    call.lose(Lost::Attached(id, arn));
    Ok(Node::new(""))
}
