//! What IAM and S3 refuse of policies, names and texts. Everything here is known before the first request: of what is
//! generated only the organization's own slug may be missing, and no slug makes a trust policy too long.

use serde_json::json;

use crate::{
    iam::policy::{PolicyDocument, PolicyUse},
    manifest::{
        lower::Diagnostics,
        schema::aws::{IamQuotas, PolicyJson},
        syntax::cursor::Cursor,
    },
};

/// How long a trust policy may be ("IAM and AWS STS quotas"), unless AWS has raised it. White space does not count.
const TRUST_POLICY_MAX: u32 = 2048;
/// How long a role's own policies may be together.
const INLINE_POLICIES_MAX: usize = 10_240;
/// How long a bucket's policy may be, in bytes ("Bucket policies", 20 KB).
const BUCKET_POLICY_MAX: usize = 20 * 1024;
/// How many managed policies may be attached to a role, unless AWS has raised it.
const MANAGED_POLICIES_MAX: u32 = 10;
const POLICY_NAME_MAX: usize = 128;
const DESCRIPTION_MAX: usize = 1000;
const ARN_MAX: usize = 2048;

/// The characters of IAM's names, beside letters and digits.
const NAME_PUNCTUATION: &str = "_+=,.@-";

/// Whether it can be a name in IAM.
pub(super) fn is_iam_name(text: &str, most: usize) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || NAME_PUNCTUATION.contains(c);
    !text.is_empty() && text.len() <= most && text.chars().all(fits)
}

/// The beginning of keys in a bucket: with a slash first it would fit none of those that programs write.
pub(super) fn check_prefix(prefix: Option<&String>, at: Cursor<'_>, sink: &mut Diagnostics) {
    if prefix.is_some_and(|prefix| prefix.starts_with('/')) {
        let problem = at
            .key("prefix")
            .diagnostic("keys of S3 do not begin with a slash");
        sink.error(problem.with_help(
            "leave it out, as in `prefix = \"db/\"`; without a prefix all keys are meant",
        ));
    }
}

/// A policy document of a role.
pub(super) fn parse_policy(
    words: &PolicyJson,
    used: PolicyUse<'_>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<PolicyDocument> {
    let policy = PolicyDocument::from_json(&json!(words))
        .map_err(|error| sink.error(at.diagnostic(error.to_string())))
        .ok()?;
    for (statement, why) in policy.validate(used) {
        let spot = match statement {
            Some(index) => at.key("Statement").item(index),
            None => at,
        };
        sink.error(spot.diagnostic(why));
    }
    Some(policy)
}

/// The length and letters of a trust policy.
pub(super) fn check_trust_policy(
    policy: &PolicyDocument,
    quotas: &IamQuotas,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    check_policy_characters(policy, at, sink);
    let most = quotas.trust_policy.unwrap_or(TRUST_POLICY_MAX);
    check_policy_length(
        "this trust policy",
        policy.len_without_whitespace(),
        most as usize,
        at,
        sink,
    );
}

/// The length and letters of a role's own policies.
pub(super) fn check_inline_policies<'a>(
    policies: impl Iterator<Item = &'a PolicyDocument>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    let all = policies
        .inspect(|policy| check_policy_characters(policy, at, sink))
        .map(PolicyDocument::len_without_whitespace)
        .sum();
    check_policy_length("what this role may do", all, INLINE_POLICIES_MAX, at, sink);
}

/// IAM takes Latin-1 in documents; S3 takes everything.
fn check_policy_characters(policy: &PolicyDocument, at: Cursor<'_>, sink: &mut Diagnostics) {
    if let Some(odd) = policy
        .to_json_string()
        .chars()
        .find(|c| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'))
    {
        let problem = at.diagnostic(format!("IAM takes no `{}` in a policy", odd.escape_debug()));
        sink.error(
            problem
                .with_help("it takes the characters of Latin-1: put a wildcard, `?`, in its place"),
        );
    }
}

fn check_policy_length(
    what: &str,
    length: usize,
    most: usize,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    if length > most {
        let problem = at.diagnostic(format!(
            "{what} takes {length} characters as policy, and IAM takes {most}"
        ));
        sink.error(problem.with_help(
            "fewer statements, or wildcards instead of lists; white space does not count",
        ));
    }
}

/// The length of a bucket's policy.
pub(super) fn check_bucket_policy(policy: &PolicyDocument, at: Cursor<'_>, sink: &mut Diagnostics) {
    let length = policy.to_json_string().len();
    if length > BUCKET_POLICY_MAX {
        let problem = at.diagnostic(format!(
            "the bucket's policy has {length} bytes, and S3 takes {BUCKET_POLICY_MAX}"
        ));
        sink.error(problem.with_help("fewer statements, or wildcards instead of lists"));
    }
}

/// The name of one of a role's own policies.
pub(super) fn check_policy_name(name: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    if !is_iam_name(name, POLICY_NAME_MAX) {
        let problem = at.key_diagnostic(format!("`{name}` cannot be a policy's name"));
        sink.error(problem.with_help(format!(
            "names have up to {POLICY_NAME_MAX} characters: letters, digits and `+=,.@_-`"
        )));
    }
}

/// What a role is for. IAM takes Latin-1 without most control characters: no dash that is longer, no curly quotes.
pub(super) fn check_description(text: Option<&String>, at: Cursor<'_>, sink: &mut Diagnostics) {
    let Some(text) = text else { return };
    let fits = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
    if let Some(odd) = text.chars().find(|c| !fits(c)) {
        let problem = at.diagnostic(format!(
            "IAM takes no `{}` in a description",
            odd.escape_debug()
        ));
        sink.error(problem.with_help(
            "it takes the characters of Latin-1: no curly quotes, no long dashes, no emoji",
        ));
    }
    let length = text.chars().count();
    if length > DESCRIPTION_MAX {
        let problem = at.diagnostic(format!("this description has {length} characters"));
        sink.error(problem.with_help(format!("IAM takes {DESCRIPTION_MAX}")));
    }
}

/// The managed policies that are attached to a role.
pub(super) fn check_managed_policies(
    arns: Option<&Vec<String>>,
    (account, quotas): (&str, &IamQuotas),
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    for (index, arn) in arns.into_iter().flatten().enumerate() {
        check_policy_arn(arn, account, at.item(index), sink);
    }
    let most = quotas.managed_policies.unwrap_or(MANAGED_POLICIES_MAX);
    let number = arns.map_or(0, |arns| {
        arns.iter().collect::<std::collections::BTreeSet<_>>().len()
    });
    if number > most as usize {
        let problem = at.diagnostic(format!(
            "{number} managed policies, and IAM attaches {most} to a role"
        ));
        sink.error(problem.with_help(
            "say some of it in `policies`; where AWS has raised this: [aws.quotas] managed_policies = …",
        ));
    }
}

/// The ARN of a managed policy: one of AWS's, or one of the role's own account, since IAM takes no other.
pub(super) fn check_policy_arn(arn: &str, account: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
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
        let problem = at.diagnostic(format!("`{arn}` is not the ARN of a policy"));
        sink.error(problem.with_help("write it as `arn:aws:iam::123456789012:policy/NAME`"));
    } else if parts.is_some_and(|(owner, _)| owner != "aws" && owner != account) {
        let problem = at.diagnostic(format!("`{arn}` is a policy of another account"));
        sink.error(problem.with_help(format!(
            "IAM takes policies of the role's own account, {account}, and those of AWS"
        )));
    }
}
