//! Reading objects: whole, in ranges, or only what is known about them.

use std::collections::BTreeMap;

use super::call::S3Call;
use super::object::{self, ObjectVersion};
use super::{kms, preconditions};
use crate::aws::response::{AwsError, AwsResponse};

/// The version that a request means. Who may not list the bucket does not learn that a key is not there.
///
/// # Errors
/// `404`, `403`, or `405` for a delete marker that is named itself.
pub(super) fn find_version<'a>(call: &'a S3Call<'_>) -> Result<&'a ObjectVersion, AwsError> {
    let versions = call.bucket_state()?.objects.get(&call.key);
    let Some(id) = call.request.nonempty_query_parameter("versionId") else {
        let Some(newest) = versions.and_then(|versions| versions.last()) else {
            return Err(missing_key_error(call));
        };
        return match newest.marker {
            false => Ok(newest),
            true => Err(missing_key_error(call)
                .with_header("x-amz-delete-marker", "true")
                .with_header("x-amz-version-id", &newest.id)),
        };
    };
    let found = versions.and_then(|versions| versions.iter().find(|version| version.id == id));
    match found {
        Some(version) if !version.marker => Ok(version),
        Some(_) => {
            let message = "The specified method is not allowed against this resource.";
            Err(AwsError::new(405, "MethodNotAllowed", message)
                .with_header("x-amz-delete-marker", "true"))
        }
        None => {
            let problem = AwsError::new(
                404,
                "NoSuchVersion",
                "The specified version does not exist.",
            );
            Err(problem
                .with_element("Key", &call.key)
                .with_element("VersionId", id))
        }
    }
}

fn missing_key_error(call: &S3Call<'_>) -> AwsError {
    let arn = format!("arn:aws:s3:::{}", call.bucket);
    call.authorize("s3:ListBucket", &arn)
        .err()
        .unwrap_or_else(|| preconditions::no_such_key(&call.key))
}

/// The same with the version's name, in buckets that have versions.
pub(super) fn with_version_id(call: &S3Call<'_>, reply: AwsResponse, id: &str) -> AwsResponse {
    let versioned = call
        .bucket_state()
        .is_ok_and(|bucket| bucket.config.versioning.is_some());
    reply.with_optional_header("x-amz-version-id", versioned.then_some(id))
}

/// The same with the checksum.
pub(super) fn with_checksum(reply: AwsResponse, version: &ObjectVersion) -> AwsResponse {
    let Some(checksum) = &version.checksum else {
        return reply;
    };
    let reply = reply.with_header(&checksum.algorithm.header_name(), &checksum.value);
    reply.with_header("x-amz-checksum-type", checksum.checksum_type())
}

/// The same with how it is encrypted.
pub(super) fn with_encryption(
    reply: AwsResponse,
    headers: &BTreeMap<String, String>,
) -> AwsResponse {
    let names = [
        kms::SSE_ALGORITHM_HEADER,
        kms::SSE_KMS_KEY_ID_HEADER,
        kms::SSE_BUCKET_KEY_HEADER,
    ];
    names.into_iter().fold(reply, |reply, name| {
        reply.with_optional_header(name, headers.get(name))
    })
}

/// `Thu, 01 Jan 2026 00:00:00 GMT`
pub(crate) fn format_http_date(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_second(ms.div_euclid(1000)).unwrap_or_default();
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Headers of the answer that a query may replace.
const RESPONSE_HEADER_OVERRIDES: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];

fn metadata_response(call: &S3Call<'_>, version: &ObjectVersion) -> AwsResponse {
    let mut headers = version.headers.clone();
    for (query, name) in RESPONSE_HEADER_OVERRIDES {
        if let Some(value) = call.request.nonempty_query_parameter(query) {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    let reply = AwsResponse {
        headers: headers.into_iter().collect(),
        ..AwsResponse::empty(200)
    };
    let reply = reply
        .with_header("etag", format!("\"{}\"", version.etag))
        .with_header("accept-ranges", "bytes");
    let reply = reply.with_header("last-modified", format_http_date(version.modified_ms));
    let count = Some(version.tags.len()).filter(|count| *count > 0);
    let reply =
        reply.with_optional_header("x-amz-tagging-count", count.map(|count| count.to_string()));
    with_version_id(call, reply, &version.id)
}

/// Which bytes are asked for: the first and the one after the last.
fn parse_range(call: &S3Call<'_>, version: &ObjectVersion) -> Result<Option<(u64, u64)>, AwsError> {
    let size = version.size;
    if let Some(text) = call.request.nonempty_query_parameter("partNumber") {
        let wrong = || {
            AwsError::new(
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
        let problem = AwsError::new(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
        );
        return Err(problem.with_element("ActualObjectSize", size.to_string()));
    }
    Ok(Some((start, end)))
}

/// `GetObject`
pub(super) fn get_object(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    kms::reject_encryption_headers(call)?;
    let version = find_version(call)?;
    preconditions::check_read(call, version)?;
    object::check_not_archived(version)?;
    kms::authorize_key_use(
        call,
        kms::DECRYPT,
        &version.headers,
        &call.object_arn(&call.key),
    )?;
    let content = call
        .world
        .aws
        .contents
        .get(&version.content)
        .map_err(|error| {
            AwsError::new(
                500,
                "InternalError",
                format!("the sandbox has lost the content: {error}"),
            )
        })?;
    let mut reply = metadata_response(call, version);
    let asked = call
        .request
        .header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    let part = parse_range(call, version)?;
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
        reply = reply.with_header(
            "content-range",
            format!("bytes {start}-{}/{}", end - 1, version.size),
        );
        let count = Some(version.parts.len()).filter(|count| {
            *count > 0
                && call
                    .request
                    .nonempty_query_parameter("partNumber")
                    .is_some()
        });
        reply = reply
            .with_optional_header("x-amz-mp-parts-count", count.map(|count| count.to_string()));
    }
    Ok(reply)
}

/// `HeadObject`
pub(super) fn head_object(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    kms::reject_encryption_headers(call)?;
    let version = find_version(call)?;
    preconditions::check_read(call, version)?;
    let asked = call
        .request
        .header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    if asked {
        // What is known about an object is not encrypted, but for its checksum.
        kms::authorize_key_use(
            call,
            kms::DECRYPT,
            &version.headers,
            &call.object_arn(&call.key),
        )?;
    }
    let part = parse_range(call, version)?;
    let length = part.map_or(version.size, |(start, end)| end - start);
    let reply = metadata_response(call, version).with_header("content-length", length.to_string());
    Ok(if asked {
        with_checksum(reply, version)
    } else {
        reply
    })
}
