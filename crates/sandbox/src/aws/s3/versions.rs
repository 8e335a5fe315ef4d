//! `ListObjectVersions`: versions and delete markers in the order of their keys, newest first per key.

use super::buckets::canonical_user_id;
use super::call::S3Call;
use super::listing::{ListEntry, ListParameters, format_timestamp};
use super::object::{self, ObjectVersion};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// `ListObjectVersions`
pub(super) fn list(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let parameters = ListParameters::from_call(call, "max-keys")?;
    let key_marker = call
        .request
        .query_parameter("key-marker")
        .unwrap_or_default();
    let version_id_marker = call
        .request
        .query_parameter("version-id-marker")
        .unwrap_or_default();
    if key_marker.is_empty() && !version_id_marker.is_empty() {
        return Err(AwsError::invalid_argument(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let bucket = call.bucket_state()?;
    let versions_in_order = bucket.objects.iter().flat_map(|(key, versions)| {
        let newest = versions.len() - 1;
        versions
            .iter()
            .enumerate()
            .rev()
            .map(move |(index, version)| (key.as_str(), (version, index == newest)))
    });
    // Skip keys up to the key marker, and versions of the marker's key up to the version marker.
    let mut passed_version_marker = false;
    let after_marker = versions_in_order.filter(|(key, (version, _))| {
        // If the last page ended with a common prefix, the marker is that prefix and all its keys are done.
        let is_in_listed_prefix = parameters
            .common_prefix(key)
            .is_some_and(|common| common == key_marker);
        let is_marker_key = *key == key_marker && !version_id_marker.is_empty();
        let is_older_version = is_marker_key && passed_version_marker;
        passed_version_marker |= is_marker_key && version.id == version_id_marker;
        !is_in_listed_prefix && (*key > key_marker || is_older_version)
    });
    let (entries, is_truncated) = parameters.paginate(after_marker);
    let node = parameters
        .result_node("ListVersionsResult", &call.bucket)
        .with_text("KeyMarker", parameters.encode_key(key_marker));
    let node = node
        .with_text("VersionIdMarker", version_id_marker)
        .with_text("MaxKeys", parameters.max_entries)
        .with_text("IsTruncated", is_truncated);
    let node = match entries.last().filter(|_| is_truncated) {
        Some(ListEntry::Item(key, (version, _))) => node
            .with_text("NextKeyMarker", parameters.encode_key(key))
            .with_text("NextVersionIdMarker", &version.id),
        Some(ListEntry::CommonPrefix(key)) => {
            node.with_text("NextKeyMarker", parameters.encode_key(key))
        }
        None => node,
    };
    Ok(AwsResponse::s3_document(&node.with_children(
        parameters.render_entries(&entries, |key, (version, newest)| {
            version_node(key, version, *newest, &bucket.account)
        }),
    )))
}

fn version_node(key: &str, version: &ObjectVersion, newest: bool, account: &str) -> XmlNode {
    let node = XmlNode::new(if version.marker {
        "DeleteMarker"
    } else {
        "Version"
    })
    .with_text("Key", key);
    let node = node
        .with_text("VersionId", &version.id)
        .with_text("IsLatest", newest);
    let node = node
        .with_text("LastModified", format_timestamp(version.modified_ms))
        .with_child(XmlNode::new("Owner").with_text("ID", canonical_user_id(account)));
    match version.marker {
        true => node,
        false => {
            let node = node
                .with_text("ETag", object::quote_etag(&version.etag))
                .with_text("Size", version.size);
            node.with_text("StorageClass", version.storage_class())
        }
    }
}
