//! Tags of roles and providers.

use std::collections::BTreeSet;

use super::query::Call;
use super::{providers, roles, texts, view};
use crate::aws::answer::Problem;
use crate::aws::xml::Node;

const COUNT_MAX: usize = 50;

type Tags = Vec<(String, String)>;

/// How the keys of a kind of thing are told apart.
pub(super) type Same = fn(&str) -> String;

/// A role has a key only once, in whatever case; it keeps the case that was written last.
pub(super) const ROLES: Same = |key| key.to_lowercase();
/// All else may have `Team` and `team`.
pub(super) const OTHERS: Same = str::to_owned;

/// Holds tags to what IAM takes.
///
/// # Errors
/// `400` or `409`.
pub(super) fn check(tags: Tags, same: Same) -> Result<Tags, Problem> {
    let invalid = |message: &str| Problem::new(400, "InvalidInput", message);
    let mut keys = BTreeSet::new();
    for (at, (key, value)) in (1..).zip(&tags) {
        texts::tag_key(key, &format!("tags.{at}.member.key"))?;
        texts::tag_value(value, &format!("tags.{at}.member.value"))?;
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("User-created tags may not begin with aws:"));
        }
        if !keys.insert(same(key)) {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
    }
    if tags.len() > COUNT_MAX {
        return Err(too_many());
    }
    Ok(tags)
}

fn too_many() -> Problem {
    Problem::new(
        409,
        "LimitExceeded",
        format!("The number of tags has reached the maximum limit of {COUNT_MAX}."),
    )
}

fn merged(old: &[(String, String)], new: Tags, same: Same) -> Result<Tags, Problem> {
    let mut all = old.to_vec();
    for (key, value) in check(new, same)? {
        all.retain(|(other, _)| same(other) != same(&key));
        all.push((key, value));
    }
    if all.len() > COUNT_MAX {
        Err(too_many())
    } else {
        Ok(all)
    }
}

/// The keys that a request takes away.
fn named(call: &Call<'_>) -> Result<Vec<String>, Problem> {
    let keys = call.query.list("TagKeys");
    for (at, key) in (1..).zip(&keys) {
        texts::tag_key(key, &format!("tagKeys.{at}.member"))?;
    }
    if keys.len() > COUNT_MAX {
        Err(too_many())
    } else {
        Ok(keys)
    }
}

fn without(tags: &mut Tags, keys: &[String], same: Same) {
    tags.retain(|(key, _)| !keys.iter().any(|gone| same(gone) == same(key)));
}

pub(super) fn tag_role(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = merged(&roles::find(call)?.tags, call.query.tags(), ROLES)?;
    roles::find_mut(call)?.tags = tags;
    Ok(Node::new(""))
}

pub(super) fn untag_role(call: &mut Call<'_>) -> Result<Node, Problem> {
    let keys = named(call)?;
    without(&mut roles::find_mut(call)?.tags, &keys, ROLES);
    Ok(Node::new(""))
}

pub(super) fn of_role(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = view::tags(&roles::seen(call)?.tags).children;
    let keyed = |node: Node| (node.text_of("Key").unwrap_or_default().to_owned(), node);
    let mut all: Vec<(String, Node)> = tags.into_iter().map(keyed).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    call.page("Tags", all)
}

pub(super) fn tag_provider(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = merged(&providers::find(call)?.tags, call.query.tags(), OTHERS)?;
    providers::find_mut(call)?.tags = tags;
    Ok(Node::new(""))
}

pub(super) fn untag_provider(call: &mut Call<'_>) -> Result<Node, Problem> {
    let keys = named(call)?;
    without(&mut providers::find_mut(call)?.tags, &keys, OTHERS);
    Ok(Node::new(""))
}

pub(super) fn of_provider(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = view::tags(&providers::seen(call)?.tags);
    Ok(Node::new("").with(tags).text("IsTruncated", false))
}
