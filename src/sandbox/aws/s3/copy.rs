//! Copying an object inside S3.

use super::call::{Call, no_bucket};
use super::listing::stamp;
use super::object::{self, Version};
use super::{conditions, kms, read};
use crate::sandbox::aws::answer::{Problem, Reply};
use crate::sandbox::aws::request::decode;
use crate::sandbox::aws::xml::Node;

/// `CopyObject`
pub(super) fn run(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let source = call.request.header("x-amz-copy-source").unwrap_or_default();
    let source = decode(source.trim_start_matches('/'));
    let (path, id) =
        source.split_once("?versionId=").map_or((source.as_str(), None), |(path, id)| (path, Some(id)));
    let wrong =
        || Problem::argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    let (bucket, key) = path.split_once('/').ok_or_else(wrong)?;
    let from = call.world.aws.buckets.get(bucket).ok_or_else(|| no_bucket(bucket))?;
    let old = match id {
        Some(id) => {
            from.objects.get(key).and_then(|versions| versions.iter().find(|version| version.id == id))
        }
        None => from.current(key),
    };
    let old = old.filter(|version| !version.marker).ok_or_else(|| conditions::no_key(key))?.clone();
    let replaces = call.request.header("x-amz-metadata-directive") == Some("REPLACE");
    if bucket == call.bucket && key == call.key && id.is_none() && !replaces {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Problem::request(message));
    }
    kms::may(call, kms::READ, &old.headers, &format!("arn:aws:s3:::{path}"))?;
    // A copy is encrypted as a new object is, whatever its original was.
    let mut headers = object::headers(call)?;
    if !replaces {
        let kept = old.headers.iter().filter(|(name, _)| !name.starts_with(kms::ALGORITHM));
        let cipher = headers.into_iter().filter(|(name, _)| name.starts_with(kms::ALGORITHM));
        headers = kept.map(|(name, value)| (name.clone(), value.clone())).chain(cipher).collect();
    }
    kms::may(call, kms::WRITE, &headers, &call.object_arn(&call.key))?;
    conditions::write(call, &call.key.clone())?;
    let content = call.world.aws.contents.get(&old.content);
    let content =
        content.map_err(|error| Problem::new(500, "InternalError", format!("a content is lost: {error}")))?;
    let name = object::content_name(call);
    call.world.aws.contents.put(&name, content.clone());
    // A copy is one piece, however its original was written.
    let version = Version {
        etag: object::etag(&content, &headers, &name),
        content: name,
        headers,
        parts: Vec::new(),
        ..old
    };
    let version = object::keep(call, version)?;
    let node = Node::new("CopyObjectResult").text("ETag", format!("\"{}\"", version.etag));
    let reply = Reply::xml(&node.text("LastModified", stamp(version.modified_ms)));
    Ok(read::with_version(call, read::with_cipher(reply, &version.headers), &version.id))
}
