//! `ListObjects` and `ListObjectsV2`, and the paging with prefixes and delimiters that all lists share.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use super::buckets::canonical_user_id;
use super::call::S3Call;
use super::object::{self, ObjectVersion};
use crate::aws::request::percent_encode;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::clock;

/// The largest page of a list.
pub(super) const LIST_PAGE_MAX: usize = 1000;

/// The parameters that all lists have.
#[derive(Debug)]
pub(super) struct ListParameters<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: &'a str,
    pub(super) max_entries: usize,
    pub(super) url_encode_keys: bool,
}

/// One entry of a list.
#[derive(Debug)]
pub(super) enum ListEntry<T> {
    /// An object, a version or an upload, with its key.
    Item(String, T),
    /// The common prefix of several keys, delimiter included.
    CommonPrefix(String),
}

impl<'a> ListParameters<'a> {
    /// Parses the parameters. `max` is the name of the parameter with the page size.
    ///
    /// # Errors
    /// `400 InvalidArgument` if the page size or the encoding is invalid.
    pub(super) fn from_call(
        call: &'a S3Call<'_>,
        page_size_parameter: &str,
    ) -> Result<Self, AwsError> {
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
            max_entries: request.query_number(page_size_parameter, LIST_PAGE_MAX)?,
            url_encode_keys: encoding.is_some(),
        })
    }

    /// The common prefix that a key is grouped under, if it contains the delimiter after the prefix.
    pub(super) fn common_prefix(&self, key: &'a str) -> Option<&'a str> {
        let rest = key.strip_prefix(self.prefix)?;
        let end = rest
            .find(self.delimiter)
            .filter(|_| !self.delimiter.is_empty())?;
        Some(&key[..self.prefix.len() + end + self.delimiter.len()])
    }

    /// One page of `things`, which are sorted by key, and whether there are more.
    pub(super) fn paginate<T>(
        &self,
        items: impl Iterator<Item = (&'a str, T)>,
    ) -> (Vec<ListEntry<T>>, bool) {
        let mut entries: Vec<ListEntry<T>> = Vec::new();
        for (key, item) in items.filter(|(key, _)| key.starts_with(self.prefix)) {
            let common = self.common_prefix(key);
            // Keys with a common prefix are adjacent, so comparing with the last entry finds duplicates.
            if let (Some(common), Some(ListEntry::CommonPrefix(last))) = (common, entries.last())
                && common == last
            {
                continue;
            }
            if entries.len() == self.max_entries {
                // With a page size of 0, S3 answers that the list is not truncated.
                return (entries, self.max_entries > 0);
            }
            entries.push(match common {
                Some(common) => ListEntry::CommonPrefix(common.to_owned()),
                None => ListEntry::Item(key.to_owned(), item),
            });
        }
        (entries, false)
    }

    /// Encodes a key as the request wants it.
    pub(super) fn encode_key(&self, key: &str) -> String {
        if self.url_encode_keys {
            percent_encode(key).replace("%2F", "/")
        } else {
            key.to_owned()
        }
    }

    /// Renders the entries of a page: first the items, then the common prefixes.
    pub(super) fn render_entries<T>(
        &self,
        entries: &[ListEntry<T>],
        render: impl Fn(&str, &T) -> XmlNode,
    ) -> Vec<XmlNode> {
        let item = |entry: &ListEntry<T>| match entry {
            ListEntry::Item(key, item) => Some(render(&self.encode_key(key), item)),
            ListEntry::CommonPrefix(_) => None,
        };
        let common = |entry: &ListEntry<T>| match entry {
            ListEntry::CommonPrefix(key) => {
                Some(XmlNode::new("CommonPrefixes").with_text("Prefix", self.encode_key(key)))
            }
            ListEntry::Item(..) => None,
        };
        entries
            .iter()
            .filter_map(item)
            .chain(entries.iter().filter_map(common))
            .collect()
    }

    /// The root element of the response, with the elements that all lists have.
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

/// The key or prefix of the last entry; empty if there is none.
pub(super) fn last_key<T>(entries: &[ListEntry<T>]) -> String {
    match entries.last() {
        Some(ListEntry::Item(key, _) | ListEntry::CommonPrefix(key)) => key.clone(),
        None => String::new(),
    }
}

/// Formats milliseconds since 1970 as lists do: whole seconds, `2026-01-01T00:00:00.000Z`.
pub(super) fn format_timestamp(ms: i64) -> String {
    clock::format_millis(ms - ms.rem_euclid(1000))
}

fn object_node(key: &str, version: &ObjectVersion, account: Option<&str>) -> XmlNode {
    let node = XmlNode::new("Contents")
        .with_text("Key", key)
        .with_text("LastModified", format_timestamp(version.modified_ms));
    let node = node.with_text("ETag", object::quote_etag(&version.etag));
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
    node.with_text("StorageClass", version.storage_class())
}

type ObjectPage<'a> = (Vec<ListEntry<&'a ObjectVersion>>, bool);

fn list_current_versions<'a>(
    call: &'a S3Call<'_>,
    parameters: &ListParameters<'a>,
    after: &str,
) -> Result<ObjectPage<'a>, AwsError> {
    let objects = &call.bucket_state()?.objects;
    let current_versions = objects.iter().filter_map(|(key, versions)| {
        let version = versions.last().filter(|version| !version.marker)?;
        Some((key.as_str(), version))
    });
    // If the last page ended with a common prefix, the marker is that prefix and all its keys are done.
    let after_marker = current_versions.filter(|(key, _)| {
        *key > after
            && parameters
                .common_prefix(key)
                .is_none_or(|common| common != after)
    });
    Ok(parameters.paginate(after_marker))
}

