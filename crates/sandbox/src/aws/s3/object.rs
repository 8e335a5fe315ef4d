//! `PutObject`, and what all ways to write an object share.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::call::S3Call;
use super::checksum::ChecksumAlgorithm;
use super::{NULL_VERSION_ID, kms, preconditions, read, tags};
use crate::aws::request::AwsRequest;
use crate::aws::response::{AwsError, AwsResponse};
use crate::ids;

/// The longest key, in bytes.
const OBJECT_KEY_MAX_BYTES: usize = 1024;

/// One version of an object, or a delete marker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectVersion {
    pub(crate) id: String,
    /// Whether this is a delete marker.
    #[serde(default)]
    pub(crate) marker: bool,
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified_ms: i64,
    /// The file name of the content. Delete markers have none.
    pub(crate) content: String,
    /// Headers that reads return: metadata, encryption, storage class.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) checksum: Option<ObjectChecksum>,
    #[serde(default)]
    pub(crate) tags: Vec<(String, String)>,
    /// The sizes of the parts, if it was a multipart upload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<u64>,
}

impl ObjectVersion {
    /// The storage class; objects without an explicit one are in `STANDARD`.
    pub(super) fn storage_class(&self) -> &str {
        self.headers
            .get("x-amz-storage-class")
            .map_or("STANDARD", String::as_str)
    }
}

/// `404 NoSuchVersion`.
pub(super) fn no_such_version(key: &str, id: &str) -> AwsError {
    let message = "The specified version does not exist.";
    AwsError::new(404, "NoSuchVersion", message)
        .with_element("Key", key)
        .with_element("VersionId", id)
}

/// Checks the length of an object key.
///
/// # Errors
/// `400 KeyTooLongError`.
pub(super) fn check_key_length(key: &str) -> Result<(), AwsError> {
    match key.len() > OBJECT_KEY_MAX_BYTES {
        true => Err(AwsError::new(
            400,
            "KeyTooLongError",
            "Your key is too long",
        )),
        false => Ok(()),
    }
}

/// An ETag in quotes, as headers and documents show it.
pub(super) fn quote_etag(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The checksum of an object or part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectChecksum {
    pub(crate) algorithm: ChecksumAlgorithm,
    pub(crate) value: String,
}

impl ObjectChecksum {
    /// The checksum type: of the whole object, or composed of the checksums of its parts.
    pub(crate) fn checksum_type(&self) -> &'static str {
        if self.value.contains('-') {
            "COMPOSITE"
        } else {
            "FULL_OBJECT"
        }
    }
}

/// The ETag of a content: its MD5. With KMS encryption it is some other value, as on AWS.
pub(super) fn compute_etag(
    content: &[u8],
    headers: &BTreeMap<String, String>,
    name: &str,
) -> String {
    let secret = if kms::is_kms_encrypted(headers) {
        name
    } else {
        ""
    };
    ids::hex(
        &Md5::new()
            .chain_update(secret)
            .chain_update(content)
            .finalize(),
    )
}

/// `PutObject`
pub(super) fn put_object(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_key_length(&call.key)?;
    let checksum = verify_body_digests(call)?;
    let headers = headers_to_store(call)?;
    kms::authorize_key_use(
        call,
        kms::GENERATE_DATA_KEY,
        &headers,
        &call.object_arn(&call.key),
    )?;
    preconditions::check_write(call, &call.key.clone())?;
    let content = new_content_name(call);
    let version = ObjectVersion {
        etag: compute_etag(&call.body, &headers, &content),
        size: call.body.len() as u64,
        content,
        headers,
        checksum: Some(checksum),
        tags: tags::from_header(call)?,
        ..ObjectVersion::default()
    };
    call.world
        .aws
        .contents
        .put(&version.content, call.body.clone());
    let version = store_version(call, version)?;
    let response = AwsResponse::empty(200).with_header("etag", quote_etag(&version.etag));
    let response = read::with_encryption(read::with_checksum(response, &version), &version.headers);
    Ok(read::with_version_id(call, response, &version.id))
}

/// Generates the file name of a new content.
pub(super) fn new_content_name(call: &mut S3Call<'_>) -> String {
    ids::hex(&call.world.draw_aws_bytes("content")[..16])
}

/// Stores a version as the newest one of the key, with a version id according to the bucket's versioning.
///
/// # Errors
/// `404 NoSuchBucket`.
pub(super) fn store_version(
    call: &mut S3Call<'_>,
    version: ObjectVersion,
) -> Result<ObjectVersion, AwsError> {
    let id = match call.bucket_state()?.config.versioning.as_deref() {
        Some("Enabled") => STANDARD
            .encode(&call.world.draw_aws_bytes("version")[..24])
            .replace(['+', '/'], "_"),
        _ => NULL_VERSION_ID.to_owned(),
    };
    let version = ObjectVersion {
        id,
        modified_ms: call.world.now_ms,
        ..version
    };
    let key = call.key.clone();
    let unreferenced = call.bucket_state_mut()?.add_version(&key, version.clone());
    unreferenced
        .into_iter()
        .filter(|name| !name.is_empty())
        .for_each(|name| call.world.aws.contents.remove(name));
    Ok(version)
}

