//! Tags of roles and providers.

use std::collections::BTreeSet;

use super::query::Call;
use super::{providers, roles, view};
use crate::sandbox::aws::answer::Problem;
use crate::sandbox::aws::xml::Node;

const COUNT_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

type Tags = Vec<(String, String)>;

/// Holds tags to what IAM takes.
///
/// # Errors
/// `400` or `409`.
pub(super) fn check(tags: Tags) -> Result<Tags, Problem> {
    let invalid = |message: &str| Problem::new(400, "InvalidInput", message);
    let mut keys = BTreeSet::new();
    for (key, value) in &tags {
        let odd = |c: char| !(c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
        let long = key.is_empty() || key.chars().count() > KEY_MAX || value.chars().count() > VALUE_MAX;
        if long || key.contains(odd) || value.contains(odd) {
            return Err(Problem::validation(format!(
                "1 validation error detected: Value '{key}' at 'tags.1.member.key' failed to satisfy constraint: Member \
                 must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]+"
            )));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("User-created tags may not begin with aws:"));
        }
        if !keys.insert(key.to_lowercase()) {
            return Err(invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
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

fn merged(old: &[(String, String)], new: Tags) -> Result<Tags, Problem> {
    let mut all = old.to_vec();
    for (key, value) in check(new)? {
        all.retain(|(other, _)| !other.eq_ignore_ascii_case(&key));
        all.push((key, value));
    }
    if all.len() > COUNT_MAX { Err(too_many()) } else { Ok(all) }
}

fn without(tags: &mut Tags, keys: &[String]) {
    tags.retain(|(key, _)| !keys.iter().any(|gone| gone.eq_ignore_ascii_case(key)));
}

pub(super) fn tag_role(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = merged(&roles::find(call)?.tags, call.query.tags())?;
    roles::find_mut(call)?.tags = tags;
    Ok(Node::new(""))
}

pub(super) fn untag_role(call: &mut Call<'_>) -> Result<Node, Problem> {
    let keys = call.query.list("TagKeys");
    without(&mut roles::find_mut(call)?.tags, &keys);
    Ok(Node::new(""))
}

pub(super) fn of_role(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = view::tags(&roles::find(call)?.tags).children;
    let keyed = |node: Node| (node.text_of("Key").unwrap_or_default().to_owned(), node);
    let mut all: Vec<(String, Node)> = tags.into_iter().map(keyed).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    call.page("Tags", all)
}

pub(super) fn tag_provider(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = merged(&providers::find(call)?.tags, call.query.tags())?;
    providers::find_mut(call)?.tags = tags;
    Ok(Node::new(""))
}

pub(super) fn untag_provider(call: &mut Call<'_>) -> Result<Node, Problem> {
    let keys = call.query.list("TagKeys");
    without(&mut providers::find_mut(call)?.tags, &keys);
    Ok(Node::new(""))
}

pub(super) fn of_provider(call: &mut Call<'_>) -> Result<Node, Problem> {
    let tags = view::tags(&providers::find(call)?.tags);
    Ok(Node::new("").with(tags).text("IsTruncated", false))
}
