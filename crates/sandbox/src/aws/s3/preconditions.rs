//! Conditional requests: the headers that make a write one of several, or a read a question.

use super::ObjectVersion;
use super::call::S3Call;
use crate::aws::response::AwsError;

/// `412`, naming the header that did not hold.
pub(super) fn precondition_failed(header: &str) -> AwsError {
    let message = "At least one of the pre-conditions you specified did not hold";
    AwsError::new(412, "PreconditionFailed", message).with_element("Condition", header)
}

/// `404 NoSuchKey`.
pub(super) fn no_such_key(key: &str) -> AwsError {
    AwsError::new(404, "NoSuchKey", "The specified key does not exist.").with_element("Key", key)
}

/// Whether a list of entity tags, or a star, means this one.
fn etag_matches(said: &str, etag: &str) -> bool {
    said.split(',')
        .map(|one| one.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|one| one == "*" || one == etag)
}

/// Holds a write to its conditions. A delete marker counts as nothing.
///
/// # Errors
/// `412` when they do not hold, `404` when there is nothing to compare with, `501` for what S3 does not know.
pub(super) fn check_write(call: &S3Call<'_>, key: &str) -> Result<(), AwsError> {
    let current = call.bucket_state()?.current_version(key);
    if call.ignore_preconditions {
        return Ok(());
    }
    if let Some(said) = call.request.header("if-none-match") {
        if said.trim() != "*" {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(AwsError::new(501, "NotImplemented", message)
                .with_element("Header", "If-None-Match"));
        }
        if current.is_some() {
            return Err(precondition_failed("If-None-Match"));
        }
    }
    if let Some(said) = call.request.header("if-match") {
        let current = current.ok_or_else(|| no_such_key(key))?;
        if !etag_matches(said, &current.etag) {
            return Err(precondition_failed("If-Match"));
        }
    }
    Ok(())
}

/// Holds a read to its conditions.
///
/// # Errors
/// `412`, or `304` when there is nothing new.
pub(super) fn check_read(call: &S3Call<'_>, version: &ObjectVersion) -> Result<(), AwsError> {
    check_read_headers(call, version, "")
}

/// Holds a copy to the conditions on its source.
///
/// # Errors
/// `412`.
pub(super) fn check_copy_source(
    call: &S3Call<'_>,
    version: &ObjectVersion,
) -> Result<(), AwsError> {
    check_read_headers(call, version, "x-amz-copy-source-").map_err(|problem| {
        match problem.status {
            304 => precondition_failed("x-amz-copy-source-If-None-Match"),
            _ => problem,
        }
    })
}

fn check_read_headers(
    call: &S3Call<'_>,
    version: &ObjectVersion,
    prefix: &str,
) -> Result<(), AwsError> {
    let header = |name: &str| call.request.header(&format!("{prefix}{name}"));
    let date = |name: &str| {
        let stamp = jiff::fmt::rfc2822::parse(header(name)?).ok()?;
        Some(stamp.timestamp().as_second())
    };
    let changed = version.modified_ms.div_euclid(1000);
    if let Some(said) = header("if-match") {
        if !etag_matches(said, &version.etag) {
            return Err(precondition_failed("If-Match"));
        }
    } else if date("if-unmodified-since").is_some_and(|limit| changed > limit) {
        return Err(precondition_failed("If-Unmodified-Since"));
    }
    let unchanged = match header("if-none-match") {
        Some(said) => etag_matches(said, &version.etag),
        None => date("if-modified-since").is_some_and(|limit| changed <= limit),
    };
    match unchanged {
        true => Err(AwsError::new(304, "NotModified", "Not Modified")),
        false => Ok(()),
    }
}
