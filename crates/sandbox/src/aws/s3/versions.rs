//! Lists of versions and delete markers: keys in order, and of each key the newest first.

use super::buckets::canonical_user_id;
use super::call::S3Call;
use super::listing::{ListEntry, ListParameters, format_timestamp};
use super::object::ObjectVersion;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// `ListObjectVersions`
pub(super) fn list(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let wanted = ListParameters::from_call(call, "max-keys")?;
    let key_marker = call
        .request
        .query_parameter("key-marker")
        .unwrap_or_default();
    let id_marker = call
        .request
        .query_parameter("version-id-marker")
        .unwrap_or_default();
    if key_marker.is_empty() && !id_marker.is_empty() {
        return Err(AwsError::invalid_argument(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let bucket = call.bucket_state()?;
    let all = bucket.objects.iter().flat_map(|(key, versions)| {
        let newest = versions.len() - 1;
        versions
            .iter()
            .enumerate()
            .rev()
            .map(move |(at, version)| (key.as_str(), (version, at == newest)))
    });
    // Everything up to the marker is skipped, and of the marker's own key all that is not older than it.
    let mut reached = false;
    let later = all.filter(|(key, (version, _))| {
        let folded = wanted
            .common_prefix(key)
            .is_some_and(|common| common == key_marker);
        let own = *key == key_marker && !id_marker.is_empty();
        let older = own && reached;
        reached |= own && version.id == id_marker;
        !folded && (*key > key_marker || older)
    });
    let (lines, more) = wanted.paginate(later);
    let node = wanted
        .result_node("ListVersionsResult", &call.bucket)
        .with_text("KeyMarker", wanted.encode_key(key_marker));
    let node = node
        .with_text("VersionIdMarker", id_marker)
        .with_text("MaxKeys", wanted.max_entries)
        .with_text("IsTruncated", more);
    let node = match lines.last().filter(|_| more) {
        Some(ListEntry::Item(key, (version, _))) => node
            .with_text("NextKeyMarker", wanted.encode_key(key))
            .with_text("NextVersionIdMarker", &version.id),
        Some(ListEntry::CommonPrefix(key)) => {
            node.with_text("NextKeyMarker", wanted.encode_key(key))
        }
        None => node,
    };
    Ok(AwsResponse::s3_document(&node.with_children(
        wanted.render_entries(&lines, |key, (version, newest)| {
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
                .with_text("ETag", format!("\"{}\"", version.etag))
                .with_text("Size", version.size);
            node.with_text(
                "StorageClass",
                version
                    .headers
                    .get("x-amz-storage-class")
                    .map_or("STANDARD", String::as_str),
            )
        }
    }
}
