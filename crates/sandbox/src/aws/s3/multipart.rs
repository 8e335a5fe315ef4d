//! Objects written in parts: begun, completed, given up, listed.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::checksum::Algorithm;
use super::listing::{Line, Wanted, last, stamp};
use super::object::{self, Checksum, Version};
use super::parts::Part;
use super::{conditions, kms, read, tags};
use crate::aws::answer::{Problem, Reply};
use crate::aws::request::encode;
use crate::aws::xml::Node;
use crate::ids;

/// Every part but the last has at least this size.
const PART_MIN: u64 = 5 << 20;

/// An object in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) started_ms: i64,
    pub(super) headers: BTreeMap<String, String>,
    tags: Vec<(String, String)>,
    pub(super) algorithm: Algorithm,
    /// Whether the client named it; its parts are then held to it.
    #[serde(default)]
    declared: bool,
    /// Whether its checksum will be that of the whole, and not of the sums of its parts.
    whole: bool,
    pub(crate) parts: BTreeMap<u32, Part>,
}

/// The upload that a request names.
///
/// # Errors
/// `404 NoSuchUpload`.
pub(super) fn named<'a>(call: &'a Call<'_>) -> Result<(&'a str, &'a Upload), Problem> {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
                   or completed.";
    let id = call.request.query("uploadId").unwrap_or_default();
    let found = call
        .look()?
        .uploads
        .get_key_value(id)
        .filter(|(_, upload)| upload.key == call.key);
    let found = found.map(|(id, upload)| (id.as_str(), upload));
    found.ok_or_else(|| Problem::new(404, "NoSuchUpload", message).field("UploadId", id))
}

/// `CreateMultipartUpload`
pub(super) fn create(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let said = call.request.header("x-amz-checksum-algorithm");
    let algorithm = match said {
        Some(name) => Algorithm::named(name)
            .ok_or_else(|| Problem::request("Checksum algorithm is not supported"))?,
        None => Algorithm::Crc64nvme,
    };
    let kind = call.request.header("x-amz-checksum-type");
    let whole = match (kind, algorithm) {
        (Some("FULL_OBJECT"), Algorithm::Sha256) | (Some("COMPOSITE"), Algorithm::Crc64nvme) => {
            let (kind, name) = (
                kind.unwrap_or_default(),
                algorithm.name().to_ascii_lowercase(),
            );
            let message = format!(
                "The {kind} checksum type cannot be used with the {name} checksum algorithm."
            );
            return Err(Problem::request(message));
        }
        (Some("FULL_OBJECT"), _) | (None, Algorithm::Crc64nvme) => true,
        (Some("COMPOSITE") | None, _) => false,
        (Some(_), _) => {
            return Err(Problem::request(
                "Value for x-amz-checksum-type header is invalid.",
            ));
        }
    };
    let (headers, tags) = (object::headers(call)?, tags::from_header(call)?);
    kms::may(call, kms::WRITE, &headers, &call.object_arn(&call.key))?;
    let (key, started_ms) = (call.key.clone(), call.world.now);
    let cipher = read::with_cipher(Reply::default(), &headers).headers;
    let upload = Upload {
        key: key.clone(),
        started_ms,
        headers,
        tags,
        algorithm,
        declared: said.is_some(),
        whole,
        parts: BTreeMap::new(),
    };
    let id = ids::hex(&call.world.draw_aws("upload"));
    call.change()?.uploads.insert(id.clone(), upload);
    let node = Node::new("InitiateMultipartUploadResult")
        .text("Bucket", &call.bucket)
        .text("Key", key);
    let reply = Reply::xml(&node.text("UploadId", id));
    let reply = cipher
        .into_iter()
        .fold(reply, |reply, (name, value)| reply.header(&name, value));
    let reply = reply.header("x-amz-checksum-algorithm", algorithm.name());
    Ok(reply.header(
        "x-amz-checksum-type",
        if whole { "FULL_OBJECT" } else { "COMPOSITE" },
    ))
}

impl Upload {
    /// Holds a part to the algorithm that the upload was begun with.
    ///
    /// # Errors
    /// `400 InvalidRequest`.
    pub(super) fn check_sum(&self, said: Option<Algorithm>) -> Result<(), Problem> {
        let fits = match said {
            Some(said) => said == self.algorithm,
            None => self.whole,
        };
        if fits || !self.declared {
            return Ok(());
        }
        let expected = self.algorithm.name().to_ascii_lowercase();
        let actual = said.map_or("null".to_owned(), |said| said.name().to_ascii_lowercase());
        Err(Problem::request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {actual}"
        )))
    }
}

/// `AbortMultipartUpload`
pub(super) fn abort(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let id = named(call)?.0.to_owned();
    discard(call, &id)?;
    Ok(Reply::empty(204))
}

fn discard(call: &mut Call<'_>, id: &str) -> Result<(), Problem> {
    let upload = call.change()?.uploads.remove(id);
    for part in upload
        .into_iter()
        .flat_map(|upload| upload.parts.into_values())
    {
        call.world.aws.contents.drop(part.content);
    }
    Ok(())
}

