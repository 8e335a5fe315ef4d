//! Lists of objects, in the order of their keys, with what they have in common up to a delimiter folded into one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use super::buckets::canonical_user_id;
use super::call::S3Call;
use super::object::ObjectVersion;
use crate::aws::request::percent_encode;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::clock;

/// No page is longer.
pub(super) const LIST_PAGE_MAX: usize = 1000;

/// What a request wants listed.
#[derive(Debug)]
pub(super) struct ListParameters<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: &'a str,
    pub(super) max_entries: usize,
    pub(super) url_encode_keys: bool,
}

/// One line of a list.
#[derive(Debug)]
pub(super) enum ListEntry<T> {
    /// A thing by its key.
    Item(String, T),
    /// What several keys begin with.
    CommonPrefix(String),
}

impl<'a> ListParameters<'a> {
    /// Reads what every list understands.
    ///
    /// # Errors
    /// `400` for what is no number, and for an encoding that there is not.
    pub(super) fn from_call(call: &'a S3Call<'_>, max: &str) -> Result<Self, AwsError> {
        let request = call.request;
        let encoding = request.nonempty_query_parameter("encoding-type");
        if encoding.is_some_and(|encoding| encoding != "url") {
            return Err(AwsError::invalid_argument(
                "Invalid Encoding Method specified in Request",
            ));
        }
        Ok(Self {
            prefix: request.query_parameter("prefix").unwrap_or_default(),
            delimiter: request.query_parameter("delimiter").unwrap_or_default(),
            max_entries: request.query_number(max, LIST_PAGE_MAX)?,
            url_encode_keys: encoding.is_some(),
        })
    }

    /// What a key is folded into, if it is.
    pub(super) fn common_prefix(&self, key: &'a str) -> Option<&'a str> {
        let rest = key.strip_prefix(self.prefix)?;
        let end = rest
            .find(self.delimiter)
            .filter(|_| !self.delimiter.is_empty())?;
        Some(&key[..self.prefix.len() + end + self.delimiter.len()])
    }

    /// A page of things in the order of their keys, and whether there are more.
    pub(super) fn paginate<T>(
        &self,
        things: impl Iterator<Item = (&'a str, T)>,
    ) -> (Vec<ListEntry<T>>, bool) {
        let mut lines: Vec<ListEntry<T>> = Vec::new();
        for (key, thing) in things.filter(|(key, _)| key.starts_with(self.prefix)) {
            let common = self.common_prefix(key);
            if let (Some(common), Some(ListEntry::CommonPrefix(last))) = (common, lines.last())
                && common == last
            {
                continue;
            }
            if lines.len() == self.max_entries {
                // A page of nothing promises nothing.
                return (lines, self.max_entries > 0);
            }
            lines.push(match common {
                Some(common) => ListEntry::CommonPrefix(common.to_owned()),
                None => ListEntry::Item(key.to_owned(), thing),
            });
        }
        (lines, false)
    }

    /// A key as the answer spells it.
    pub(super) fn encode_key(&self, key: &str) -> String {
        if self.url_encode_keys {
            percent_encode(key).replace("%2F", "/")
        } else {
            key.to_owned()
        }
    }

    /// The lines of a page; common beginnings come after all things.
    pub(super) fn render_entries<T>(
        &self,
        lines: &[ListEntry<T>],
        render: impl Fn(&str, &T) -> XmlNode,
    ) -> Vec<XmlNode> {
        let thing = |line: &ListEntry<T>| match line {
            ListEntry::Item(key, thing) => Some(render(&self.encode_key(key), thing)),
            ListEntry::CommonPrefix(_) => None,
        };
        let common = |line: &ListEntry<T>| match line {
            ListEntry::CommonPrefix(key) => {
                Some(XmlNode::new("CommonPrefixes").with_text("Prefix", self.encode_key(key)))
            }
            ListEntry::Item(..) => None,
        };
        lines
            .iter()
            .filter_map(thing)
            .chain(lines.iter().filter_map(common))
            .collect()
    }

    /// The beginning of every answer.
    pub(super) fn result_node(&self, root: &str, bucket: &str) -> XmlNode {
        let node = XmlNode::new(root)
            .with_text("Name", bucket)
            .with_text("Prefix", self.encode_key(self.prefix));
        let node = node.with_optional_text(
            "Delimiter",
            Some(self.encode_key(self.delimiter)).filter(|text| !text.is_empty()),
        );
        node.with_optional_text("EncodingType", self.url_encode_keys.then_some("url"))
    }
}

/// The key of the last line.
pub(super) fn last_key<T>(lines: &[ListEntry<T>]) -> String {
    match lines.last() {
        Some(ListEntry::Item(key, _) | ListEntry::CommonPrefix(key)) => key.clone(),
        None => String::new(),
    }
}

/// `2026-01-01T00:00:00.000Z`: lists show whole seconds so.
pub(super) fn format_timestamp(ms: i64) -> String {
    clock::format_millis(ms - ms.rem_euclid(1000))
}

fn object_node(key: &str, version: &ObjectVersion, account: Option<&str>) -> XmlNode {
    let node = XmlNode::new("Contents")
        .with_text("Key", key)
        .with_text("LastModified", format_timestamp(version.modified_ms));
    let node = node.with_text("ETag", format!("\"{}\"", version.etag));
    let checksum = version.checksum.as_ref();
    let node = node.with_optional_text(
        "ChecksumAlgorithm",
        checksum.map(|checksum| checksum.algorithm.name()),
    );
    let node = node
        .with_optional_text(
            "ChecksumType",
            checksum.map(super::ObjectChecksum::checksum_type),
        )
        .with_text("Size", version.size);
    let node = node.with_children(
        account.map(|account| XmlNode::new("Owner").with_text("ID", canonical_user_id(account))),
    );
    node.with_text(
        "StorageClass",
        version
            .headers
            .get("x-amz-storage-class")
            .map_or("STANDARD", String::as_str),
    )
}

type ObjectPage<'a> = (Vec<ListEntry<&'a ObjectVersion>>, bool);

fn list_current_versions<'a>(
    call: &'a S3Call<'_>,
    wanted: &ListParameters<'a>,
    after: &str,
) -> Result<ObjectPage<'a>, AwsError> {
    let objects = &call.bucket_state()?.objects;
    let live = objects.iter().filter_map(|(key, versions)| {
        let version = versions.last().filter(|version| !version.marker)?;
        Some((key.as_str(), version))
    });
    let later = live.filter(|(key, _)| {
        *key > after
            && wanted
                .common_prefix(key)
                .is_none_or(|common| common != after)
    });
    Ok(wanted.paginate(later))
}

