//! `GetObject` and `HeadObject`.

use std::collections::BTreeMap;

use super::call::S3Call;
use super::object::{self, ObjectVersion};
use super::{kms, preconditions};
use crate::aws::response::{AwsError, AwsResponse};

/// Finds the version of an object that a request names.
///
/// # Errors
/// `404` if it does not exist; `403` instead if the caller may not list the bucket; `405` if the version
/// id names a delete marker.
pub(super) fn find_version<'a>(call: &'a S3Call<'_>) -> Result<&'a ObjectVersion, AwsError> {
    let versions = call.bucket_state()?.objects.get(&call.key);
    let Some(id) = call.request.nonempty_query_parameter("versionId") else {
        let Some(newest) = versions.and_then(|versions| versions.last()) else {
            return Err(missing_key_error(call));
        };
        // A delete marker reads as a missing object, and two headers tell the difference.
        return match newest.marker {
            false => Ok(newest),
            true => Err(missing_key_error(call)
                .with_header("x-amz-delete-marker", "true")
                .with_header("x-amz-version-id", &newest.id)),
        };
    };
    let version = versions.and_then(|versions| versions.iter().find(|version| version.id == id));
    match version {
        Some(version) if !version.marker => Ok(version),
        Some(_) => Err(AwsError::method_not_allowed().with_header("x-amz-delete-marker", "true")),
        None => Err(object::no_such_version(&call.key, id)),
    }
}

fn missing_key_error(call: &S3Call<'_>) -> AwsError {
    let arn = format!("arn:aws:s3:::{}", call.bucket);
    call.authorize("s3:ListBucket", &arn)
        .err()
        .unwrap_or_else(|| preconditions::no_such_key(&call.key))
}

/// Adds the version id, if the bucket is or was versioned.
pub(super) fn with_version_id(call: &S3Call<'_>, response: AwsResponse, id: &str) -> AwsResponse {
    let versioned = call
        .bucket_state()
        .is_ok_and(|bucket| bucket.config.versioning.is_some());
    response.with_optional_header("x-amz-version-id", versioned.then_some(id))
}

/// Adds the checksum of a version.
pub(super) fn with_checksum(response: AwsResponse, version: &ObjectVersion) -> AwsResponse {
    let Some(checksum) = &version.checksum else {
        return response;
    };
    let response = response.with_header(&checksum.algorithm.header_name(), &checksum.value);
    response.with_header("x-amz-checksum-type", checksum.checksum_type())
}

/// Adds the encryption headers of an object.
pub(super) fn with_encryption(
    response: AwsResponse,
    headers: &BTreeMap<String, String>,
) -> AwsResponse {
    let names = [
        kms::SSE_ALGORITHM_HEADER,
        kms::SSE_KMS_KEY_ID_HEADER,
        kms::SSE_BUCKET_KEY_HEADER,
    ];
    names.into_iter().fold(response, |response, name| {
        response.with_optional_header(name, headers.get(name))
    })
}

/// Formats milliseconds since 1970 as `Thu, 01 Jan 2026 00:00:00 GMT`.
pub(crate) fn format_http_date(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_second(ms.div_euclid(1000)).unwrap_or_default();
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Query parameters that override headers of the response.
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
    let response = AwsResponse {
        headers: headers.into_iter().collect(),
        ..AwsResponse::empty(200)
    };
    let response = response
        .with_header("etag", object::quote_etag(&version.etag))
        .with_header("accept-ranges", "bytes");
    let response = response.with_header("last-modified", format_http_date(version.modified_ms));
    let count = Some(version.tags.len()).filter(|count| *count > 0);
    let response =
        response.with_optional_header("x-amz-tagging-count", count.map(|count| count.to_string()));
    with_version_id(call, response, &version.id)
}

/// A half-open range of bytes.
type ByteRange = (u64, u64);

/// The requested bytes, from `partNumber` or `Range`. `None` means all bytes.
fn parse_range(call: &S3Call<'_>, version: &ObjectVersion) -> Result<Option<ByteRange>, AwsError> {
    match call.request.nonempty_query_parameter("partNumber") {
        Some(number) => part_range(number, version).map(Some),
        None => parse_range_header(call, version.size),
    }
}

/// The bytes of one part. An object that was not uploaded in parts has one part.
fn part_range(number: &str, version: &ObjectVersion) -> Result<ByteRange, AwsError> {
    let invalid_part = || {
        let message = "The requested partnumber is not satisfiable";
        AwsError::new(416, "InvalidPartNumber", message)
    };
    let index = number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1))
        .ok_or_else(invalid_part)?;
    let whole = [version.size];
    let parts = if version.parts.is_empty() {
        &whole[..]
    } else {
        &version.parts
    };
    let length = *parts.get(index).ok_or_else(invalid_part)?;
    let start = parts[..index].iter().sum();
    Ok((start, start + length))
}

/// Parses a header such as `Range: bytes=0-99`, `bytes=100-` or `bytes=-100` (the last 100 bytes).
fn parse_range_header(call: &S3Call<'_>, size: u64) -> Result<Option<ByteRange>, AwsError> {
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
        // HTTP requires that malformed ranges are ignored.
        _ => return Ok(None),
    };
    if start >= end {
        let error = AwsError::new(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
        );
        return Err(error.with_element("ActualObjectSize", size.to_string()));
    }
    Ok(Some((start, end)))
}

fn wants_checksum(call: &S3Call<'_>) -> bool {
    call.request
        .header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
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
    let content = call.read_content(&version.content)?;
    let mut response = metadata_response(call, version);
    let wants_checksum = wants_checksum(call);
    let range = parse_range(call, version)?;
    if wants_checksum && range.is_none() {
        response = with_checksum(response, version);
    }
    response.body = content.to_vec();
    if let Some((start, end)) = range {
        response.status = 206;
        let (from, to) = (
            usize::try_from(start).unwrap_or(0),
            usize::try_from(end).unwrap_or(0),
        );
        response.body = content.get(from..to).unwrap_or_default().to_vec();
        response = response.with_header(
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
        response = response
            .with_optional_header("x-amz-mp-parts-count", count.map(|count| count.to_string()));
    }
    Ok(response)
}

/// `HeadObject`
pub(super) fn head_object(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    kms::reject_encryption_headers(call)?;
    let version = find_version(call)?;
    preconditions::check_read(call, version)?;
    let wants_checksum = wants_checksum(call);
    if wants_checksum {
        // Metadata is not encrypted, so `HeadObject` needs the key only for the checksum.
        kms::authorize_key_use(
            call,
            kms::DECRYPT,
            &version.headers,
            &call.object_arn(&call.key),
        )?;
    }
    let range = parse_range(call, version)?;
    let length = range.map_or(version.size, |(start, end)| end - start);
    let response =
        metadata_response(call, version).with_header("content-length", length.to_string());
    Ok(if wants_checksum {
        with_checksum(response, version)
    } else {
        response
    })
}
