//! The limits of IAM and S3 on policies, names and descriptions. Everything is known before the
//! first request, except the organization's slug in generated trust policies, and no slug makes one
//! too long.

use serde_json::json;

use crate::{
    iam::policy::{PolicyDocument, PolicyUse},
    manifest::{
        lower::Diagnostics,
        schema::aws::{IamQuotas, PolicyJson},
        syntax::cursor::Cursor,
    },
};

/// The maximum length of a trust policy in characters without white space, unless AWS has raised it
/// ("IAM and AWS STS quotas").
const TRUST_POLICY_MAX: u32 = 2048;
/// The maximum length of all inline policies of a role together.
const INLINE_POLICIES_MAX: usize = 10_240;
/// The maximum length of a bucket policy, in bytes ("Bucket policies", 20 KB).
const BUCKET_POLICY_MAX: usize = 20 * 1024;
/// How many managed policies can be attached to a role, unless AWS has raised it.
const MANAGED_POLICIES_MAX: u32 = 10;
const POLICY_NAME_MAX: usize = 128;
const DESCRIPTION_MAX: usize = 1000;
const ARN_MAX: usize = 2048;

/// The characters of names in IAM besides letters and digits.
const NAME_PUNCTUATION: &str = "_+=,.@-";

/// Whether a text can be a name in IAM.
pub(super) fn is_iam_name(text: &str, max: usize) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || NAME_PUNCTUATION.contains(c);
    !text.is_empty() && text.len() <= max && text.chars().all(is_allowed)
}

/// Checks a prefix of keys. With a leading slash it would match none of the keys that programs
/// usually write.
pub(super) fn check_prefix(
    prefix: Option<&String>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if prefix.is_some_and(|prefix| prefix.starts_with('/')) {
        let diagnostic = cursor
            .key("prefix")
            .diagnostic("keys of S3 do not begin with a slash");
        diagnostics.error(diagnostic.with_help(
            "leave it out, as in `prefix = \"db/\"`; without a prefix all keys are meant",
        ));
    }
}

/// Parses and checks a policy document of a role.
pub(super) fn parse_policy(
    words: &PolicyJson,
    used: PolicyUse<'_>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<PolicyDocument> {
    let policy = PolicyDocument::from_json(&json!(words))
        .map_err(|error| diagnostics.error(cursor.diagnostic(error.to_string())))
        .ok()?;
    for (statement, reason) in policy.validate(used) {
        let field = match statement {
            Some(index) => cursor.key("Statement").item(index),
            None => cursor,
        };
        diagnostics.error(field.diagnostic(reason));
    }
    Some(policy)
}

/// Checks the length and the characters of a trust policy.
pub(super) fn check_trust_policy(
    policy: &PolicyDocument,
    quotas: &IamQuotas,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    check_policy_characters(policy, cursor, diagnostics);
    let max = quotas.trust_policy.unwrap_or(TRUST_POLICY_MAX);
    check_policy_length(
        "this trust policy",
        policy.len_without_whitespace(),
        max as usize,
        cursor,
        diagnostics,
    );
}

/// Checks the characters of a role's inline policies, and their length together.
pub(super) fn check_inline_policies<'a>(
    policies: impl Iterator<Item = &'a PolicyDocument>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let all = policies
        .inspect(|policy| check_policy_characters(policy, cursor, diagnostics))
        .map(PolicyDocument::len_without_whitespace)
        .sum();
    check_policy_length(
        "the policy of this role",
        all,
        INLINE_POLICIES_MAX,
        cursor,
        diagnostics,
    );
}