/// Verifies the digests that the request has for its body. Returns the checksum to store: the one that
/// was sent, or else CRC64NVME.
///
/// # Errors
/// `400` if a digest is malformed or does not match.
pub(super) fn verify_body_digests(call: &S3Call<'_>) -> Result<ObjectChecksum, AwsError> {
    if let Some(declared) = call.request.header("content-md5") {
        let bytes = STANDARD
            .decode(declared)
            .ok()
            .filter(|bytes| bytes.len() == 16);
        let bytes = bytes.ok_or_else(|| {
            AwsError::new(
                400,
                "InvalidDigest",
                "The Content-MD5 you specified is not valid.",
            )
        })?;
        if bytes != Md5::digest(&call.body).to_vec() {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(AwsError::new(400, "BadDigest", message));
        }
    }
    if call.header_or_trailer("x-amz-checksum-sha1").is_some() {
        return Err(AwsError::new(
            501,
            "NotImplemented",
            "The sandbox does not support SHA1 checksums",
        ));
    }
    for algorithm in ChecksumAlgorithm::ALL {
        let Some(declared) = call.header_or_trailer(&algorithm.header_name()) else {
            continue;
        };
        let value = algorithm.compute(&call.body);
        if declared != value {
            let name = algorithm.name();
            let message =
                format!("The {name} you specified did not match the calculated checksum.");
            return Err(AwsError::new(400, "BadDigest", message));
        }
        return Ok(ObjectChecksum { algorithm, value });
    }
    let algorithm = ChecksumAlgorithm::Crc64nvme;
    Ok(ObjectChecksum {
        algorithm,
        value: algorithm.compute(&call.body),
    })
}

/// The storage classes that a request can name.
const STORAGE_CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
];

/// The largest user-defined metadata, names and values together.
const METADATA_MAX_BYTES: usize = 2048;

/// Whether a write sets an ACL.
pub(super) fn has_acl_headers(request: &AwsRequest) -> bool {
    let mut names = request.headers.keys().map(axum::http::HeaderName::as_str);
    names.any(|name| name == "x-amz-acl" || name.starts_with("x-amz-grant-"))
}

/// The error for setting an ACL where ACLs are disabled.
pub(super) fn acls_disabled() -> AwsError {
    AwsError::new(
        400,
        "AccessControlListNotSupported",
        "The bucket does not allow ACLs",
    )
}

/// Checks an ACL against object ownership and the public access block of the bucket.
fn check_acl(call: &S3Call<'_>) -> Result<(), AwsError> {
    let (request, config) = (call.request, &call.bucket_state()?.config);
    let acl = request.header("x-amz-acl");
    let sets_acl =
        has_acl_headers(request) && !matches!(acl, Some("bucket-owner-full-control" | "private"));
    if sets_acl && !config.allows_acls() {
        return Err(acls_disabled());
    }
    let public = matches!(
        acl,
        Some("public-read" | "public-read-write" | "authenticated-read")
    );
    match public && call.public_access_block(&call.bucket).block_public_acls {
        true => Err(AwsError::access_denied("Access Denied")),
        false => Ok(()),
    }
}

/// Checks that an object is not in an archive storage class, which cannot be read directly.
///
/// # Errors
/// `403 InvalidObjectState`.
pub(super) fn check_not_archived(version: &ObjectVersion) -> Result<(), AwsError> {
    let class = version.storage_class();
    if !matches!(class, "GLACIER" | "DEEP_ARCHIVE") {
        return Ok(());
    }
    let message = "The operation is not valid for the object's storage class";
    Err(AwsError::new(403, "InvalidObjectState", message).with_element("StorageClass", class))
}

/// Headers that are stored with an object and returned by reads.
const STORED_HEADERS: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
    "x-amz-storage-class",
];

/// The headers to store with a new object, including its encryption.
///
/// # Errors
/// `400` or `403` for headers that are invalid or that the bucket does not allow.
pub(super) fn headers_to_store(
    call: &mut S3Call<'_>,
) -> Result<BTreeMap<String, String>, AwsError> {
    let config = &call.bucket_state()?.config;
    let header = |name: &str| call.request.header(name).map(str::to_owned);
    check_acl(call)?;
    if let Some(class) =
        header("x-amz-storage-class").filter(|class| !STORAGE_CLASSES.contains(&class.as_str()))
    {
        let error = AwsError::new(
            400,
            "InvalidStorageClass",
            "The storage class you specified is not valid",
        );
        return Err(error.with_element("StorageClassRequested", class));
    }
    if call
        .request
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-object-lock-"))
    {
        return Err(AwsError::invalid_request(
            "Bucket is missing Object Lock Configuration",
        ));
    }
    if header("x-amz-server-side-encryption-customer-algorithm").is_some() {
        return Err(match config.blocks_customer_keys() {
            true => AwsError::access_denied(
                "Access Denied: server-side encryption with customer provided keys (SSE-C) is blocked for this bucket",
            ),
            false => AwsError::new(501, "NotImplemented", "The sandbox does not support SSE-C"),
        });
    }
    let mut stored: BTreeMap<String, String> = STORED_HEADERS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), header(name)?)))
        .collect();
    stored
        .entry("content-type".to_owned())
        .or_insert_with(|| "binary/octet-stream".to_owned());
    // `aws-chunked` only describes the transfer, so S3 does not store it.
    let content_encoding = header("content-encoding").unwrap_or_default();
    let codings: Vec<&str> = content_encoding
        .split(',')
        .map(str::trim)
        .filter(|c| !matches!(*c, "" | "aws-chunked"))
        .collect();
    if !codings.is_empty() {
        stored.insert("content-encoding".to_owned(), codings.join(","));
    }
    for name in call
        .request
        .headers
        .keys()
        .map(ToString::to_string)
        .filter(|name| name.starts_with("x-amz-meta-"))
    {
        stored.insert(name.clone(), header(&name).unwrap_or_default());
    }
    let metadata = stored
        .iter()
        .filter_map(|(name, value)| Some(name.strip_prefix("x-amz-meta-")?.len() + value.len()));
    if metadata.sum::<usize>() > METADATA_MAX_BYTES {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(AwsError::new(400, "MetadataTooLarge", message));
    }
    stored.extend(kms::choose_encryption(call)?);
    Ok(stored)
}
