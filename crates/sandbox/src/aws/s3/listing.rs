//! Lists of objects, in the order of their keys, with what they have in common up to a delimiter folded into one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use super::buckets::owner;
use super::call::Call;
use super::object::Version;
use crate::aws::answer::{Problem, Reply};
use crate::aws::request::encode;
use crate::aws::xml::Node;
use crate::clock;

/// No page is longer.
pub(super) const PAGE_MAX: usize = 1000;

/// What a request wants listed.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: &'a str,
    pub(super) max: usize,
    pub(super) encoded: bool,
}

/// One line of a list.
#[derive(Debug)]
pub(super) enum Line<T> {
    /// A thing by its key.
    Thing(String, T),
    /// What several keys begin with.
    Common(String),
}

impl<'a> Wanted<'a> {
    /// Reads what every list understands.
    ///
    /// # Errors
    /// `400` for what is no number, and for an encoding that there is not.
    pub(super) fn read(call: &'a Call<'_>, max: &str) -> Result<Self, Problem> {
        let request = call.request;
        let encoding = request.value("encoding-type");
        if encoding.is_some_and(|encoding| encoding != "url") {
            return Err(Problem::argument(
                "Invalid Encoding Method specified in Request",
            ));
        }
        Ok(Self {
            prefix: request.query("prefix").unwrap_or_default(),
            delimiter: request.query("delimiter").unwrap_or_default(),
            max: request.number(max, PAGE_MAX)?,
            encoded: encoding.is_some(),
        })
    }

    /// What a key is folded into, if it is.
    pub(super) fn common(&self, key: &'a str) -> Option<&'a str> {
        let rest = key.strip_prefix(self.prefix)?;
        let end = rest
            .find(self.delimiter)
            .filter(|_| !self.delimiter.is_empty())?;
        Some(&key[..self.prefix.len() + end + self.delimiter.len()])
    }

    /// A page of things in the order of their keys, and whether there are more.
    pub(super) fn page<T>(
        &self,
        things: impl Iterator<Item = (&'a str, T)>,
    ) -> (Vec<Line<T>>, bool) {
        let mut lines: Vec<Line<T>> = Vec::new();
        for (key, thing) in things.filter(|(key, _)| key.starts_with(self.prefix)) {
            let common = self.common(key);
            if let (Some(common), Some(Line::Common(last))) = (common, lines.last())
                && common == last
            {
                continue;
            }
            if lines.len() == self.max {
                // A page of nothing promises nothing.
                return (lines, self.max > 0);
            }
            lines.push(match common {
                Some(common) => Line::Common(common.to_owned()),
                None => Line::Thing(key.to_owned(), thing),
            });
        }
        (lines, false)
    }

    /// A key as the answer spells it.
    pub(super) fn spell(&self, key: &str) -> String {
        if self.encoded {
            encode(key).replace("%2F", "/")
        } else {
            key.to_owned()
        }
    }

    /// The lines of a page; common beginnings come after all things.
    pub(super) fn render<T>(
        &self,
        lines: &[Line<T>],
        render: impl Fn(&str, &T) -> Node,
    ) -> Vec<Node> {
        let thing = |line: &Line<T>| match line {
            Line::Thing(key, thing) => Some(render(&self.spell(key), thing)),
            Line::Common(_) => None,
        };
        let common = |line: &Line<T>| match line {
            Line::Common(key) => Some(Node::new("CommonPrefixes").text("Prefix", self.spell(key))),
            Line::Thing(..) => None,
        };
        lines
            .iter()
            .filter_map(thing)
            .chain(lines.iter().filter_map(common))
            .collect()
    }

    /// The beginning of every answer.
    pub(super) fn head(&self, root: &str, bucket: &str) -> Node {
        let node = Node::new(root)
            .text("Name", bucket)
            .text("Prefix", self.spell(self.prefix));
        let node = node.maybe(
            "Delimiter",
            Some(self.spell(self.delimiter)).filter(|text| !text.is_empty()),
        );
        node.maybe("EncodingType", self.encoded.then_some("url"))
    }
}

/// The key of the last line.
pub(super) fn last<T>(lines: &[Line<T>]) -> String {
    match lines.last() {
        Some(Line::Thing(key, _) | Line::Common(key)) => key.clone(),
        None => String::new(),
    }
}

/// `2026-01-01T00:00:00.000Z`: lists show whole seconds so.
pub(super) fn stamp(ms: i64) -> String {
    clock::millis(ms - ms.rem_euclid(1000))
}

fn entry(key: &str, version: &Version, account: Option<&str>) -> Node {
    let node = Node::new("Contents")
        .text("Key", key)
        .text("LastModified", stamp(version.modified_ms));
    let node = node.text("ETag", format!("\"{}\"", version.etag));
    let checksum = version.checksum.as_ref();
    let node = node.maybe(
        "ChecksumAlgorithm",
        checksum.map(|checksum| checksum.algorithm.name()),
    );
    let node = node
        .maybe("ChecksumType", checksum.map(super::Checksum::kind))
        .text("Size", version.size);
    let node = node.all(account.map(|account| Node::new("Owner").text("ID", owner(account))));
    node.text(
        "StorageClass",
        version
            .headers
            .get("x-amz-storage-class")
            .map_or("STANDARD", String::as_str),
    )
}

type Page<'a> = (Vec<Line<&'a Version>>, bool);

fn current<'a>(call: &'a Call<'_>, wanted: &Wanted<'a>, after: &str) -> Result<Page<'a>, Problem> {
    let objects = &call.look()?.objects;
    let live = objects.iter().filter_map(|(key, versions)| {
        let version = versions.last().filter(|version| !version.marker)?;
        Some((key.as_str(), version))
    });
    let later = live
        .filter(|(key, _)| *key > after && wanted.common(key).is_none_or(|common| common != after));
    Ok(wanted.page(later))
}

