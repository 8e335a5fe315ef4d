//! `UploadPart` and `ListParts`.

use serde::{Deserialize, Serialize};

use super::call::S3Call;
use super::checksum::ChecksumAlgorithm;
use super::listing::format_timestamp;
use super::{kms, multipart, object, read};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// The highest part number. The lowest is 1.
const PART_NUMBER_MAX: u32 = 10_000;
/// The largest page of `ListParts`.
const PARTS_PAGE_MAX: usize = 1000;

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadedPart {
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified_ms: i64,
    pub(crate) content: String,
    pub(crate) checksum: object::ObjectChecksum,
}

/// `UploadPart`
pub(super) fn upload_part(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    if call.request.header("x-amz-copy-source").is_some() {
        return Err(AwsError::new(
            501,
            "NotImplemented",
            "The sandbox does not support UploadPartCopy",
        ));
    }
    let number = call
        .request
        .nonempty_query_parameter("partNumber")
        .and_then(|text| text.parse::<u32>().ok());
    let number = number
        .filter(|number| (1..=PART_NUMBER_MAX).contains(number))
        .ok_or_else(|| {
            AwsError::invalid_argument(
                "Part number must be an integer between 1 and 10000, inclusive",
            )
        })?;
    let (id, upload) = multipart::find_upload(call)?;
    kms::reject_encryption_headers(call)?;
    // On S3, uploading a part needs the permission to decrypt the data key of the upload.
    kms::authorize_key_use(
        call,
        kms::DECRYPT,
        &upload.headers,
        &call.object_arn(&call.key),
    )?;
    upload.check_part_algorithm(
        ChecksumAlgorithm::ALL
            .into_iter()
            .find(|algorithm| call.header_or_trailer(&algorithm.header_name()).is_some()),
    )?;
    let (id, algorithm, headers) = (id.to_owned(), upload.algorithm, upload.headers.clone());
    let mut checksum = object::verify_body_digests(call)?;
    if checksum.algorithm != algorithm {
        // The checksum that was sent is verified, but the upload's algorithm is the one to store.
        checksum = object::ObjectChecksum {
            algorithm,
            value: algorithm.compute(&call.body),
        };
    }
    let content = object::new_content_name(call);
    let part = UploadedPart {
        etag: object::compute_etag(&call.body, &headers, &content),
        size: call.body.len() as u64,
        modified_ms: call.world.now_ms,
        content,
        checksum,
    };
    call.world
        .aws
        .contents
        .put(&part.content, call.body.clone());
    let response = AwsResponse::empty(200).with_header("etag", object::quote_etag(&part.etag));
    let response = read::with_encryption(response, &headers);
    let response =
        response.with_header(&part.checksum.algorithm.header_name(), &part.checksum.value);
    let replaced = call
        .bucket_state_mut()?
        .uploads
        .get_mut(&id)
        .and_then(|upload| upload.parts.insert(number, part));
    if let Some(part) = replaced {
        call.world.aws.contents.remove(part.content);
    }
    Ok(response)
}

/// `ListParts`
pub(super) fn list_parts(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let max_parts = call.request.query_number("max-parts", PARTS_PAGE_MAX)?;
    let after = call
        .request
        .nonempty_query_parameter("part-number-marker")
        .and_then(|text| text.parse::<u32>().ok())
        .unwrap_or(0);
    let (id, upload) = multipart::find_upload(call)?;
    let mut parts = upload.parts.range(after.saturating_add(1)..);
    let page: Vec<_> = parts.by_ref().take(max_parts).collect();
    let is_truncated = parts.next().is_some();
    let node = XmlNode::new("ListPartsResult")
        .with_text("Bucket", &call.bucket)
        .with_text("Key", &call.key)
        .with_text("UploadId", id);
    let node = node
        .with_text("StorageClass", "STANDARD")
        .with_text("PartNumberMarker", after)
        .with_text("MaxParts", max_parts);
    let next = page
        .last()
        .map(|(number, _)| **number)
        .filter(|_| is_truncated);
    let node = node
        .with_text("IsTruncated", is_truncated)
        .with_optional_text("NextPartNumberMarker", next);
    let node = node.with_text("ChecksumAlgorithm", upload.algorithm.name());
    let entry = |(number, part): (&u32, &UploadedPart)| {
        let node = XmlNode::new("Part")
            .with_text("PartNumber", number)
            .with_text("LastModified", format_timestamp(part.modified_ms));
        let node = node
            .with_text("ETag", object::quote_etag(&part.etag))
            .with_text("Size", part.size);
        node.with_text(
            &part.checksum.algorithm.xml_element_name(),
            &part.checksum.value,
        )
    };
    Ok(AwsResponse::s3_document(
        &node.with_children(page.into_iter().map(entry)),
    ))
}
