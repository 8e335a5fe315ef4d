//! Tags of buckets and of objects.

use std::collections::BTreeSet;

use super::call::Call;
use super::config::absent;
use super::read;
use crate::aws::answer::{Problem, Reply};
use crate::aws::request::decode;
use crate::aws::xml::Node;

const BUCKET_MAX: usize = 50;
const OBJECT_MAX: usize = 10;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

type Tags = Vec<(String, String)>;

/// The tags in a document, wherever in it they stand.
pub(super) fn pairs(node: &Node) -> Tags {
    let one = |tag: &Node| {
        Some((
            tag.text_of("Key")?.to_owned(),
            tag.text_of("Value")?.to_owned(),
        ))
    };
    let own = node.each("Tag").filter_map(one);
    own.chain(node.each("TagSet").chain(node.each("Tags")).flat_map(pairs))
        .collect()
}

/// The tags of a bucket, out of the element that holds them.
///
/// # Errors
/// `400` when they are none.
pub(super) fn read(node: &Node) -> Result<Tags, Problem> {
    let tags = pairs(node);
    if tags.len() != node.children.len() {
        return Err(Problem::malformed_xml());
    }
    check(tags, BUCKET_MAX, "Bucket")
}

fn check(tags: Tags, max: usize, kind: &str) -> Result<Tags, Problem> {
    let invalid = |message: &str| Problem::new(400, "InvalidTag", message);
    if tags.len() > max {
        let message = format!("{kind} tag count cannot be greater than {max}");
        return Err(Problem::new(400, "BadRequest", message));
    }
    let mut keys = BTreeSet::new();
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > KEY_MAX {
            return Err(invalid("The TagKey you have provided is invalid").field("TagKey", key));
        }
        if value.chars().count() > VALUE_MAX {
            return Err(invalid("The TagValue you have provided is invalid").field("TagKey", key));
        }
        if key.starts_with("aws:") {
            return Err(
                invalid("System tags cannot be added/updated by requester").field("TagKey", key)
            );
        }
        let odd = |c: char| !(c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
        if key.contains(odd) || value.contains(odd) {
            return Err(
                invalid("The TagKey or TagValue you have provided is invalid").field("TagKey", key),
            );
        }
        if !keys.insert(key) {
            return Err(
                invalid("Cannot provide multiple Tags with the same key").field("TagKey", key)
            );
        }
    }
    Ok(tags)
}

fn document(tags: &[(String, String)]) -> Node {
    let one =
        |(key, value): &(String, String)| Node::new("Tag").text("Key", key).text("Value", value);
    Node::new("Tagging").with(Node::new("TagSet").all(tags.iter().map(one)))
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("Tagging")?;
    let tags = read(node.get("TagSet").ok_or_else(Problem::malformed_xml)?)?;
    call.configure(|config| config.tags = tags)?;
    Ok(Reply::empty(204))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let tags = &call.config()?.tags;
    if tags.is_empty() {
        return Err(absent(call, "NoSuchTagSet", "The TagSet does not exist"));
    }
    Ok(Reply::xml(&document(tags)))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, Problem> {
    call.configure(|config| config.tags.clear())?;
    Ok(Reply::empty(204))
}

/// The tags that an object is written with: `x-amz-tagging: a=1&b=2`.
///
/// # Errors
/// `400` when they are none.
pub(super) fn from_header(call: &Call<'_>) -> Result<Tags, Problem> {
    let text = call.request.header("x-amz-tagging").unwrap_or_default();
    let one = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (
            decode(&key.replace('+', " ")),
            decode(&value.replace('+', " ")),
        )
    };
    check(
        text.split('&')
            .filter(|part| !part.is_empty())
            .map(one)
            .collect(),
        OBJECT_MAX,
        "Object",
    )
}

pub(super) fn put_object(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("Tagging")?;
    let tags = pairs(node.get("TagSet").ok_or_else(Problem::malformed_xml)?);
    set(call, check(tags, OBJECT_MAX, "Object")?, 200)
}

pub(super) fn delete_object(call: &mut Call<'_>) -> Result<Reply, Problem> {
    set(call, Vec::new(), 204)
}

fn set(call: &mut Call<'_>, tags: Tags, status: u16) -> Result<Reply, Problem> {
    let id = read::find(call)?.id.clone();
    let key = call.key.clone();
    let versions = call.change()?.objects.get_mut(&key);
    if let Some(version) =
        versions.and_then(|list| list.iter_mut().find(|version| version.id == id))
    {
        version.tags = tags;
    }
    Ok(read::with_version(call, Reply::empty(status), &id))
}

pub(super) fn get_object(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let version = read::find(call)?;
    Ok(read::with_version(
        call,
        Reply::xml(&document(&version.tags)),
        &version.id,
    ))
}