/// `ListObjectsV2`
pub(super) fn second(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let wanted = Wanted::read(call, "max-keys")?;
    let request = call.request;
    let start = request.value("start-after").unwrap_or_default();
    let token = request.value("continuation-token");
    let after = match token {
        Some(token) => {
            let bytes = URL_SAFE
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            bytes
                .ok_or_else(|| Problem::argument("The continuation token provided is incorrect"))?
        }
        None => start.to_owned(),
    };
    let (lines, more) = current(call, &wanted, &after)?;
    let account = &call.look()?.account;
    let account = request
        .query("fetch-owner")
        .filter(|said| *said == "true")
        .map(|_| account.as_str());
    let node = wanted
        .head("ListBucketResult", &call.bucket)
        .text("KeyCount", lines.len())
        .text("MaxKeys", wanted.max);
    let node = node
        .text("IsTruncated", more)
        .maybe("ContinuationToken", token);
    let node = node.maybe(
        "NextContinuationToken",
        more.then(|| URL_SAFE.encode(last(&lines))),
    );
    let node = node.maybe(
        "StartAfter",
        Some(wanted.spell(start)).filter(|text| !text.is_empty()),
    );
    Ok(Reply::xml(&node.all(
        wanted.render(&lines, |key, version| entry(key, version, account)),
    )))
}

/// `ListObjects`, the old one.
pub(super) fn first(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let wanted = Wanted::read(call, "max-keys")?;
    let marker = call.request.query("marker").unwrap_or_default();
    let (lines, more) = current(call, &wanted, marker)?;
    let account = call.look()?.account.as_str();
    let node = wanted
        .head("ListBucketResult", &call.bucket)
        .text("Marker", wanted.spell(marker));
    let node = node.text("MaxKeys", wanted.max).text("IsTruncated", more);
    let next = (more && !wanted.delimiter.is_empty()).then(|| wanted.spell(&last(&lines)));
    let node = node.maybe("NextMarker", next);
    Ok(Reply::xml(&node.all(
        wanted.render(&lines, |key, version| entry(key, version, Some(account))),
    )))
}
