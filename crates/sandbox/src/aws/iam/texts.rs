//! What IAM takes as a text: which characters, and how many.
//!
//! The limits and patterns are those of the API reference, and so are the words.

use std::sync::LazyLock;

use regex::Regex;

use super::query::{Call, decapitalized};
use crate::aws::answer::Problem;

const ROLE_MAX: usize = 64;
const POLICY_MAX: usize = 128;
const SESSION_MIN: usize = 2;
const SESSION_MAX: usize = 64;
const PATH_MAX: usize = 512;
const DESCRIPTION_MAX: usize = 1000;
/// The longest document that is read at all; how much of it counts is a matter of quotas.
const DOCUMENT_MAX: usize = 131_072;
const SESSION_POLICY_MAX: usize = 2048;
pub(super) const TAG_KEY_MAX: usize = 128;
pub(super) const TAG_VALUE_MAX: usize = 256;

const DESCRIBING: &str = r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*";
const DOCUMENT: &str = r"[\u0009\u000A\u000D\u0020-\u00FF]+";
const TAGGING: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]";

static TAG_LETTERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$").expect("the pattern of the API reference")
});

/// `400 ValidationError` about one parameter.
fn broken(value: &str, at: &str, constraint: &str) -> Problem {
    let value = if value.is_empty() {
        String::new()
    } else {
        format!(" '{value}'")
    };
    Problem::validation(format!(
        "1 validation error detected: Value{value} at '{at}' failed to satisfy constraint: {constraint}"
    ))
}

fn at_most(value: &str, at: &str, max: usize) -> Result<(), Problem> {
    match value.chars().count() > max {
        true => Err(broken(
            value,
            at,
            &format!("Member must have length less than or equal to {max}"),
        )),
        false => Ok(()),
    }
}

/// Holds a name to the letters that IAM's names are made of.
fn name(parameter: &str, name: &str, max: usize) -> Result<(), Problem> {
    let shown = decapitalized(parameter);
    at_most(name, &shown, max)?;
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        return Err(Problem::validation(format!(
            "The specified value for {shown} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        )));
    }
    Ok(())
}

/// The role's name that a request must have.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn role_name(call: &Call<'_>) -> Result<String, Problem> {
    let text = call.need("RoleName")?;
    name("RoleName", &text, ROLE_MAX).map(|()| text)
}

/// The policy's name that a request must have.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn policy_name(call: &Call<'_>) -> Result<String, Problem> {
    let text = call.need("PolicyName")?;
    name("PolicyName", &text, POLICY_MAX).map(|()| text)
}

/// The name of a session.
///
/// # Errors
/// `400 ValidationError`.
pub(crate) fn session_name(text: &str) -> Result<(), Problem> {
    if text.chars().count() < SESSION_MIN {
        let constraint = format!("Member must have length greater than or equal to {SESSION_MIN}");
        return Err(broken(text, "roleSessionName", &constraint));
    }
    at_most(text, "roleSessionName", SESSION_MAX)?;
    match text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        true => Ok(()),
        false => {
            let constraint = "Member must satisfy regular expression pattern: [\\w+=,.@-]*";
            Err(broken(text, "roleSessionName", constraint))
        }
    }
}

/// The policy that narrows a session.
///
/// # Errors
/// `400 ValidationError`.
pub(crate) fn session_policy(text: &str) -> Result<(), Problem> {
    at_most(text, "policy", SESSION_POLICY_MAX)?;
    pattern(text, "policy", DOCUMENT, in_document)
}

/// The path of what is made: `/`, or `/a/b/`.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn path(call: &Call<'_>) -> Result<String, Problem> {
    let path = call.query.get("Path").unwrap_or("/");
    let printable = path.chars().all(|c| ('\u{21}'..='\u{7e}').contains(&c));
    let framed = path == "/" || (path.len() > 2 && path.starts_with('/') && path.ends_with('/'));
    if path.len() <= PATH_MAX && framed && printable {
        return Ok(path.to_owned());
    }
    Err(Problem::validation(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters \
         and/or / characters.",
    ))
}

/// The beginning of the paths that a list is about.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn path_prefix<'a>(call: &'a Call<'_>) -> Result<&'a str, Problem> {
    let prefix = call.query.get("PathPrefix").unwrap_or("/");
    at_most(prefix, "pathPrefix", PATH_MAX)?;
    match prefix
        .strip_prefix('/')
        .is_some_and(|rest| rest.chars().all(|c| ('!'..='\u{7f}').contains(&c)))
    {
        true => Ok(prefix),
        false => {
            let constraint =
                "Member must satisfy regular expression pattern: \\u002F[\\u0021-\\u007F]*";
            Err(broken(prefix, "pathPrefix", constraint))
        }
    }
}

/// A description, if there is one.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn description(call: &Call<'_>) -> Result<Option<String>, Problem> {
    let Some(text) = call.query.get("Description") else {
        return Ok(None);
    };
    at_most(text, "description", DESCRIPTION_MAX)?;
    let takes = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
    pattern(text, "description", DESCRIBING, takes)?;
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

/// A policy's text that a request must have.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn document(call: &Call<'_>, parameter: &str) -> Result<String, Problem> {
    let text = call.need(parameter)?;
    let shown = decapitalized(parameter);
    at_most(&text, &shown, DOCUMENT_MAX)?;
    pattern(&text, &shown, DOCUMENT, in_document).map(|()| text)
}

fn in_document(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
}

fn pattern(
    text: &str,
    at: &str,
    pattern: &str,
    takes: impl Fn(char) -> bool,
) -> Result<(), Problem> {
    match text.chars().all(takes) {
        true => Ok(()),
        false => Err(broken(
            "",
            at,
            &format!("Member must satisfy regular expression pattern: {pattern}"),
        )),
    }
}

/// A key of a tag.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn tag_key(key: &str, at: &str) -> Result<(), Problem> {
    if key.is_empty() {
        return Err(broken(
            key,
            at,
            "Member must have length greater than or equal to 1",
        ));
    }
    at_most(key, at, TAG_KEY_MAX)?;
    tag_letters(key, at, "+")
}

/// A value of a tag.
///
/// # Errors
/// `400 ValidationError`.
pub(super) fn tag_value(value: &str, at: &str) -> Result<(), Problem> {
    at_most(value, at, TAG_VALUE_MAX)?;
    tag_letters(value, at, "*")
}

fn tag_letters(text: &str, at: &str, times: &str) -> Result<(), Problem> {
    match TAG_LETTERS.is_match(text) {
        true => Ok(()),
        false => Err(broken(
            text,
            at,
            &format!("Member must satisfy regular expression pattern: {TAGGING}{times}"),
        )),
    }
}