/// `ListObjectsV2`
pub(super) fn list_objects_v2(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let wanted = ListParameters::from_call(call, "max-keys")?;
    let request = call.request;
    let start = request
        .nonempty_query_parameter("start-after")
        .unwrap_or_default();
    let token = request.nonempty_query_parameter("continuation-token");
    let after = match token {
        Some(token) => {
            let bytes = URL_SAFE
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            bytes.ok_or_else(|| {
                AwsError::invalid_argument("The continuation token provided is incorrect")
            })?
        }
        None => start.to_owned(),
    };
    let (lines, more) = list_current_versions(call, &wanted, &after)?;
    let account = &call.bucket_state()?.account;
    let account = request
        .query_parameter("fetch-owner")
        .filter(|said| *said == "true")
        .map(|_| account.as_str());
    let node = wanted
        .result_node("ListBucketResult", &call.bucket)
        .with_text("KeyCount", lines.len())
        .with_text("MaxKeys", wanted.max_entries);
    let node = node
        .with_text("IsTruncated", more)
        .with_optional_text("ContinuationToken", token);
    let node = node.with_optional_text(
        "NextContinuationToken",
        more.then(|| URL_SAFE.encode(last_key(&lines))),
    );
    let node = node.with_optional_text(
        "StartAfter",
        Some(wanted.encode_key(start)).filter(|text| !text.is_empty()),
    );
    Ok(AwsResponse::s3_document(&node.with_children(
        wanted.render_entries(&lines, |key, version| object_node(key, version, account)),
    )))
}

/// `ListObjects`, the old one.
pub(super) fn list_objects_v1(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let wanted = ListParameters::from_call(call, "max-keys")?;
    let marker = call.request.query_parameter("marker").unwrap_or_default();
    let (lines, more) = list_current_versions(call, &wanted, marker)?;
    let account = call.bucket_state()?.account.as_str();
    let node = wanted
        .result_node("ListBucketResult", &call.bucket)
        .with_text("Marker", wanted.encode_key(marker));
    let node = node
        .with_text("MaxKeys", wanted.max_entries)
        .with_text("IsTruncated", more);
    let next = (more && !wanted.delimiter.is_empty()).then(|| wanted.encode_key(&last_key(&lines)));
    let node = node.with_optional_text("NextMarker", next);
    Ok(AwsResponse::s3_document(&node.with_children(
        wanted.render_entries(&lines, |key, version| {
            object_node(key, version, Some(account))
        }),
    )))
}
