//! Conditional requests: the headers that make a write one of several, or a read a question.

use super::Version;
use super::call::Call;
use crate::aws::answer::Problem;

/// `412`, naming the header that did not hold.
pub(super) fn failed(header: &str) -> Problem {
    let message = "At least one of the pre-conditions you specified did not hold";
    Problem::new(412, "PreconditionFailed", message).field("Condition", header)
}

/// `404 NoSuchKey`.
pub(super) fn no_key(key: &str) -> Problem {
    Problem::new(404, "NoSuchKey", "The specified key does not exist.").field("Key", key)
}

/// Whether a list of entity tags, or a star, means this one.
fn means(said: &str, etag: &str) -> bool {
    said.split(',')
        .map(|one| one.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|one| one == "*" || one == etag)
}

/// Holds a write to its conditions. A delete marker counts as nothing.
///
/// # Errors
/// `412` when they do not hold, `404` when there is nothing to compare with, `501` for what S3 does not know.
pub(super) fn write(call: &Call<'_>, key: &str) -> Result<(), Problem> {
    let current = call.look()?.current(key);
    if call.unconditional {
        return Ok(());
    }
    if let Some(said) = call.request.header("if-none-match") {
        if said.trim() != "*" {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(
                Problem::new(501, "NotImplemented", message).field("Header", "If-None-Match")
            );
        }
        if current.is_some() {
            return Err(failed("If-None-Match"));
        }
    }
    if let Some(said) = call.request.header("if-match") {
        let current = current.ok_or_else(|| no_key(key))?;
        if !means(said, &current.etag) {
            return Err(failed("If-Match"));
        }
    }
    Ok(())
}

/// Holds a read to its conditions.
///
/// # Errors
/// `412`, or `304` when there is nothing new.
pub(super) fn read(call: &Call<'_>, version: &Version) -> Result<(), Problem> {
    judge(call, version, "")
}

/// Holds a copy to the conditions on its source.
///
/// # Errors
/// `412`.
pub(super) fn copy(call: &Call<'_>, version: &Version) -> Result<(), Problem> {
    judge(call, version, "x-amz-copy-source-").map_err(|problem| match problem.status {
        304 => failed("x-amz-copy-source-If-None-Match"),
        _ => problem,
    })
}

fn judge(call: &Call<'_>, version: &Version, prefix: &str) -> Result<(), Problem> {
    let header = |name: &str| call.request.header(&format!("{prefix}{name}"));
    let date = |name: &str| {
        let stamp = jiff::fmt::rfc2822::parse(header(name)?).ok()?;
        Some(stamp.timestamp().as_second())
    };
    let changed = version.modified_ms.div_euclid(1000);
    if let Some(said) = header("if-match") {
        if !means(said, &version.etag) {
            return Err(failed("If-Match"));
        }
    } else if date("if-unmodified-since").is_some_and(|limit| changed > limit) {
        return Err(failed("If-Unmodified-Since"));
    }
    let unchanged = match header("if-none-match") {
        Some(said) => means(said, &version.etag),
        None => date("if-modified-since").is_some_and(|limit| changed <= limit),
    };
    match unchanged {
        true => Err(Problem::new(304, "NotModified", "Not Modified")),
        false => Ok(()),
    }
}