/// Checks the characters of a policy. IAM accepts Latin-1 in documents; S3 accepts everything.
fn check_policy_characters(
    policy: &PolicyDocument,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if let Some(odd) = policy
        .to_json_string()
        .chars()
        .find(|c| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'))
    {
        let diagnostic = cursor.diagnostic(format!(
            "IAM does not accept `{}` in a policy",
            odd.escape_debug()
        ));
        diagnostics.error(
            diagnostic
                .with_help("it accepts the characters of Latin-1: use the wildcard `?` instead"),
        );
    }
}

fn check_policy_length(
    what: &str,
    length: usize,
    max: usize,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if length > max {
        let diagnostic = cursor.diagnostic(format!(
            "{what} is {length} characters long, but IAM accepts at most {max}"
        ));
        diagnostics.error(diagnostic.with_help(
            "fewer statements, or wildcards instead of lists; white space does not count",
        ));
    }
}

/// Checks the length of a bucket policy.
pub(super) fn check_bucket_policy(
    policy: &PolicyDocument,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let length = policy.to_json_string().len();
    if length > BUCKET_POLICY_MAX {
        let diagnostic = cursor.diagnostic(format!(
            "the bucket's policy has {length} bytes, but S3 accepts at most {BUCKET_POLICY_MAX}"
        ));
        diagnostics.error(diagnostic.with_help("fewer statements, or wildcards instead of lists"));
    }
}

/// Checks the name of an inline policy.
pub(super) fn check_policy_name(name: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if !is_iam_name(name, POLICY_NAME_MAX) {
        let diagnostic = cursor.key_diagnostic(format!("`{name}` cannot be a policy's name"));
        diagnostics.error(diagnostic.with_help(format!(
            "names have up to {POLICY_NAME_MAX} characters: letters, digits and `+=,.@_-`"
        )));
    }
}

/// Checks the description of a role. IAM accepts Latin-1 without most control characters: no long
/// dashes and no curly quotes.
pub(super) fn check_description(
    text: Option<&String>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Some(text) = text else { return };
    let is_allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
    if let Some(odd) = text.chars().find(|c| !is_allowed(c)) {
        let diagnostic = cursor.diagnostic(format!(
            "IAM does not accept `{}` in a description",
            odd.escape_debug()
        ));
        diagnostics.error(diagnostic.with_help(
            "it accepts the characters of Latin-1: no curly quotes, no long dashes, no emoji",
        ));
    }
    let length = text.chars().count();
    if length > DESCRIPTION_MAX {
        let diagnostic = cursor.diagnostic(format!("this description has {length} characters"));
        diagnostics.error(diagnostic.with_help(format!("IAM accepts at most {DESCRIPTION_MAX}")));
    }
}

/// Checks the managed policies that are attached to a role.
pub(super) fn check_managed_policies(
    arns: Option<&Vec<String>>,
    (account, quotas): (&str, &IamQuotas),
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    for (index, arn) in arns.into_iter().flatten().enumerate() {
        check_policy_arn(arn, account, cursor.item(index), diagnostics);
    }
    let max = quotas.managed_policies.unwrap_or(MANAGED_POLICIES_MAX);
    let number = arns.map_or(0, |arns| {
        arns.iter().collect::<std::collections::BTreeSet<_>>().len()
    });
    if number > max as usize {
        let diagnostic = cursor.diagnostic(format!(
            "{number} managed policies, but IAM attaches at most {max} to a role"
        ));
        diagnostics.error(diagnostic.with_help(
            "move some to `policies`; if AWS has raised this quota: [aws.quotas] managed_policies = …",
        ));
    }
}

/// Checks the ARN of a managed policy: one of AWS, or one of the role's own account, because IAM
/// accepts no others.
pub(super) fn check_policy_arn(
    arn: &str,
    account: &str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let rest = arn
        .strip_prefix("arn:aws:iam::")
        .filter(|_| arn.len() <= ARN_MAX);
    let parts = rest.and_then(|rest| rest.split_once(":policy/"));
    let good = parts.is_some_and(|(owner, path)| {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let owned =
            owner == "aws" || (owner.len() == 12 && owner.bytes().all(|c| c.is_ascii_digit()));
        owned && is_iam_name(name, POLICY_NAME_MAX) && folders.bytes().all(|c| c.is_ascii_graphic())
    });
    if !good {
        let diagnostic = cursor.diagnostic(format!("`{arn}` is not the ARN of a policy"));
        diagnostics
            .error(diagnostic.with_help("write it as `arn:aws:iam::123456789012:policy/NAME`"));
    } else if parts.is_some_and(|(owner, _)| owner != "aws" && owner != account) {
        let diagnostic = cursor.diagnostic(format!("`{arn}` is a policy of another account"));
        diagnostics.error(diagnostic.with_help(format!(
            "IAM only accepts policies of the role's own account, {account}, and those of AWS"
        )));
    }
}
