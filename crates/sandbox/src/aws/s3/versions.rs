//! Lists of versions and delete markers: keys in order, and of each key the newest first.

use super::buckets::owner;
use super::call::Call;
use super::listing::{Line, Wanted, stamp};
use super::object::Version;
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::Node;

/// `ListObjectVersions`
pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let wanted = Wanted::read(call, "max-keys")?;
    let key_marker = call.request.query("key-marker").unwrap_or_default();
    let id_marker = call.request.query("version-id-marker").unwrap_or_default();
    if key_marker.is_empty() && !id_marker.is_empty() {
        return Err(Problem::argument(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let bucket = call.look()?;
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
            .common(key)
            .is_some_and(|common| common == key_marker);
        let own = *key == key_marker && !id_marker.is_empty();
        let older = own && reached;
        reached |= own && version.id == id_marker;
        !folded && (*key > key_marker || older)
    });
    let (lines, more) = wanted.page(later);
    let node = wanted
        .head("ListVersionsResult", &call.bucket)
        .text("KeyMarker", wanted.spell(key_marker));
    let node = node
        .text("VersionIdMarker", id_marker)
        .text("MaxKeys", wanted.max)
        .text("IsTruncated", more);
    let node = match lines.last().filter(|_| more) {
        Some(Line::Thing(key, (version, _))) => node
            .text("NextKeyMarker", wanted.spell(key))
            .text("NextVersionIdMarker", &version.id),
        Some(Line::Common(key)) => node.text("NextKeyMarker", wanted.spell(key)),
        None => node,
    };
    Ok(Reply::xml(&node.all(
        wanted.render(&lines, |key, (version, newest)| {
            entry(key, version, *newest, &bucket.account)
        }),
    )))
}

fn entry(key: &str, version: &Version, newest: bool, account: &str) -> Node {
    let node = Node::new(if version.marker {
        "DeleteMarker"
    } else {
        "Version"
    })
    .text("Key", key);
    let node = node.text("VersionId", &version.id).text("IsLatest", newest);
    let node = node
        .text("LastModified", stamp(version.modified_ms))
        .with(Node::new("Owner").text("ID", owner(account)));
    match version.marker {
        true => node,
        false => {
            let node = node
                .text("ETag", format!("\"{}\"", version.etag))
                .text("Size", version.size);
            node.text(
                "StorageClass",
                version
                    .headers
                    .get("x-amz-storage-class")
                    .map_or("STANDARD", String::as_str),
            )
        }
    }
}
