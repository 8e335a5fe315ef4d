//! `CopyObject`.

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
    let source_version = source.find_version(call)?;
    let replaces_metadata = call.request.header("x-amz-metadata-directive") == Some("REPLACE");
    let is_same_object =
        source.bucket == call.bucket && source.key == call.key && source.version_id.is_none();
    if is_same_object && !replaces_metadata {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(AwsError::invalid_request(message));
    }
    let tags = tags_for_copy(call, &source, &source_version)?;
    object::check_not_archived(&source_version)?;
    kms::authorize_key_use(call, kms::DECRYPT, &source_version.headers, &source.arn())?;
    let headers = headers_for_copy(call, &source_version, replaces_metadata)?;
    kms::authorize_key_use(
        call,
        kms::GENERATE_DATA_KEY,
        &headers,
        &call.object_arn(&call.key),
    )?;
    preconditions::check_write(call, &call.key.clone())?;
    let content = call.read_content(&source_version.content)?;
    let name = object::new_content_name(call);
    call.world.aws.contents.put(&name, content.clone());
    let etag = object::compute_etag(&content, &headers, &name);
    // A copy is not a multipart object, even if the source is.
    let version = ObjectVersion {
        etag,
        content: name,
        headers,
        tags,
        parts: Vec::new(),
        ..source_version
    };
    let version = object::store_version(call, version)?;
    let node =
        XmlNode::new("CopyObjectResult").with_text("ETag", object::quote_etag(&version.etag));
    let response = AwsResponse::s3_document(
        &node.with_text("LastModified", format_timestamp(version.modified_ms)),
    );
    Ok(read::with_version_id(
        call,
        read::with_encryption(response, &version.headers),
        &version.id,
    ))
}

/// The source of a copy.
struct CopySource {
    bucket: String,
    key: String,
    version_id: Option<String>,
}

impl CopySource {
    fn from_header(call: &S3Call<'_>) -> Result<Self, AwsError> {
        let header = call.request.header("x-amz-copy-source").unwrap_or_default();
        // A question mark in the key would be percent-encoded, so this one begins the version id.
        let (path, id) = header
            .split_once("?versionId=")
            .map_or((header, None), |(path, id)| (path, Some(id)));
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

    /// Finds the source version, after checking permission and preconditions.
    fn find_version(&self, call: &S3Call<'_>) -> Result<ObjectVersion, AwsError> {
        let bucket = call
            .world
            .aws
            .buckets
            .get(&self.bucket)
            .ok_or_else(|| no_such_bucket(&self.bucket))?;
        let expected = call.request.header("x-amz-source-expected-bucket-owner");
        if expected.is_some_and(|account| account != bucket.account) {
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
        let version = match &self.version_id {
            Some(id) => {
                let versions = bucket.objects.get(&self.key).into_iter().flatten();
                let version = versions.into_iter().find(|version| version.id == *id);
                if version.is_some_and(|version| version.marker) {
                    let message = "The source of a copy request may not specifically refer to a delete marker by version id.";
                    return Err(AwsError::invalid_request(message));
                }
                version.ok_or_else(|| object::no_such_version(&self.key, id))?
            }
            None => match bucket.current_version(&self.key) {
                Some(version) => version,
                None => {
                    call.authorize("s3:ListBucket", &bucket.arn())?;
                    return Err(preconditions::no_such_key(&self.key));
                }
            },
        };
        preconditions::check_copy_source(call, version)?;
        Ok(version.clone())
    }
}

/// The tags of the copy. Copying the tags of the source needs permission to read and to set them.
fn tags_for_copy(
    call: &S3Call<'_>,
    source: &CopySource,
    source_version: &ObjectVersion,
) -> Result<Vec<(String, String)>, AwsError> {
    if call.request.header("x-amz-tagging-directive") == Some("REPLACE") {
        return tags::from_header(call);
    }
    if !source_version.tags.is_empty() {
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
    Ok(source_version.tags.clone())
}

/// The headers of the copy: metadata from the source or the request, encryption and storage class as for
/// a new object.
fn headers_for_copy(
    call: &mut S3Call<'_>,
    source_version: &ObjectVersion,
    replaces_metadata: bool,
) -> Result<BTreeMap<String, String>, AwsError> {
    let new_headers = object::headers_to_store(call)?;
    if replaces_metadata {
        return Ok(new_headers);
    }
    let is_from_request =
        |name: &str| name.starts_with(kms::SSE_ALGORITHM_HEADER) || name == "x-amz-storage-class";
    let copied = source_version
        .headers
        .iter()
        .filter(|(name, _)| !is_from_request(name));
    let copied = copied.map(|(name, value)| (name.clone(), value.clone()));
    Ok(copied
        .chain(
            new_headers
                .into_iter()
                .filter(|(name, _)| is_from_request(name)),
        )
        .collect())
}
