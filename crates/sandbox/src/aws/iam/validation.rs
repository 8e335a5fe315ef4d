//! Validates the parameters of IAM and STS requests: lengths and allowed characters.
//!
//! Limits, patterns and messages are those of the IAM API reference.

use std::sync::LazyLock;

use regex::Regex;

use super::query::{QueryCall, decapitalize};
use crate::aws::response::AwsError;

const ROLE_NAME_MAX: usize = 64;
const POLICY_NAME_MAX: usize = 128;
const INSTANCE_PROFILE_NAME_MAX: usize = 128;
const SESSION_NAME_MIN: usize = 2;
const SESSION_NAME_MAX: usize = 64;
const PATH_MAX: usize = 512;
const DESCRIPTION_MAX: usize = 1000;
/// The longest policy document that is parsed. The quotas, which do not count whitespace, are lower.
const DOCUMENT_MAX: usize = 131_072;
const SESSION_POLICY_MAX: usize = 2048;
pub(super) const TAG_KEY_MAX: usize = 128;
pub(super) const TAG_VALUE_MAX: usize = 256;

const DESCRIPTION_PATTERN: &str = r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*";
const DOCUMENT_PATTERN: &str = r"[\u0009\u000A\u000D\u0020-\u00FF]+";
const TAG_CHARACTER_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]";

static TAG_REGEX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$").expect("the pattern of the API reference")
});

/// `400 ValidationError` for one parameter. `at` is its name or path in the message.
fn constraint_error(value: &str, at: &str, constraint: &str) -> AwsError {
    let value = if value.is_empty() {
        String::new()
    } else {
        format!(" '{value}'")
    };
    AwsError::validation_error(format!(
        "1 validation error detected: Value{value} at '{at}' failed to satisfy constraint: {constraint}"
    ))
}

fn check_max_length(value: &str, at: &str, max: usize) -> Result<(), AwsError> {
    match value.chars().count() > max {
        true => Err(constraint_error(
            value,
            at,
            &format!("Member must have length less than or equal to {max}"),
        )),
        false => Ok(()),
    }
}

/// Checks the length and the characters of a name.
fn check_name(parameter: &str, name: &str, max: usize) -> Result<(), AwsError> {
    let parameter_name = decapitalize(parameter);
    check_max_length(name, &parameter_name, max)?;
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        return Err(AwsError::validation_error(format!(
            "The specified value for {parameter_name} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        )));
    }
    Ok(())
}

/// The required parameter `RoleName`.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn require_role_name(call: &QueryCall<'_>) -> Result<String, AwsError> {
    let text = call.require("RoleName")?;
    check_name("RoleName", &text, ROLE_NAME_MAX).map(|()| text)
}

/// The required parameter `InstanceProfileName`.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn require_instance_profile_name(call: &QueryCall<'_>) -> Result<String, AwsError> {
    let text = call.require("InstanceProfileName")?;
    check_name("InstanceProfileName", &text, INSTANCE_PROFILE_NAME_MAX).map(|()| text)
}

/// The required parameter `PolicyName`.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn require_policy_name(call: &QueryCall<'_>) -> Result<String, AwsError> {
    let text = call.require("PolicyName")?;
    check_name("PolicyName", &text, POLICY_NAME_MAX).map(|()| text)
}

/// Checks a role session name.
///
/// # Errors
/// `400 ValidationError`.
pub(crate) fn check_session_name(text: &str) -> Result<(), AwsError> {
    if text.chars().count() < SESSION_NAME_MIN {
        let constraint =
            format!("Member must have length greater than or equal to {SESSION_NAME_MIN}");
        return Err(constraint_error(text, "roleSessionName", &constraint));
    }
    check_max_length(text, "roleSessionName", SESSION_NAME_MAX)?;
    match text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        true => Ok(()),
        false => {
            let constraint = "Member must satisfy regular expression pattern: [\\w+=,.@-]*";
            Err(constraint_error(text, "roleSessionName", constraint))
        }
    }
}

