//! What the read operations return: plain values without the SDK's types.

use std::collections::BTreeMap;

use crate::model::s3::{Encryption, LifecycleRule, PublicAccessBlock};

/// Whom the credentials belong to (`sts:GetCallerIdentity`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account ID, twelve digits.
    pub account: String,
    /// The ARN of the user, or of the role session.
    pub arn: String,
}

/// Whether a bucket of a given name exists.
#[derive(Clone, Debug)]
pub enum BucketLookup {
    /// No bucket has this name.
    NotFound,
    /// The bucket exists, but belongs to another account or these credentials may not see it.
    AccessDenied,
    /// The bucket exists and was read.
    Found(Box<BucketDescription>),
}

/// A bucket and its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketDescription {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The default encryption.
    pub encryption: Option<Encryption>,
    /// Encryption types that writers may not use, such as `SSE-C`.
    pub blocked_encryption: Vec<String>,
    /// The public access block. A bucket without one blocks nothing.
    pub public_access: Option<PublicAccessBlock>,
    /// The object ownership setting, such as `BucketOwnerEnforced`.
    pub ownership: Option<String>,
    /// `Enabled` or `Suspended`; `None` if versioning was never enabled.
    pub versioning: Option<String>,
    /// The lifecycle rules, in no particular order.
    pub lifecycle: Vec<LifecycleRule>,
    /// The bucket policy as S3 returns it: JSON.
    pub policy: Option<String>,
    /// All tags, including those that AWS sets itself (`aws:…`).
    pub tags: BTreeMap<String, String>,
    /// Who else gets at its content, by settings that no manifest has.
    pub sharing: BucketSharing,
}

/// Settings of a bucket that let data out or others in, and that trimtab reads but never writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketSharing {
    /// The ARNs of the buckets to which enabled replication rules copy its objects.
    pub replicates_to: Vec<String>,
    /// What its ACL grants to anybody but its owner, such as `WRITE to everyone`. ACLs count unless
    /// the ownership setting is `BucketOwnerEnforced`.
    pub acl_grants: Vec<String>,
    /// The actions that these credentials lack to read these settings.
    pub missing_permissions: Vec<&'static str>,
}

/// An OpenID Connect provider of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcProviderDescription {
    /// The ARN.
    pub arn: String,
    /// The audiences (client IDs) that it accepts.
    pub audiences: Vec<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
}

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleDescription {
    /// The name in the spelling with which the role was created.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The path, with a slash at both ends.
    pub path: String,
    /// The trust policy, percent-encoded as IAM returns it.
    pub trust_policy: String,
    /// The description.
    pub description: String,
    /// The longest session, in seconds (3600 to 43200).
    pub max_session_duration: i32,
    /// The ARN of the permissions boundary.
    pub permissions_boundary: Option<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The inline policies by name, percent-encoded as IAM returns them.
    pub inline_policies: BTreeMap<String, String>,
    /// The ARNs of the attached managed policies.
    pub attached_policies: Vec<String>,
    /// The instance profiles that it is in, where that was asked for.
    pub instance_profiles: Vec<String>,
}

/// A role as `ListRoles` returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSummary {
    /// The name.
    pub name: String,
    /// The path, with a slash at both ends.
    pub path: String,
    /// The trust policy, percent-encoded as IAM returns it.
    pub trust_policy: String,
}

impl RoleDescription {
    /// The same role as `ListRoles` would return it.
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
    /// Whether the trust policy names the provider with this ARN. IAM percent-encodes the document
    /// and some emulators do not; colon and slash are the only characters of an ARN that are ever
    /// encoded.
    #[must_use]
    pub fn trusts(&self, arn: &str) -> bool {
        let encoded = arn.replace(':', "%3A").replace('/', "%2F");
        let half = arn.replace(':', "%3A");
        [arn, &encoded, &half].iter().any(|spelling| {
            // The quote after it must follow, or `…/acme` would match `…/acme-staging`.
            let ends_arn = |rest: &str| rest.starts_with('"') || rest.starts_with("%22");
            self.trust_policy
                .match_indices(*spelling)
                .any(|(at, _)| ends_arn(&self.trust_policy[at + spelling.len()..]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_provider_in_any_encoding_of_the_trust_policy() {
        let summary = |trust: &str| RoleSummary {
            name: "r".into(),
            path: "/".into(),
            trust_policy: trust.into(),
        };
        let arn = "arn:aws:iam::123456789012:oidc-provider/oidc.fly.io/acme";
        assert!(summary(&format!("{{\"Federated\":\"{arn}\"}}")).trusts(arn));
        assert!(summary("%7B%22Federated%22%3A%22arn%3Aaws%3Aiam%3A%3A123456789012%3Aoidc-provider%2Foidc.fly.io%2Facme%22%7D").trusts(arn));
        assert!(
            summary("%22arn%3Aaws%3Aiam%3A%3A123456789012%3Aoidc-provider/oidc.fly.io/acme%22")
                .trusts(arn)
        );
        assert!(!summary(&format!("\"{arn}-staging\"")).trusts(arn));
    }
}
