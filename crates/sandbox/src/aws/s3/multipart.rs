//! Multipart uploads: create, complete, abort and list.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::call::S3Call;
use super::checksum::ChecksumAlgorithm;
use super::listing::{ListEntry, ListParameters, format_timestamp, last_key};
use super::object::{self, ObjectChecksum, ObjectVersion};
use super::parts::UploadedPart;
use super::{kms, preconditions, read, tags};
use crate::aws::request::percent_encode;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::ids;

/// The smallest size of all parts but the last, in bytes.
const PART_SIZE_MIN: u64 = 5 << 20;

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MultipartUpload {
    pub(crate) key: String,
    pub(crate) started_ms: i64,
    pub(super) headers: BTreeMap<String, String>,
    tags: Vec<(String, String)>,
    pub(super) algorithm: ChecksumAlgorithm,
    /// Whether the client chose the algorithm. Parts must then use it.
    #[serde(default)]
    declared: bool,
    /// Whether the checksum type is `FULL_OBJECT` and not `COMPOSITE`.
    whole: bool,
    pub(crate) parts: BTreeMap<u32, UploadedPart>,
}

/// Finds the upload that `uploadId` names, with its id.
///
/// # Errors
/// `404 NoSuchUpload`.
pub(super) fn find_upload<'a>(
    call: &'a S3Call<'_>,
) -> Result<(&'a str, &'a MultipartUpload), AwsError> {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
                   or completed.";
    let id = call.request.query_parameter("uploadId").unwrap_or_default();
    let upload = call
        .bucket_state()?
        .uploads
        .get_key_value(id)
        .filter(|(_, upload)| upload.key == call.key);
    let upload = upload.map(|(id, upload)| (id.as_str(), upload));
    upload.ok_or_else(|| AwsError::new(404, "NoSuchUpload", message).with_element("UploadId", id))
}

/// `CreateMultipartUpload`
pub(super) fn create(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let requested = call.request.header("x-amz-checksum-algorithm");
    let algorithm = match requested {
        Some(name) => ChecksumAlgorithm::from_name(name)
            .ok_or_else(|| AwsError::invalid_request("Checksum algorithm is not supported"))?,
        None => ChecksumAlgorithm::Crc64nvme,
    };
    // CRC64NVME can only be computed over the whole object and SHA-256 only composed of parts; the other
    // CRCs can do both.
    let checksum_type = call.request.header("x-amz-checksum-type");
    let whole = match (checksum_type, algorithm) {
        (Some("FULL_OBJECT"), ChecksumAlgorithm::Sha256)
        | (Some("COMPOSITE"), ChecksumAlgorithm::Crc64nvme) => {
            let (checksum_type, name) = (
                checksum_type.unwrap_or_default(),
                algorithm.name().to_ascii_lowercase(),
            );
            let message = format!(
                "The {checksum_type} checksum type cannot be used with the {name} checksum algorithm."
            );
            return Err(AwsError::invalid_request(message));
        }
        (Some("FULL_OBJECT"), _) | (None, ChecksumAlgorithm::Crc64nvme) => true,
        (Some("COMPOSITE") | None, _) => false,
        (Some(_), _) => {
            return Err(AwsError::invalid_request(
                "Value for x-amz-checksum-type header is invalid.",
            ));
        }
    };
    let (headers, tags) = (object::headers_to_store(call)?, tags::from_header(call)?);
    kms::authorize_key_use(
        call,
        kms::GENERATE_DATA_KEY,
        &headers,
        &call.object_arn(&call.key),
    )?;
    let (key, started_ms) = (call.key.clone(), call.world.now_ms);
    let cipher = read::with_encryption(AwsResponse::default(), &headers).headers;
    let upload = MultipartUpload {
        key: key.clone(),
        started_ms,
        headers,
        tags,
        algorithm,
        declared: requested.is_some(),
        whole,
        parts: BTreeMap::new(),
    };
    let id = ids::hex(&call.world.draw_aws_bytes("upload"));
    call.bucket_state_mut()?.uploads.insert(id.clone(), upload);
    let node = XmlNode::new("InitiateMultipartUploadResult")
        .with_text("Bucket", &call.bucket)
        .with_text("Key", key);
    let response = AwsResponse::s3_document(&node.with_text("UploadId", id));
    let response = cipher
        .into_iter()
        .fold(response, |response, (name, value)| {
            response.with_header(&name, value)
        });
    let response = response.with_header("x-amz-checksum-algorithm", algorithm.name());
    Ok(response.with_header(
        "x-amz-checksum-type",
        if whole { "FULL_OBJECT" } else { "COMPOSITE" },
    ))
}