/// Checks length and characters of a session policy.
///
/// # Errors
/// `400 ValidationError`.
pub(crate) fn check_session_policy(text: &str) -> Result<(), AwsError> {
    check_max_length(text, "policy", SESSION_POLICY_MAX)?;
    check_characters(text, "policy", DOCUMENT_PATTERN, is_document_char)
}

/// The parameter `Path` of a new entity: `/` (the default) or for example `/a/b/`.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn parse_path(call: &QueryCall<'_>) -> Result<String, AwsError> {
    let path = call.query.get("Path").unwrap_or("/");
    let printable = path.chars().all(|c| ('\u{21}'..='\u{7e}').contains(&c));
    let has_slashes =
        path == "/" || (path.len() > 2 && path.starts_with('/') && path.ends_with('/'));
    if path.len() <= PATH_MAX && has_slashes && printable {
        return Ok(path.to_owned());
    }
    Err(AwsError::validation_error(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters \
         and/or / characters.",
    ))
}

/// The parameter `PathPrefix` of a list; `/` is the default.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn parse_path_prefix<'a>(call: &'a QueryCall<'_>) -> Result<&'a str, AwsError> {
    let prefix = call.query.get("PathPrefix").unwrap_or("/");
    check_max_length(prefix, "pathPrefix", PATH_MAX)?;
    match prefix
        .strip_prefix('/')
        .is_some_and(|rest| rest.chars().all(|c| ('!'..='\u{7f}').contains(&c)))
    {
        true => Ok(prefix),
        false => {
            let constraint =
                "Member must satisfy regular expression pattern: \\u002F[\\u0021-\\u007F]*";
            Err(constraint_error(prefix, "pathPrefix", constraint))
        }
    }
}

/// The size of a policy as IAM's quotas count it: characters without whitespace.
pub(super) fn policy_size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// The optional parameter `Description`.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn parse_description(call: &QueryCall<'_>) -> Result<Option<String>, AwsError> {
    let Some(text) = call.query.get("Description") else {
        return Ok(None);
    };
    check_max_length(text, "description", DESCRIPTION_MAX)?;
    let is_allowed = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
    check_characters(text, "description", DESCRIPTION_PATTERN, is_allowed)?;
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

/// A required parameter that contains a policy document.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn require_document(call: &QueryCall<'_>, parameter: &str) -> Result<String, AwsError> {
    let text = call.require(parameter)?;
    let parameter_name = decapitalize(parameter);
    check_max_length(&text, &parameter_name, DOCUMENT_MAX)?;
    check_characters(&text, &parameter_name, DOCUMENT_PATTERN, is_document_char).map(|()| text)
}

fn is_document_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
}

fn check_characters(
    text: &str,
    at: &str,
    pattern: &str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), AwsError> {
    match text.chars().all(is_allowed) {
        true => Ok(()),
        false => Err(constraint_error(
            "",
            at,
            &format!("Member must satisfy regular expression pattern: {pattern}"),
        )),
    }
}

/// Checks the key of a tag.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn check_tag_key(key: &str, at: &str) -> Result<(), AwsError> {
    if key.is_empty() {
        return Err(constraint_error(
            key,
            at,
            "Member must have length greater than or equal to 1",
        ));
    }
    check_max_length(key, at, TAG_KEY_MAX)?;
    check_tag_characters(key, at, "+")
}

/// Checks the value of a tag.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn check_tag_value(value: &str, at: &str) -> Result<(), AwsError> {
    check_max_length(value, at, TAG_VALUE_MAX)?;
    check_tag_characters(value, at, "*")
}

fn check_tag_characters(text: &str, at: &str, times: &str) -> Result<(), AwsError> {
    match TAG_REGEX.is_match(text) {
        true => Ok(()),
        false => Err(constraint_error(
            text,
            at,
            &format!(
                "Member must satisfy regular expression pattern: {TAG_CHARACTER_PATTERN}{times}"
            ),
        )),
    }
}
