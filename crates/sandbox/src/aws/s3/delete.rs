//! `DeleteObject` and `DeleteObjects`. Versioned buckets get a delete marker unless a version is named.

use super::call::S3Call;
use super::object::{self, ObjectVersion};
use super::{NULL_VERSION_ID, preconditions, read};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// How many keys one `DeleteObjects` request can name.
const KEYS_PER_REQUEST_MAX: usize = 1000;

/// The version that was removed, or the delete marker that was added.
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
    let result = delete_or_mark(call, id.as_deref())?;
    let response = AwsResponse::empty(204).with_optional_header(
        "x-amz-delete-marker",
        result.is_delete_marker.then_some("true"),
    );
    Ok(match result.version_id {
        Some(id) => read::with_version_id(call, response, &id),
        None => response,
    })
}

/// Removes a version, or without a version id the object: in versioned buckets by adding a delete marker.
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
        // Without versioning the object is its null version.
        (None, false) => remove_version(call, NULL_VERSION_ID).map(|_| DeletionResult::default()),
    }
}

/// Removes a version permanently. A missing version is not an error.
fn remove_version(call: &mut S3Call<'_>, id: &str) -> Result<DeletionResult, AwsError> {
    let key = call.key.clone();
    let bucket = call.bucket_state_mut()?;
    let mut removed = None;
    if let Some(versions) = bucket.objects.get_mut(&key) {
        removed = versions
            .iter()
            .position(|version| version.id == id)
            .map(|index| versions.remove(index));
        if versions.is_empty() {
            bucket.objects.remove(&key);
        }
    }
    let marker = removed.as_ref().is_some_and(|version| version.marker);
    if let Some(version) = removed.filter(|version| !version.content.is_empty()) {
        call.world.aws.contents.remove(version.content);
    }
    Ok(DeletionResult {
        version_id: Some(id.to_owned()),
        is_delete_marker: marker,
    })
}

/// `DeleteObjects`. Each key is authorized on its own and has its own result.
pub(super) fn delete_objects(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    if !call.has_body_digest() {
        let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(AwsError::invalid_request(message));
    }
    object::verify_body_digests(call)?;
    let node = call.parse_document("Delete")?;
    // The whole document is validated before anything is deleted.
    let entries = parse_entries(&node).ok_or_else(AwsError::malformed_xml)?;
    let quiet = node.child_text("Quiet") == Some("true");
    let mut response = XmlNode::new("DeleteResult");
    for (key, entry) in entries {
        let id = entry.child_text("VersionId").filter(|id| !id.is_empty());
        key.clone_into(&mut call.key);
        match authorize_entry(call, entry, id).and_then(|()| delete_or_mark(call, id)) {
            Ok(_) if quiet => {}
            Ok(result) => response.children.push(deleted_entry_node(key, id, &result)),
            Err(error) => {
                let node = XmlNode::new("Error")
                    .with_text("Key", key)
                    .with_optional_text("VersionId", id);
                response.children.push(
                    node.with_text("Code", &error.code)
                        .with_text("Message", &error.message),
                );
            }
        }
    }
    Ok(AwsResponse::s3_document(&response))
}

/// The keys in the document and their `Object` elements. `None` if any part of the document is invalid.
fn parse_entries(node: &XmlNode) -> Option<Vec<(&str, &XmlNode)>> {
    let only_known_elements = node
        .children
        .iter()
        .all(|child| matches!(child.name.as_str(), "Object" | "Quiet"));
    let has_valid_quiet = node
        .child_text("Quiet")
        .is_none_or(|text| matches!(text, "true" | "false"));
    let key = |entry: &&XmlNode| entry.child_text("Key").is_some_and(|key| !key.is_empty());
    let entries: Vec<&XmlNode> = node.children_named("Object").collect();
    let is_valid = only_known_elements
        && has_valid_quiet
        && (1..=KEYS_PER_REQUEST_MAX).contains(&entries.len())
        && entries.iter().all(key);
    is_valid.then(|| {
        entries
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
    object::check_key_length(&call.key)?;
    call.authorize(action, &call.object_arn(&call.key))?;
    // A conditional delete reveals whether the ETag matches, so it needs read permission too.
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
    let matches = etag == "*" || etag.trim_matches('"') == current.etag;
    matches
        .then_some(())
        .ok_or_else(|| preconditions::precondition_failed("If-Match"))
}

fn deleted_entry_node(key: &str, id: Option<&str>, result: &DeletionResult) -> XmlNode {
    let node = XmlNode::new("Deleted")
        .with_text("Key", key)
        .with_optional_text("VersionId", id);
    match (&result.version_id, result.is_delete_marker) {
        (Some(marker), true) => node
            .with_text("DeleteMarker", true)
            .with_text("DeleteMarkerVersionId", marker),
        _ => node,
    }
}
