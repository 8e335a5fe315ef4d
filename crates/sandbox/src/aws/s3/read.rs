//! Reading objects: whole, in ranges, or only what is known about them.

use std::collections::BTreeMap;

use super::call::Call;
use super::object::{self, Version};
use super::{conditions, kms};
use crate::aws::answer::{Problem, Reply};

/// The version that a request means. Who may not list the bucket does not learn that a key is not there.
///
/// # Errors
/// `404`, `403`, or `405` for a delete marker that is named itself.
pub(super) fn find<'a>(call: &'a Call<'_>) -> Result<&'a Version, Problem> {
    let versions = call.look()?.objects.get(&call.key);
    let Some(id) = call.request.value("versionId") else {
        let Some(newest) = versions.and_then(|versions| versions.last()) else {
            return Err(missing(call));
        };
        return match newest.marker {
            false => Ok(newest),
            true => Err(missing(call)
                .header("x-amz-delete-marker", "true")
                .header("x-amz-version-id", &newest.id)),
        };
    };
    let found = versions.and_then(|versions| versions.iter().find(|version| version.id == id));
    match found {
        Some(version) if !version.marker => Ok(version),
        Some(_) => {
            let message = "The specified method is not allowed against this resource.";
            Err(Problem::new(405, "MethodNotAllowed", message)
                .header("x-amz-delete-marker", "true"))
        }
        None => {
            let problem = Problem::new(
                404,
                "NoSuchVersion",
                "The specified version does not exist.",
            );
            Err(problem.field("Key", &call.key).field("VersionId", id))
        }
    }
}

fn missing(call: &Call<'_>) -> Problem {
    let arn = format!("arn:aws:s3:::{}", call.bucket);
    call.may("s3:ListBucket", &arn)
        .err()
        .unwrap_or_else(|| conditions::no_key(&call.key))
}

/// The same with the version's name, in buckets that have versions.
pub(super) fn with_version(call: &Call<'_>, reply: Reply, id: &str) -> Reply {
    let versioned = call
        .look()
        .is_ok_and(|bucket| bucket.config.versioning.is_some());
    reply.maybe("x-amz-version-id", versioned.then_some(id))
}

/// The same with the checksum.
pub(super) fn with_checksum(reply: Reply, version: &Version) -> Reply {
    let Some(checksum) = &version.checksum else {
        return reply;
    };
    let reply = reply.header(&checksum.algorithm.header(), &checksum.value);
    reply.header("x-amz-checksum-type", checksum.kind())
}

/// The same with how it is encrypted.
pub(super) fn with_cipher(reply: Reply, headers: &BTreeMap<String, String>) -> Reply {
    let names = [kms::ALGORITHM, kms::KEY, kms::BUCKET_KEY];
    names
        .into_iter()
        .fold(reply, |reply, name| reply.maybe(name, headers.get(name)))
}

/// `Thu, 01 Jan 2026 00:00:00 GMT`
pub(crate) fn http_date(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_second(ms.div_euclid(1000)).unwrap_or_default();
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Headers of the answer that a query may replace.
const REPLACED: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];

fn described(call: &Call<'_>, version: &Version) -> Reply {
    let mut headers = version.headers.clone();
    for (query, name) in REPLACED {
        if let Some(value) = call.request.value(query) {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    let reply = Reply {
        headers: headers.into_iter().collect(),
        ..Reply::empty(200)
    };
    let reply = reply
        .header("etag", format!("\"{}\"", version.etag))
        .header("accept-ranges", "bytes");
    let reply = reply.header("last-modified", http_date(version.modified_ms));
    let count = Some(version.tags.len()).filter(|count| *count > 0);
    let reply = reply.maybe("x-amz-tagging-count", count.map(|count| count.to_string()));
    with_version(call, reply, &version.id)
}

/// Which bytes are asked for: the first and the one after the last.
fn range(call: &Call<'_>, version: &Version) -> Result<Option<(u64, u64)>, Problem> {
    let size = version.size;
    if let Some(text) = call.request.value("partNumber") {
        let wrong = || {
            Problem::new(
                416,
                "InvalidPartNumber",
                "The requested partnumber is not satisfiable",
            )
        };
        let at = text
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1))
            .ok_or_else(wrong)?;
        let whole = [size];
        let parts = if version.parts.is_empty() {
            &whole[..]
        } else {
            &version.parts
        };
        let length = *parts.get(at).ok_or_else(wrong)?;
        let start = parts[..at].iter().sum();
        return Ok(Some((start, start + length)));
    }
    let Some((first, last)) = call
        .request
        .header("range")
        .and_then(|text| text.strip_prefix("bytes=")?.split_once('-'))
    else {
        return Ok(None);
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(last)) if first.is_empty() => (size.saturating_sub(last), size),
        // What is no range is no question.
        _ => return Ok(None),
    };
    if start >= end {
        let problem = Problem::new(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
        );
        return Err(problem.field("ActualObjectSize", size.to_string()));
    }
    Ok(Some((start, end)))
}

/// `GetObject`
pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, Problem> {
    kms::none_said(call)?;
    let version = find(call)?;
    conditions::read(call, version)?;
    object::at_hand(version)?;
    kms::may(
        call,
        kms::READ,
        &version.headers,
        &call.object_arn(&call.key),
    )?;
    let content = call
        .world
        .aws
        .contents
        .get(&version.content)
        .map_err(|error| {
            Problem::new(
                500,
                "InternalError",
                format!("the sandbox has lost the content: {error}"),
            )
        })?;
    let mut reply = described(call, version);
    let asked = call
        .request
        .header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    let part = range(call, version)?;
    if asked && part.is_none() {
        reply = with_checksum(reply, version);
    }
    reply.body = content.to_vec();
    if let Some((start, end)) = part {
        reply.status = 206;
        let (from, to) = (
            usize::try_from(start).unwrap_or(0),
            usize::try_from(end).unwrap_or(0),
        );
        reply.body = content.get(from..to).unwrap_or_default().to_vec();
        reply = reply.header(
            "content-range",
            format!("bytes {start}-{}/{}", end - 1, version.size),
        );
        let count = Some(version.parts.len())
            .filter(|count| *count > 0 && call.request.value("partNumber").is_some());
        reply = reply.maybe("x-amz-mp-parts-count", count.map(|count| count.to_string()));
    }
    Ok(reply)
}

/// `HeadObject`
pub(super) fn head(call: &mut Call<'_>) -> Result<Reply, Problem> {
    kms::none_said(call)?;
    let version = find(call)?;
    conditions::read(call, version)?;
    let asked = call
        .request
        .header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    if asked {
        // What is known about an object is not encrypted, but for its checksum.
        kms::may(
            call,
            kms::READ,
            &version.headers,
            &call.object_arn(&call.key),
        )?;
    }
    let part = range(call, version)?;
    let length = part.map_or(version.size, |(start, end)| end - start);
    let reply = described(call, version).header("content-length", length.to_string());
    Ok(if asked {
        with_checksum(reply, version)
    } else {
        reply
    })
}
