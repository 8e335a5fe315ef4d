//! What the reads give: plain values, free of the SDK's types.

use std::collections::BTreeMap;

use crate::model::s3::{Encryption, LifecycleRule, PublicAccessBlock};

/// Who the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account, twelve digits.
    pub account: String,
    /// The user, or the role and its session.
    pub arn: String,
}

/// What a look at a bucket's name found.
#[derive(Clone, Debug)]
pub enum BucketLookup {
    /// The name is free.
    NotFound,
    /// It is there and not for us: another account's, or these credentials may not see it.
    AccessDenied,
    /// It is there.
    Found(Box<BucketDescription>),
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketDescription {
    /// Where it is.
    pub region: String,
    /// Its default encryption.
    pub encryption: Option<Encryption>,
    /// Ways of encryption that writers may not use, such as `SSE-C`.
    pub blocked_encryption: Vec<String>,
    /// The public access block; nothing is blocked where there is none.
    pub public_access: Option<PublicAccessBlock>,
    /// Who owns what others write, such as `BucketOwnerEnforced`.
    pub ownership: Option<String>,
    /// `Enabled` or `Suspended`; nothing if it was never on.
    pub versioning: Option<String>,
    /// The rules, in no order.
    pub lifecycle: Vec<LifecycleRule>,
    /// The policy as S3 returns it.
    pub policy: Option<String>,
    /// All tags, AWS's own included.
    pub tags: BTreeMap<String, String>,
}

/// An OpenID Connect provider of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcProviderDescription {
    /// Its ARN.
    pub arn: String,
    /// The audiences that its tokens may be for.
    pub audiences: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleDescription {
    /// Its name, as it was first written.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its path, with a slash at both ends.
    pub path: String,
    /// Who may take it: a policy document, percent-encoded as IAM returns it.
    pub trust_policy: String,
    /// What it is for.
    pub description: String,
    /// The longest session, in seconds.
    pub max_session_duration: i32,
    /// The ARN of its permissions boundary.
    pub permissions_boundary: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its own policies by name, percent-encoded as IAM returns them.
    pub inline_policies: BTreeMap<String, String>,
    /// The ARNs of the policies attached to it.
    pub attached_policies: Vec<String>,
}

/// A role as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSummary {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Who may take it.
    pub trust_policy: String,
}

impl RoleDescription {
    /// The role as a list shows it.
    #[must_use]
    pub fn summary(&self) -> RoleSummary {
        RoleSummary {
            name: self.name.clone(),
            path: self.path.clone(),
            trust_policy: self.trust_policy.clone(),
        }
    }
}

impl RoleSummary {
    /// Whether a provider's ARN stands in who may take it. IAM percent-encodes the document, some imitations do not, and
    /// an ARN holds nothing else that would be encoded.
    #[must_use]
    pub fn trusts(&self, arn: &str) -> bool {
        let encoded = arn.replace(':', "%3A").replace('/', "%2F");
        let half = arn.replace(':', "%3A");
        [arn, &encoded, &half].iter().any(|form| {
            // The next character ends it: `…/acme` is not `…/acme-staging`.
            let ends = |rest: &str| rest.starts_with('"') || rest.starts_with("%22");
            self.trust_policy
                .match_indices(*form)
                .any(|(at, _)| ends(&self.trust_policy[at + form.len()..]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_trusts_a_provider_however_the_document_is_written() {
        let brief = |trust: &str| RoleSummary {
            name: "r".into(),
            path: "/".into(),
            trust_policy: trust.into(),
        };
        let arn = "arn:aws:iam::123456789012:oidc-provider/oidc.fly.io/acme";
        assert!(brief(&format!("{{\"Federated\":\"{arn}\"}}")).trusts(arn));
        assert!(brief("%7B%22Federated%22%3A%22arn%3Aaws%3Aiam%3A%3A123456789012%3Aoidc-provider%2Foidc.fly.io%2Facme%22%7D").trusts(arn));
        assert!(
            brief("%22arn%3Aaws%3Aiam%3A%3A123456789012%3Aoidc-provider/oidc.fly.io/acme%22")
                .trusts(arn)
        );
        assert!(!brief(&format!("\"{arn}-staging\"")).trusts(arn));
    }
}
