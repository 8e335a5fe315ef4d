//! Copying an object inside S3.

use std::collections::BTreeMap;

use super::call::{S3Call, no_such_bucket};
use super::listing::format_timestamp;
use super::object::{self, ObjectVersion};
use super::{kms, preconditions, read, tags};
use crate::aws::request::percent_decode;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// `CopyObject`
pub(super) fn copy_object(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let source = CopySource::from_header(call)?;
    let old = source.find_version(call)?;
    let replaces = call.request.header("x-amz-metadata-directive") == Some("REPLACE");
    let same =
        source.bucket == call.bucket && source.key == call.key && source.version_id.is_none();
    if same && !replaces {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(AwsError::invalid_request(message));
    }
    let tags = tags_for_copy(call, &source, &old)?;
    object::check_not_archived(&old)?;
    kms::authorize_key_use(call, kms::DECRYPT, &old.headers, &source.arn())?;
    let headers = headers_for_copy(call, &old, replaces)?;
    kms::authorize_key_use(
        call,
        kms::GENERATE_DATA_KEY,
        &headers,
        &call.object_arn(&call.key),
    )?;
    preconditions::check_write(call, &call.key.clone())?;
    let content = call.world.aws.contents.get(&old.content);
    let content = content.map_err(|error| {
        AwsError::new(500, "InternalError", format!("a content is lost: {error}"))
    })?;
    let name = object::new_content_name(call);
    call.world.aws.contents.put(&name, content.clone());
    let etag = object::compute_etag(&content, &headers, &name);
    // A copy is one piece, however its original was written.
    let version = ObjectVersion {
        etag,
        content: name,
        headers,
        tags,
        parts: Vec::new(),
        ..old
    };
    let version = object::store_version(call, version)?;
    let node = XmlNode::new("CopyObjectResult").with_text("ETag", format!("\"{}\"", version.etag));
    let reply = AwsResponse::s3_document(
        &node.with_text("LastModified", format_timestamp(version.modified_ms)),
    );
    Ok(read::with_version_id(
        call,
        read::with_encryption(reply, &version.headers),
        &version.id,
    ))
}

/// What is copied.
struct CopySource {
    bucket: String,
    key: String,
    version_id: Option<String>,
}

impl CopySource {
    fn from_header(call: &S3Call<'_>) -> Result<Self, AwsError> {
        let said = call.request.header("x-amz-copy-source").unwrap_or_default();
        // The question mark before a version is none of the key's, which would be encoded.
        let (path, id) = said
            .split_once("?versionId=")
            .map_or((said, None), |(path, id)| (path, Some(id)));
        let path = percent_decode(path.trim_start_matches('/'));
        let (bucket, key) = path
            .split_once('/')
            .filter(|(_, key)| !key.is_empty())
            .ok_or_else(|| {
                AwsError::invalid_argument(
                    "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                )
            })?;
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: id.map(percent_decode),
        })
    }

    fn arn(&self) -> String {
        format!("arn:aws:s3:::{}/{}", self.bucket, self.key)
    }

    /// The version that is meant, if the caller may read it and its conditions hold.
    fn find_version(&self, call: &S3Call<'_>) -> Result<ObjectVersion, AwsError> {
        let from = call
            .world
            .aws
            .buckets
            .get(&self.bucket)
            .ok_or_else(|| no_such_bucket(&self.bucket))?;
        let expected = call.request.header("x-amz-source-expected-bucket-owner");
        if expected.is_some_and(|account| account != from.account) {
            return Err(AwsError::access_denied("Access Denied"));
        }
        call.authorize(
            if self.version_id.is_some() {
                "s3:GetObjectVersion"
            } else {
                "s3:GetObject"
            },
            &self.arn(),
        )?;
        let found = match &self.version_id {
            Some(id) => {
                let versions = from.objects.get(&self.key).into_iter().flatten();
                let found = versions.into_iter().find(|version| version.id == *id);
                if found.is_some_and(|version| version.marker) {
                    let message = "The source of a copy request may not specifically refer to a delete marker by version id.";
                    return Err(AwsError::invalid_request(message));
                }
                let problem = AwsError::new(
                    404,
                    "NoSuchVersion",
                    "The specified version does not exist.",
                );
                found.ok_or_else(|| {
                    problem
                        .with_element("Key", &self.key)
                        .with_element("VersionId", id)
                })?
            }
            None => match from.current_version(&self.key) {
                Some(found) => found,
                None => {
                    call.authorize("s3:ListBucket", &from.arn())?;
                    return Err(preconditions::no_such_key(&self.key));
                }
            },
        };
        preconditions::check_copy_source(call, found)?;
        Ok(found.clone())
    }
}

/// The tags of the copy: those of the source, which must then be readable, or those of the request.
fn tags_for_copy(
    call: &S3Call<'_>,
    source: &CopySource,
    old: &ObjectVersion,
) -> Result<Vec<(String, String)>, AwsError> {
    if call.request.header("x-amz-tagging-directive") == Some("REPLACE") {
        return tags::from_header(call);
    }
    if !old.tags.is_empty() {
        let versioned = source.version_id.is_some();
        call.authorize(
            if versioned {
                "s3:GetObjectVersionTagging"
            } else {
                "s3:GetObjectTagging"
            },
            &source.arn(),
        )?;
        call.authorize("s3:PutObjectTagging", &call.object_arn(&call.key))?;
    }
    Ok(old.tags.clone())
}

/// The headers of the copy: those of the source or of the request, and encrypted as a new object is.
fn headers_for_copy(
    call: &mut S3Call<'_>,
    old: &ObjectVersion,
    replaces: bool,
) -> Result<BTreeMap<String, String>, AwsError> {
    let new = object::headers_to_store(call)?;
    if replaces {
        return Ok(new);
    }
    let own =
        |name: &str| name.starts_with(kms::SSE_ALGORITHM_HEADER) || name == "x-amz-storage-class";
    let kept = old.headers.iter().filter(|(name, _)| !own(name));
    let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
    Ok(kept
        .chain(new.into_iter().filter(|(name, _)| own(name)))
        .collect())
}
