//! Copying an object inside S3.

use std::collections::BTreeMap;

use super::call::{Call, no_bucket};
use super::listing::stamp;
use super::object::{self, Version};
use super::{conditions, kms, read, tags};
use crate::aws::answer::{Problem, Reply};
use crate::aws::request::decode;
use crate::aws::xml::Node;

/// `CopyObject`
pub(super) fn run(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let source = Source::read(call)?;
    let old = source.find(call)?;
    let replaces = call.request.header("x-amz-metadata-directive") == Some("REPLACE");
    let same = source.bucket == call.bucket && source.key == call.key && source.id.is_none();
    if same && !replaces {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Problem::request(message));
    }
    let tags = tagging(call, &source, &old)?;
    object::at_hand(&old)?;
    kms::may(call, kms::READ, &old.headers, &source.arn())?;
    let headers = headers(call, &old, replaces)?;
    kms::may(call, kms::WRITE, &headers, &call.object_arn(&call.key))?;
    conditions::write(call, &call.key.clone())?;
    let content = call.world.aws.contents.get(&old.content);
    let content = content.map_err(|error| {
        Problem::new(500, "InternalError", format!("a content is lost: {error}"))
    })?;
    let name = object::content_name(call);
    call.world.aws.contents.put(&name, content.clone());
    let etag = object::etag(&content, &headers, &name);
    // A copy is one piece, however its original was written.
    let version = Version {
        etag,
        content: name,
        headers,
        tags,
        parts: Vec::new(),
        ..old
    };
    let version = object::keep(call, version)?;
    let node = Node::new("CopyObjectResult").text("ETag", format!("\"{}\"", version.etag));
    let reply = Reply::xml(&node.text("LastModified", stamp(version.modified_ms)));
    Ok(read::with_version(
        call,
        read::with_cipher(reply, &version.headers),
        &version.id,
    ))
}

/// What is copied.
struct Source {
    bucket: String,
    key: String,
    id: Option<String>,
}

impl Source {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        let said = call.request.header("x-amz-copy-source").unwrap_or_default();
        // The question mark before a version is none of the key's, which would be encoded.
        let (path, id) = said
            .split_once("?versionId=")
            .map_or((said, None), |(path, id)| (path, Some(id)));
        let path = decode(path.trim_start_matches('/'));
        let (bucket, key) = path
            .split_once('/')
            .filter(|(_, key)| !key.is_empty())
            .ok_or_else(|| {
                Problem::argument(
                    "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                )
            })?;
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: id.map(decode),
        })
    }

    fn arn(&self) -> String {
        format!("arn:aws:s3:::{}/{}", self.bucket, self.key)
    }

    /// The version that is meant, if the caller may read it and its conditions hold.
    fn find(&self, call: &Call<'_>) -> Result<Version, Problem> {
        let from = call
            .world
            .aws
            .buckets
            .get(&self.bucket)
            .ok_or_else(|| no_bucket(&self.bucket))?;
        let expected = call.request.header("x-amz-source-expected-bucket-owner");
        if expected.is_some_and(|account| account != from.account) {
            return Err(Problem::denied("Access Denied"));
        }
        call.may(
            if self.id.is_some() {
                "s3:GetObjectVersion"
            } else {
                "s3:GetObject"
            },
            &self.arn(),
        )?;
        let found = match &self.id {
            Some(id) => {
                let versions = from.objects.get(&self.key).into_iter().flatten();
                let found = versions.into_iter().find(|version| version.id == *id);
                if found.is_some_and(|version| version.marker) {
                    let message = "The source of a copy request may not specifically refer to a delete marker by version id.";
                    return Err(Problem::request(message));
                }
                let problem = Problem::new(
                    404,
                    "NoSuchVersion",
                    "The specified version does not exist.",
                );
                found.ok_or_else(|| problem.field("Key", &self.key).field("VersionId", id))?
            }
            None => match from.current(&self.key) {
                Some(found) => found,
                None => {
                    call.may("s3:ListBucket", &from.arn())?;
                    return Err(conditions::no_key(&self.key));
                }
            },
        };
        conditions::copy(call, found)?;
        Ok(found.clone())
    }
}

/// The tags of the copy: those of the source, which must then be readable, or those of the request.
fn tagging(
    call: &Call<'_>,
    source: &Source,
    old: &Version,
) -> Result<Vec<(String, String)>, Problem> {
    if call.request.header("x-amz-tagging-directive") == Some("REPLACE") {
        return tags::from_header(call);
    }
    if !old.tags.is_empty() {
        let versioned = source.id.is_some();
        call.may(
            if versioned {
                "s3:GetObjectVersionTagging"
            } else {
                "s3:GetObjectTagging"
            },
            &source.arn(),
        )?;
        call.may("s3:PutObjectTagging", &call.object_arn(&call.key))?;
    }
    Ok(old.tags.clone())
}

/// The headers of the copy: those of the source or of the request, and encrypted as a new object is.
fn headers(
    call: &mut Call<'_>,
    old: &Version,
    replaces: bool,
) -> Result<BTreeMap<String, String>, Problem> {
    let new = object::headers(call)?;
    if replaces {
        return Ok(new);
    }
    let own = |name: &str| name.starts_with(kms::ALGORITHM) || name == "x-amz-storage-class";
    let kept = old.headers.iter().filter(|(name, _)| !own(name));
    let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
    Ok(kept
        .chain(new.into_iter().filter(|(name, _)| own(name)))
        .collect())
}