/// `CompleteMultipartUpload`
pub(super) fn complete(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("CompleteMultipartUpload")?;
    let (id, upload) = named(call)?;
    let (id, upload) = (id.to_owned(), upload.clone());
    kms::may(
        call,
        kms::READ,
        &upload.headers,
        &call.object_arn(&call.key),
    )?;
    let parts = chosen(&node, &upload)?;
    conditions::write(call, &call.key.clone())?;
    let (content, etag) = join(call, &parts)?;
    let value = match upload.whole {
        true => upload.algorithm.sum(&content),
        false => upload
            .algorithm
            .sum_of_sums(parts.iter().map(|part| part.checksum.value.as_str())),
    };
    let checksum = Checksum {
        algorithm: upload.algorithm,
        value,
    };
    let said = call.request.header(&checksum.algorithm.header());
    if said.is_some_and(|said| said.split('-').next() != checksum.value.split('-').next()) {
        let message = "The checksum you specified did not match the calculated checksum.";
        return Err(Problem::new(400, "BadDigest", message));
    }
    let version = Version {
        etag,
        size: content.len() as u64,
        content: object::content_name(call),
        headers: upload.headers,
        checksum: Some(checksum),
        tags: upload.tags,
        parts: parts.iter().map(|part| part.size).collect(),
        ..Version::default()
    };
    call.world
        .aws
        .contents
        .put(&version.content, content.into());
    let version = object::keep(call, version)?;
    discard(call, &id)?;
    Ok(completed(call, &version))
}

fn completed(call: &Call<'_>, version: &Version) -> Reply {
    let place = format!("/{}/{}", call.bucket, encode(&call.key));
    let node = Node::new("CompleteMultipartUploadResult")
        .text("Location", place)
        .text("Bucket", &call.bucket);
    let mut node = node
        .text("Key", &call.key)
        .text("ETag", format!("\"{}\"", version.etag));
    if let Some(checksum) = &version.checksum {
        node = node
            .text(&checksum.algorithm.element(), &checksum.value)
            .text("ChecksumType", checksum.kind());
    }
    read::with_version(
        call,
        read::with_cipher(Reply::xml(&node), &version.headers),
        &version.id,
    )
}

/// The parts that the client lists, in order, each as it was uploaded.
fn chosen(node: &Node, upload: &Upload) -> Result<Vec<Part>, Problem> {
    let invalid = || {
        let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the \
                       specified entity tag may not match the part's entity tag.";
        Problem::new(400, "InvalidPart", message)
    };
    let mut parts = Vec::new();
    let mut before = 0;
    for said in node.each("Part") {
        let number: u32 = said
            .text_of("PartNumber")
            .and_then(|text| text.parse().ok())
            .ok_or_else(Problem::malformed_xml)?;
        if number <= before {
            let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Problem::new(400, "InvalidPartOrder", message));
        }
        before = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        let etag = said.text_of("ETag").unwrap_or_default().trim_matches('"');
        let sum = said.text_of(&part.checksum.algorithm.element());
        if sum.is_none() && upload.declared && !upload.whole {
            let name = upload.algorithm.name().to_ascii_lowercase();
            return Err(Problem::request(format!(
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
        .ok_or_else(Problem::malformed_xml)?;
    if parts[..all_but_last]
        .iter()
        .any(|part| part.size < PART_MIN)
    {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(Problem::new(400, "EntityTooSmall", message));
    }
    Ok(parts)
}

/// The whole, and the MD5 of the MD5s of its parts.
fn join(call: &Call<'_>, parts: &[Part]) -> Result<(Vec<u8>, String), Problem> {
    let mut content = Vec::new();
    let mut sums = Md5::new();
    for part in parts {
        let bytes = call.world.aws.contents.get(&part.content);
        let bytes = bytes.map_err(|error| {
            Problem::new(500, "InternalError", format!("a part is lost: {error}"))
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
pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let wanted = Wanted::read(call, "max-uploads")?;
    let marker = call.request.query("key-marker").unwrap_or_default();
    let id_marker = call.request.query("upload-id-marker").unwrap_or_default();
    let mut uploads: Vec<(&str, (&str, &Upload))> = call
        .look()?
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
    let (lines, more) = wanted.page(later);
    let node = Node::new("ListMultipartUploadsResult")
        .text("Bucket", &call.bucket)
        .text("KeyMarker", marker);
    let node = node
        .text("UploadIdMarker", id_marker)
        .text("MaxUploads", wanted.max)
        .text("IsTruncated", more);
    let node = node.text("Prefix", wanted.spell(wanted.prefix));
    let node = node.maybe("NextKeyMarker", more.then(|| wanted.spell(&last(&lines))));
    let next = match lines.last().filter(|_| more) {
        Some(Line::Thing(_, (id, _))) => Some(*id),
        _ => None,
    };
    let entry = |key: &str, (id, upload): &(&str, &Upload)| {
        let node = Node::new("Upload")
            .text("Key", key)
            .text("UploadId", id)
            .text("StorageClass", "STANDARD");
        node.text("Initiated", stamp(upload.started_ms))
            .text("ChecksumAlgorithm", upload.algorithm.name())
    };
    Ok(Reply::xml(
        &node
            .maybe("NextUploadIdMarker", next)
            .all(wanted.render(&lines, entry)),
    ))
}