impl MultipartUpload {
    /// Checks that a part has a checksum with the algorithm of the upload.
    ///
    /// # Errors
    /// `400 InvalidRequest`.
    pub(super) fn check_part_algorithm(
        &self,
        declared_checksum: Option<ChecksumAlgorithm>,
    ) -> Result<(), AwsError> {
        let matches = match declared_checksum {
            Some(declared_checksum) => declared_checksum == self.algorithm,
            None => self.whole,
        };
        if matches || !self.declared {
            return Ok(());
        }
        let expected = self.algorithm.name().to_ascii_lowercase();
        let actual = declared_checksum.map_or("null".to_owned(), |declared_checksum| {
            declared_checksum.name().to_ascii_lowercase()
        });
        Err(AwsError::invalid_request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {actual}"
        )))
    }
}

/// `AbortMultipartUpload`
pub(super) fn abort(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let id = find_upload(call)?.0.to_owned();
    discard_upload(call, &id)?;
    Ok(AwsResponse::empty(204))
}

fn discard_upload(call: &mut S3Call<'_>, id: &str) -> Result<(), AwsError> {
    let upload = call.bucket_state_mut()?.uploads.remove(id);
    for part in upload
        .into_iter()
        .flat_map(|upload| upload.parts.into_values())
    {
        call.world.aws.contents.remove(part.content);
    }
    Ok(())
}

/// `CompleteMultipartUpload`
pub(super) fn complete(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("CompleteMultipartUpload")?;
    let (id, upload) = find_upload(call)?;
    let (id, upload) = (id.to_owned(), upload.clone());
    kms::authorize_key_use(
        call,
        kms::DECRYPT,
        &upload.headers,
        &call.object_arn(&call.key),
    )?;
    let parts = select_parts(&node, &upload)?;
    preconditions::check_write(call, &call.key.clone())?;
    let (content, etag) = join_parts(call, &parts)?;
    let value = match upload.whole {
        true => upload.algorithm.compute(&content),
        false => upload
            .algorithm
            .compute_composite(parts.iter().map(|part| part.checksum.value.as_str())),
    };
    let checksum = ObjectChecksum {
        algorithm: upload.algorithm,
        value,
    };
    let declared_checksum = call.request.header(&checksum.algorithm.header_name());
    // Compare without the number of parts after the dash, which clients can omit.
    if declared_checksum.is_some_and(|declared_checksum| {
        declared_checksum.split('-').next() != checksum.value.split('-').next()
    }) {
        let message = "The checksum you specified did not match the calculated checksum.";
        return Err(AwsError::new(400, "BadDigest", message));
    }
    let version = ObjectVersion {
        etag,
        size: content.len() as u64,
        content: object::new_content_name(call),
        headers: upload.headers,
        checksum: Some(checksum),
        tags: upload.tags,
        parts: parts.iter().map(|part| part.size).collect(),
        ..ObjectVersion::default()
    };
    call.world
        .aws
        .contents
        .put(&version.content, content.into());
    let version = object::store_version(call, version)?;
    discard_upload(call, &id)?;
    Ok(completed_response(call, &version))
}

fn completed_response(call: &S3Call<'_>, version: &ObjectVersion) -> AwsResponse {
    let location = format!("/{}/{}", call.bucket, percent_encode(&call.key));
    let node = XmlNode::new("CompleteMultipartUploadResult")
        .with_text("Location", location)
        .with_text("Bucket", &call.bucket);
    let mut node = node
        .with_text("Key", &call.key)
        .with_text("ETag", object::quote_etag(&version.etag));
    if let Some(checksum) = &version.checksum {
        node = node
            .with_text(&checksum.algorithm.xml_element_name(), &checksum.value)
            .with_text("ChecksumType", checksum.checksum_type());
    }
    read::with_version_id(
        call,
        read::with_encryption(AwsResponse::s3_document(&node), &version.headers),
        &version.id,
    )
}