/// `ListObjectsV2`
pub(super) fn list_objects_v2(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let parameters = ListParameters::from_call(call, "max-keys")?;
    let request = call.request;
    let start_after = request
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
        None => start_after.to_owned(),
    };
    let (entries, is_truncated) = list_current_versions(call, &parameters, &after)?;
    let account = &call.bucket_state()?.account;
    let account = request
        .query_parameter("fetch-owner")
        .filter(|value| *value == "true")
        .map(|_| account.as_str());
    let node = parameters
        .result_node("ListBucketResult", &call.bucket)
        .with_text("KeyCount", entries.len())
        .with_text("MaxKeys", parameters.max_entries);
    let node = node
        .with_text("IsTruncated", is_truncated)
        .with_optional_text("ContinuationToken", token);
    let node = node.with_optional_text(
        "NextContinuationToken",
        is_truncated.then(|| URL_SAFE.encode(last_key(&entries))),
    );
    let node = node.with_optional_text(
        "StartAfter",
        Some(parameters.encode_key(start_after)).filter(|text| !text.is_empty()),
    );
    Ok(AwsResponse::s3_document(&node.with_children(
        parameters.render_entries(&entries, |key, version| object_node(key, version, account)),
    )))
}

/// `ListObjects` (version 1)
pub(super) fn list_objects_v1(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let parameters = ListParameters::from_call(call, "max-keys")?;
    let marker = call.request.query_parameter("marker").unwrap_or_default();
    let (entries, is_truncated) = list_current_versions(call, &parameters, marker)?;
    let account = call.bucket_state()?.account.as_str();
    let node = parameters
        .result_node("ListBucketResult", &call.bucket)
        .with_text("Marker", parameters.encode_key(marker));
    let node = node
        .with_text("MaxKeys", parameters.max_entries)
        .with_text("IsTruncated", is_truncated);
    let next = (is_truncated && !parameters.delimiter.is_empty())
        .then(|| parameters.encode_key(&last_key(&entries)));
    let node = node.with_optional_text("NextMarker", next);
    Ok(AwsResponse::s3_document(&node.with_children(
        parameters.render_entries(&entries, |key, version| {
            object_node(key, version, Some(account))
        }),
    )))
}
