//! Conditional requests: `If-Match`, `If-None-Match` and the date-based headers.

use super::ObjectVersion;
use super::call::S3Call;
use crate::aws::response::AwsError;

/// `412 PreconditionFailed`, with the name of the header.
pub(super) fn precondition_failed(header: &str) -> AwsError {
    let message = "At least one of the pre-conditions you specified did not hold";
    AwsError::new(412, "PreconditionFailed", message).with_element("Condition", header)
}

/// `404 NoSuchKey`.
pub(super) fn no_such_key(key: &str) -> AwsError {
    AwsError::new(404, "NoSuchKey", "The specified key does not exist.").with_element("Key", key)
}

/// Whether a list of entity tags, or `*`, matches an ETag.
fn etag_matches(etags: &str, etag: &str) -> bool {
    etags
        .split(',')
        .map(|candidate| candidate.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|candidate| candidate == "*" || candidate == etag)
}

/// Checks the preconditions of a write. A delete marker counts as a missing object.
///
/// # Errors
/// `412` if one does not hold, `404` if `If-Match` is sent and the object does not exist, `501` for
/// `If-None-Match` with an ETag, which S3 does not support.
pub(super) fn check_write(call: &S3Call<'_>, key: &str) -> Result<(), AwsError> {
    let current = call.bucket_state()?.current_version(key);
    if call.ignore_preconditions {
        return Ok(());
    }
    if let Some(etags) = call.request.header("if-none-match") {
        if etags.trim() != "*" {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(AwsError::new(501, "NotImplemented", message)
                .with_element("Header", "If-None-Match"));
        }
        if current.is_some() {
            return Err(precondition_failed("If-None-Match"));
        }
    }
    if let Some(etags) = call.request.header("if-match") {
        let current = current.ok_or_else(|| no_such_key(key))?;
        if !etag_matches(etags, &current.etag) {
            return Err(precondition_failed("If-Match"));
        }
    }
    Ok(())
}

/// Checks the preconditions of a read.
///
/// # Errors
/// `412`, or `304` if the object has not changed.
pub(super) fn check_read(call: &S3Call<'_>, version: &ObjectVersion) -> Result<(), AwsError> {
    check_read_headers(call, version, "")
}

/// Checks the preconditions of a copy on its source.
///
/// # Errors
/// `412`.
pub(super) fn check_copy_source(
    call: &S3Call<'_>,
    version: &ObjectVersion,
) -> Result<(), AwsError> {
    check_read_headers(call, version, "x-amz-copy-source-").map_err(|error| match error.status {
        304 => precondition_failed("x-amz-copy-source-If-None-Match"),
        _ => error,
    })
}

fn check_read_headers(
    call: &S3Call<'_>,
    version: &ObjectVersion,
    prefix: &str,
) -> Result<(), AwsError> {
    let header = |name: &str| call.request.header(&format!("{prefix}{name}"));
    let date = |name: &str| {
        let date_time = jiff::fmt::rfc2822::parse(header(name)?).ok()?;
        Some(date_time.timestamp().as_second())
    };
    let modified_s = version.modified_ms.div_euclid(1000);
    if let Some(etags) = header("if-match") {
        if !etag_matches(etags, &version.etag) {
            return Err(precondition_failed("If-Match"));
        }
    } else if date("if-unmodified-since").is_some_and(|limit| modified_s > limit) {
        return Err(precondition_failed("If-Unmodified-Since"));
    }
    let unchanged = match header("if-none-match") {
        Some(etags) => etag_matches(etags, &version.etag),
        None => date("if-modified-since").is_some_and(|limit| modified_s <= limit),
    };
    match unchanged {
        true => Err(AwsError::new(304, "NotModified", "Not Modified")),
        false => Ok(()),
    }
}
