//! Objects written in parts: begun, completed, given up, listed.

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

/// Every part but the last has at least this size.
const PART_SIZE_MIN: u64 = 5 << 20;

/// An object in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MultipartUpload {
    pub(crate) key: String,
    pub(crate) started_ms: i64,
    pub(super) headers: BTreeMap<String, String>,
    tags: Vec<(String, String)>,
    pub(super) algorithm: ChecksumAlgorithm,
    /// Whether the client named it; its parts are then held to it.
    #[serde(default)]
    declared: bool,
    /// Whether its checksum will be that of the whole, and not of the sums of its parts.
    whole: bool,
    pub(crate) parts: BTreeMap<u32, UploadedPart>,
}

/// The upload that a request names.
///
/// # Errors
/// `404 NoSuchUpload`.
pub(super) fn find_upload<'a>(
    call: &'a S3Call<'_>,
) -> Result<(&'a str, &'a MultipartUpload), AwsError> {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
                   or completed.";
    let id = call.request.query_parameter("uploadId").unwrap_or_default();
    let found = call
        .bucket_state()?
        .uploads
        .get_key_value(id)
        .filter(|(_, upload)| upload.key == call.key);
    let found = found.map(|(id, upload)| (id.as_str(), upload));
    found.ok_or_else(|| AwsError::new(404, "NoSuchUpload", message).with_element("UploadId", id))
}

/// `CreateMultipartUpload`
pub(super) fn create(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let said = call.request.header("x-amz-checksum-algorithm");
    let algorithm = match said {
        Some(name) => ChecksumAlgorithm::from_name(name)
            .ok_or_else(|| AwsError::invalid_request("Checksum algorithm is not supported"))?,
        None => ChecksumAlgorithm::Crc64nvme,
    };
    let kind = call.request.header("x-amz-checksum-type");
    let whole = match (kind, algorithm) {
        (Some("FULL_OBJECT"), ChecksumAlgorithm::Sha256)
        | (Some("COMPOSITE"), ChecksumAlgorithm::Crc64nvme) => {
            let (kind, name) = (
                kind.unwrap_or_default(),
                algorithm.name().to_ascii_lowercase(),
            );
            let message = format!(
                "The {kind} checksum type cannot be used with the {name} checksum algorithm."
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
        declared: said.is_some(),
        whole,
        parts: BTreeMap::new(),
    };
    let id = ids::hex(&call.world.draw_aws_bytes("upload"));
    call.bucket_state_mut()?.uploads.insert(id.clone(), upload);
    let node = XmlNode::new("InitiateMultipartUploadResult")
        .with_text("Bucket", &call.bucket)
        .with_text("Key", key);
    let reply = AwsResponse::s3_document(&node.with_text("UploadId", id));
    let reply = cipher.into_iter().fold(reply, |reply, (name, value)| {
        reply.with_header(&name, value)
    });
    let reply = reply.with_header("x-amz-checksum-algorithm", algorithm.name());
    Ok(reply.with_header(
        "x-amz-checksum-type",
        if whole { "FULL_OBJECT" } else { "COMPOSITE" },
    ))
}

impl MultipartUpload {
    /// Holds a part to the algorithm that the upload was begun with.
    ///
    /// # Errors
    /// `400 InvalidRequest`.
    pub(super) fn check_part_algorithm(
        &self,
        said: Option<ChecksumAlgorithm>,
    ) -> Result<(), AwsError> {
        let fits = match said {
            Some(said) => said == self.algorithm,
            None => self.whole,
        };
        if fits || !self.declared {
            return Ok(());
        }
        let expected = self.algorithm.name().to_ascii_lowercase();
        let actual = said.map_or("null".to_owned(), |said| said.name().to_ascii_lowercase());
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
    let said = call.request.header(&checksum.algorithm.header_name());
    if said.is_some_and(|said| said.split('-').next() != checksum.value.split('-').next()) {
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
    let place = format!("/{}/{}", call.bucket, percent_encode(&call.key));
    let node = XmlNode::new("CompleteMultipartUploadResult")
        .with_text("Location", place)
        .with_text("Bucket", &call.bucket);
    let mut node = node
        .with_text("Key", &call.key)
        .with_text("ETag", format!("\"{}\"", version.etag));
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

/// The parts that the client lists, in order, each as it was uploaded.
fn select_parts(node: &XmlNode, upload: &MultipartUpload) -> Result<Vec<UploadedPart>, AwsError> {
    let invalid = || {
        let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the \
                       specified entity tag may not match the part's entity tag.";
        AwsError::new(400, "InvalidPart", message)
    };
    let mut parts = Vec::new();
    let mut before = 0;
    for said in node.children_named("Part") {
        let number: u32 = said
            .child_text("PartNumber")
            .and_then(|text| text.parse().ok())
            .ok_or_else(AwsError::malformed_xml)?;
        if number <= before {
            let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(AwsError::new(400, "InvalidPartOrder", message));
        }
        before = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        let etag = said
            .child_text("ETag")
            .unwrap_or_default()
            .trim_matches('"');
        let sum = said.child_text(&part.checksum.algorithm.xml_element_name());
        if sum.is_none() && upload.declared && !upload.whole {
            let name = upload.algorithm.name().to_ascii_lowercase();
            return Err(AwsError::invalid_request(format!(
                "The upload was created using a {name} checksum. The complete request must include the checksum for \
                 each part. It was missing for part {number} in the request."
            )));
        }
        if etag != part.etag || sum.is_some_and(|sum| sum != part.checksum.value) {
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

/// The whole, and the MD5 of the MD5s of its parts.
fn join_parts(call: &S3Call<'_>, parts: &[UploadedPart]) -> Result<(Vec<u8>, String), AwsError> {
    let mut content = Vec::new();
    let mut sums = Md5::new();
    for part in parts {
        let bytes = call.world.aws.contents.get(&part.content);
        let bytes = bytes.map_err(|error| {
            AwsError::new(500, "InternalError", format!("a part is lost: {error}"))
        })?;
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
    let wanted = ListParameters::from_call(call, "max-uploads")?;
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
    let at = uploads
        .iter()
        .position(|(key, (id, _))| *key == marker && *id == id_marker)
        .map_or(0, |at| at + 1);
    let later = uploads
        .into_iter()
        .skip(at)
        .filter(|(key, _)| at > 0 || *key > marker);
    let (lines, more) = wanted.paginate(later);
    let node = XmlNode::new("ListMultipartUploadsResult")
        .with_text("Bucket", &call.bucket)
        .with_text("KeyMarker", marker);
    let node = node
        .with_text("UploadIdMarker", id_marker)
        .with_text("MaxUploads", wanted.max_entries)
        .with_text("IsTruncated", more);
    let node = node.with_text("Prefix", wanted.encode_key(wanted.prefix));
    let node = node.with_optional_text(
        "NextKeyMarker",
        more.then(|| wanted.encode_key(&last_key(&lines))),
    );
    let next = match lines.last().filter(|_| more) {
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
            .with_children(wanted.render_entries(&lines, entry)),
    ))
}
