//! Deleting objects: by a marker where there are versions, for good where there are none.

use super::call::Call;
use super::object::{self, Version};
use super::{NULL, conditions, read};
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::Node;

/// How many keys one request may name.
const KEYS_MAX: usize = 1000;

/// What a deletion did: the version it names, and whether that is a marker.
#[derive(Debug, Default)]
struct Done {
    id: Option<String>,
    marker: bool,
}

/// `DeleteObject`
pub(super) fn one(call: &mut Call<'_>) -> Result<Reply, Problem> {
    conditions::write(call, &call.key.clone())?;
    let id = call.request.value("versionId").map(str::to_owned);
    let done = remove(call, id.as_deref())?;
    let reply = Reply::empty(204).maybe("x-amz-delete-marker", done.marker.then_some("true"));
    Ok(match done.id {
        Some(id) => read::with_version(call, reply, &id),
        None => reply,
    })
}

/// Removes a version, or the object.
fn remove(call: &mut Call<'_>, id: Option<&str>) -> Result<Done, Problem> {
    let versioning = call.look()?.config.versioning.clone();
    match (id, versioning.is_some()) {
        (Some(id), _) => forget(call, id),
        (None, true) => {
            let marker = object::keep(
                call,
                Version {
                    marker: true,
                    ..Version::default()
                },
            )?;
            Ok(Done {
                id: Some(marker.id),
                marker: true,
            })
        }
        (None, false) => forget(call, NULL).map(|_| Done::default()),
    }
}

/// Removes a version for good; what is not there needs no removing.
fn forget(call: &mut Call<'_>, id: &str) -> Result<Done, Problem> {
    let key = call.key.clone();
    let bucket = call.change()?;
    let mut gone = None;
    if let Some(versions) = bucket.objects.get_mut(&key) {
        gone = versions
            .iter()
            .position(|version| version.id == id)
            .map(|at| versions.remove(at));
        if versions.is_empty() {
            bucket.objects.remove(&key);
        }
    }
    let marker = gone.as_ref().is_some_and(|version| version.marker);
    if let Some(version) = gone.filter(|version| !version.content.is_empty()) {
        call.world.aws.contents.drop(version.content);
    }
    Ok(Done {
        id: Some(id.to_owned()),
        marker,
    })
}

/// `DeleteObjects`: each key by its own right, with its own answer.
pub(super) fn many(call: &mut Call<'_>) -> Result<Reply, Problem> {
    if !call.has_digest() {
        let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(Problem::request(message));
    }
    object::check_content(call)?;
    let node = call.document("Delete")?;
    // Nothing is deleted by a document that is wrong anywhere.
    let named = entries(&node).ok_or_else(Problem::malformed_xml)?;
    let quiet = node.text_of("Quiet") == Some("true");
    let mut answer = Node::new("DeleteResult");
    for (key, entry) in named {
        let id = entry.text_of("VersionId").filter(|id| !id.is_empty());
        key.clone_into(&mut call.key);
        match permitted(call, entry, id).and_then(|()| remove(call, id)) {
            Ok(_) if quiet => {}
            Ok(done) => answer.children.push(deleted(key, id, &done)),
            Err(problem) => {
                let node = Node::new("Error").text("Key", key).maybe("VersionId", id);
                answer.children.push(
                    node.text("Code", &problem.code)
                        .text("Message", &problem.message),
                );
            }
        }
    }
    Ok(Reply::xml(&answer))
}

/// The keys that a document names, with what it says of each.
fn entries(node: &Node) -> Option<Vec<(&str, &Node)>> {
    let known = node
        .children
        .iter()
        .all(|child| matches!(child.name.as_str(), "Object" | "Quiet"));
    let truth = node
        .text_of("Quiet")
        .is_none_or(|text| matches!(text, "true" | "false"));
    let key = |entry: &&Node| entry.text_of("Key").is_some_and(|key| !key.is_empty());
    let named: Vec<&Node> = node.each("Object").collect();
    let fine = known && truth && (1..=KEYS_MAX).contains(&named.len()) && named.iter().all(key);
    fine.then(|| {
        named
            .into_iter()
            .filter_map(|entry| Some((entry.text_of("Key")?, entry)))
            .collect()
    })
}

fn permitted(call: &Call<'_>, entry: &Node, id: Option<&str>) -> Result<(), Problem> {
    let action = if id.is_some() {
        "s3:DeleteObjectVersion"
    } else {
        "s3:DeleteObject"
    };
    if call.key.len() > object::KEY_MAX {
        return Err(Problem::new(400, "KeyTooLongError", "Your key is too long"));
    }
    call.may(action, &call.object_arn(&call.key))?;
    let Some(etag) = entry.text_of("ETag").filter(|_| !call.unconditional) else {
        return Ok(());
    };
    call.may("s3:GetObject", &call.object_arn(&call.key))?;
    let current = call
        .look()?
        .current(&call.key)
        .ok_or_else(|| conditions::no_key(&call.key))?;
    let same = etag == "*" || etag.trim_matches('"') == current.etag;
    same.then_some(())
        .ok_or_else(|| conditions::failed("If-Match"))
}

fn deleted(key: &str, id: Option<&str>, done: &Done) -> Node {
    let node = Node::new("Deleted").text("Key", key).maybe("VersionId", id);
    match (&done.id, done.marker) {
        (Some(marker), true) => node
            .text("DeleteMarker", true)
            .text("DeleteMarkerVersionId", marker),
        _ => node,
    }
}
