//! Deleting objects: by a marker where there are versions, for good where there are none.

use super::call::S3Call;
use super::object::{self, ObjectVersion};
use super::{NULL_VERSION_ID, preconditions, read};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// How many keys one request may name.
const KEYS_PER_REQUEST_MAX: usize = 1000;

/// What a deletion did: the version it names, and whether that is a marker.
#[derive(Debug, Default)]
struct DeletionResult {
    version_id: Option<String>,
    is_delete_marker: bool,
}

/// `DeleteObject`
pub(super) fn delete_object(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    preconditions::check_write(call, &call.key.clone())?;
    let id = call
        .request
        .nonempty_query_parameter("versionId")
        .map(str::to_owned);
    let done = delete_or_mark(call, id.as_deref())?;
    let reply = AwsResponse::empty(204).with_optional_header(
        "x-amz-delete-marker",
        done.is_delete_marker.then_some("true"),
    );
    Ok(match done.version_id {
        Some(id) => read::with_version_id(call, reply, &id),
        None => reply,
    })
}

/// Removes a version, or the object.
fn delete_or_mark(call: &mut S3Call<'_>, id: Option<&str>) -> Result<DeletionResult, AwsError> {
    let versioning = call.bucket_state()?.config.versioning.clone();
    match (id, versioning.is_some()) {
        (Some(id), _) => remove_version(call, id),
        (None, true) => {
            let marker = object::store_version(
                call,
                ObjectVersion {
                    marker: true,
                    ..ObjectVersion::default()
                },
            )?;
            Ok(DeletionResult {
                version_id: Some(marker.id),
                is_delete_marker: true,
            })
        }
        (None, false) => remove_version(call, NULL_VERSION_ID).map(|_| DeletionResult::default()),
    }
}

/// Removes a version for good; what is not there needs no removing.
fn remove_version(call: &mut S3Call<'_>, id: &str) -> Result<DeletionResult, AwsError> {
    let key = call.key.clone();
    let bucket = call.bucket_state_mut()?;
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
        call.world.aws.contents.remove(version.content);
    }
    Ok(DeletionResult {
        version_id: Some(id.to_owned()),
        is_delete_marker: marker,
    })
}

/// `DeleteObjects`: each key by its own right, with its own answer.
pub(super) fn delete_objects(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    if !call.has_body_digest() {
        let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(AwsError::invalid_request(message));
    }
    object::verify_body_digests(call)?;
    let node = call.parse_document("Delete")?;
    // Nothing is deleted by a document that is wrong anywhere.
    let named = parse_entries(&node).ok_or_else(AwsError::malformed_xml)?;
    let quiet = node.child_text("Quiet") == Some("true");
    let mut answer = XmlNode::new("DeleteResult");
    for (key, entry) in named {
        let id = entry.child_text("VersionId").filter(|id| !id.is_empty());
        key.clone_into(&mut call.key);
        match authorize_entry(call, entry, id).and_then(|()| delete_or_mark(call, id)) {
            Ok(_) if quiet => {}
            Ok(done) => answer.children.push(deleted_entry_node(key, id, &done)),
            Err(problem) => {
                let node = XmlNode::new("Error")
                    .with_text("Key", key)
                    .with_optional_text("VersionId", id);
                answer.children.push(
                    node.with_text("Code", &problem.code)
                        .with_text("Message", &problem.message),
                );
            }
        }
    }
    Ok(AwsResponse::s3_document(&answer))
}

/// The keys that a document names, with what it says of each.
fn parse_entries(node: &XmlNode) -> Option<Vec<(&str, &XmlNode)>> {
    let known = node
        .children
        .iter()
        .all(|child| matches!(child.name.as_str(), "Object" | "Quiet"));
    let truth = node
        .child_text("Quiet")
        .is_none_or(|text| matches!(text, "true" | "false"));
    let key = |entry: &&XmlNode| entry.child_text("Key").is_some_and(|key| !key.is_empty());
    let named: Vec<&XmlNode> = node.children_named("Object").collect();
    let fine = known
        && truth
        && (1..=KEYS_PER_REQUEST_MAX).contains(&named.len())
        && named.iter().all(key);
    fine.then(|| {
        named
            .into_iter()
            .filter_map(|entry| Some((entry.child_text("Key")?, entry)))
            .collect()
    })
}

fn authorize_entry(call: &S3Call<'_>, entry: &XmlNode, id: Option<&str>) -> Result<(), AwsError> {
    let action = if id.is_some() {
        "s3:DeleteObjectVersion"
    } else {
        "s3:DeleteObject"
    };
    if call.key.len() > object::OBJECT_KEY_MAX_BYTES {
        return Err(AwsError::new(
            400,
            "KeyTooLongError",
            "Your key is too long",
        ));
    }
    call.authorize(action, &call.object_arn(&call.key))?;
    let Some(etag) = entry
        .child_text("ETag")
        .filter(|_| !call.ignore_preconditions)
    else {
        return Ok(());
    };
    call.authorize("s3:GetObject", &call.object_arn(&call.key))?;
    let current = call
        .bucket_state()?
        .current_version(&call.key)
        .ok_or_else(|| preconditions::no_such_key(&call.key))?;
    let same = etag == "*" || etag.trim_matches('"') == current.etag;
    same.then_some(())
        .ok_or_else(|| preconditions::precondition_failed("If-Match"))
}

fn deleted_entry_node(key: &str, id: Option<&str>, done: &DeletionResult) -> XmlNode {
    let node = XmlNode::new("Deleted")
        .with_text("Key", key)
        .with_optional_text("VersionId", id);
    match (&done.version_id, done.is_delete_marker) {
        (Some(marker), true) => node
            .with_text("DeleteMarker", true)
            .with_text("DeleteMarkerVersionId", marker),
        _ => node,
    }
}