/// The parts that the request lists, after checking their order, ETags, checksums and sizes.
fn select_parts(node: &XmlNode, upload: &MultipartUpload) -> Result<Vec<UploadedPart>, AwsError> {
    let invalid = || {
        let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the \
                       specified entity tag may not match the part's entity tag.";
        AwsError::new(400, "InvalidPart", message)
    };
    let mut parts = Vec::new();
    let mut previous_number = 0;
    for listed in node.children_named("Part") {
        let number: u32 = listed
            .child_text("PartNumber")
            .and_then(|text| text.parse().ok())
            .ok_or_else(AwsError::malformed_xml)?;
        if number <= previous_number {
            let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(AwsError::new(400, "InvalidPartOrder", message));
        }
        previous_number = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        let etag = listed
            .child_text("ETag")
            .unwrap_or_default()
            .trim_matches('"');
        let checksum = listed.child_text(&part.checksum.algorithm.xml_element_name());
        if checksum.is_none() && upload.declared && !upload.whole {
            let name = upload.algorithm.name().to_ascii_lowercase();
            return Err(AwsError::invalid_request(format!(
                "The upload was created using a {name} checksum. The complete request must include the checksum for \
                 each part. It was missing for part {number} in the request."
            )));
        }
        if etag != part.etag || checksum.is_some_and(|checksum| checksum != part.checksum.value) {
            return Err(invalid());
        }
        parts.push(part.clone());
    }
    let all_but_last = parts
        .len()
        .checked_sub(1)
        .ok_or_else(AwsError::malformed_xml)?;
    if parts[..all_but_last]
        .iter()
        .any(|part| part.size < PART_SIZE_MIN)
    {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(AwsError::new(400, "EntityTooSmall", message));
    }
    Ok(parts)
}

/// Concatenates the parts and computes the ETag: the MD5 of their MD5s, a dash and the number of parts.
fn join_parts(call: &S3Call<'_>, parts: &[UploadedPart]) -> Result<(Vec<u8>, String), AwsError> {
    let mut content = Vec::new();
    let mut sums = Md5::new();
    for part in parts {
        let bytes = call.read_content(&part.content)?;
        sums.update(Md5::digest(&bytes));
        content.extend_from_slice(&bytes);
    }
    Ok((
        content,
        format!("{}-{}", ids::hex(&sums.finalize()), parts.len()),
    ))
}

/// `ListMultipartUploads`
pub(super) fn list(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let parameters = ListParameters::from_call(call, "max-uploads")?;
    let marker = call
        .request
        .query_parameter("key-marker")
        .unwrap_or_default();
    let id_marker = call
        .request
        .query_parameter("upload-id-marker")
        .unwrap_or_default();
    let mut uploads: Vec<(&str, (&str, &MultipartUpload))> = call
        .bucket_state()?
        .uploads
        .iter()
        .map(|(id, upload)| (upload.key.as_str(), (id.as_str(), upload)))
        .collect();
    uploads.sort_by_key(|(key, (id, upload))| (*key, upload.started_ms, *id));
    // With an upload id marker the list resumes after exactly that upload; with only a key marker it
    // resumes after all uploads of that key.
    let start = uploads
        .iter()
        .position(|(key, (id, _))| *key == marker && *id == id_marker)
        .map_or(0, |start| start + 1);
    let after_marker = uploads
        .into_iter()
        .skip(start)
        .filter(|(key, _)| start > 0 || *key > marker);
    let (entries, is_truncated) = parameters.paginate(after_marker);
    let node = XmlNode::new("ListMultipartUploadsResult")
        .with_text("Bucket", &call.bucket)
        .with_text("KeyMarker", marker);
    let node = node
        .with_text("UploadIdMarker", id_marker)
        .with_text("MaxUploads", parameters.max_entries)
        .with_text("IsTruncated", is_truncated);
    let node = node.with_text("Prefix", parameters.encode_key(parameters.prefix));
    let node = node.with_optional_text(
        "NextKeyMarker",
        is_truncated.then(|| parameters.encode_key(&last_key(&entries))),
    );
    let next = match entries.last().filter(|_| is_truncated) {
        Some(ListEntry::Item(_, (id, _))) => Some(*id),
        _ => None,
    };
    let entry = |key: &str, (id, upload): &(&str, &MultipartUpload)| {
        let node = XmlNode::new("Upload")
            .with_text("Key", key)
            .with_text("UploadId", id)
            .with_text("StorageClass", "STANDARD");
        node.with_text("Initiated", format_timestamp(upload.started_ms))
            .with_text("ChecksumAlgorithm", upload.algorithm.name())
    };
    Ok(AwsResponse::s3_document(
        &node
            .with_optional_text("NextUploadIdMarker", next)
            .with_children(parameters.render_entries(&entries, entry)),
    ))
}
