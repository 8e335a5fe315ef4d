//! The parts of an object in progress.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::checksum::Algorithm;
use super::listing::stamp;
use super::{kms, multipart, object, read};
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::Node;

/// Parts are numbered from 1 to this.
const NUMBER_MAX: u32 = 10_000;
/// No page is longer.
const PAGE_MAX: usize = 1000;

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified_ms: i64,
    pub(crate) content: String,
    pub(crate) checksum: object::Checksum,
}

/// `UploadPart`
pub(super) fn upload(call: &mut Call<'_>) -> Result<Reply, Problem> {
    if call.request.header("x-amz-copy-source").is_some() {
        return Err(Problem::new(
            501,
            "NotImplemented",
            "UploadPartCopy is not imitated here",
        ));
    }
    let number = call
        .request
        .value("partNumber")
        .and_then(|text| text.parse::<u32>().ok());
    let number = number
        .filter(|number| (1..=NUMBER_MAX).contains(number))
        .ok_or_else(|| {
            Problem::argument("Part number must be an integer between 1 and 10000, inclusive")
        })?;
    let (id, upload) = multipart::named(call)?;
    kms::none_said(call)?;
    kms::may(
        call,
        kms::READ,
        &upload.headers,
        &call.object_arn(&call.key),
    )?;
    upload.check_sum(
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| call.said(&algorithm.header()).is_some()),
    )?;
    let (id, algorithm, headers) = (id.to_owned(), upload.algorithm, upload.headers.clone());
    let mut checksum = object::check_content(call)?;
    if checksum.algorithm != algorithm {
        // Whatever came along was right; what is kept is what the whole was begun with, though nobody named it.
        checksum = object::Checksum {
            algorithm,
            value: algorithm.sum(&call.content),
        };
    }
    let content = object::content_name(call);
    let part = Part {
        etag: object::etag(&call.content, &headers, &content),
        size: call.content.len() as u64,
        modified_ms: call.world.now,
        content,
        checksum,
    };
    call.world
        .aws
        .contents
        .put(&part.content, call.content.clone());
    let reply = Reply::empty(200).header("etag", format!("\"{}\"", part.etag));
    let reply = read::with_cipher(reply, &headers);
    let reply = reply.header(&part.checksum.algorithm.header(), &part.checksum.value);
    let replaced = call
        .change()?
        .uploads
        .get_mut(&id)
        .and_then(|upload| upload.parts.insert(number, part));
    if let Some(part) = replaced {
        call.world.aws.contents.drop(part.content);
    }
    Ok(reply)
}

/// `ListParts`
pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let max = call.request.number("max-parts", PAGE_MAX)?;
    let after = call
        .request
        .value("part-number-marker")
        .and_then(|text| text.parse::<u32>().ok())
        .unwrap_or(0);
    let (id, upload) = multipart::named(call)?;
    let mut parts = upload.parts.range(after.saturating_add(1)..);
    let shown: Vec<_> = parts.by_ref().take(max).collect();
    let more = parts.next().is_some();
    let node = Node::new("ListPartsResult")
        .text("Bucket", &call.bucket)
        .text("Key", &call.key)
        .text("UploadId", id);
    let node = node
        .text("StorageClass", "STANDARD")
        .text("PartNumberMarker", after)
        .text("MaxParts", max);
    let next = shown.last().map(|(number, _)| **number).filter(|_| more);
    let node = node
        .text("IsTruncated", more)
        .maybe("NextPartNumberMarker", next);
    let node = node.text("ChecksumAlgorithm", upload.algorithm.name());
    let entry = |(number, part): (&u32, &Part)| {
        let node = Node::new("Part")
            .text("PartNumber", number)
            .text("LastModified", stamp(part.modified_ms));
        let node = node
            .text("ETag", format!("\"{}\"", part.etag))
            .text("Size", part.size);
        node.text(&part.checksum.algorithm.element(), &part.checksum.value)
    };
    Ok(Reply::xml(&node.all(shown.into_iter().map(entry))))
}
