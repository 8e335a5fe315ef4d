//! The desired and the live state of a role.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;

use crate::{
    iam::policy::{LivePolicy, PolicyDocument},
    kinds::{
        References,
        aws::{
            OidcProvider,
            oidc_provider::{AUDIENCE, issuer_host, provider_arn},
            tags::Tags,
        },
    },
    model::{Address, OwnershipMark, ResourceRef},
};

/// The path of an environment's roles. IAM can list roles by path, which finds roles that are no
/// longer in the manifest.
#[must_use]
pub fn role_path(mark: &OwnershipMark) -> String {
    format!("/trimtab/{}/{}/", mark.project, mark.environment)
}

/// A trust policy by which nobody can assume a role.
pub(super) fn trust_in_nobody() -> PolicyDocument {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole" }],
    });
    PolicyDocument::from_json(&document).expect("the document above is a policy")
}

/// Who may assume a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The machines of a Fly app.
    Fly {
        /// The name of the app on Fly.
        app: String,
        /// The organization's own slug; empty until Fly has returned it.
        org: String,
    },
    /// Whoever the policy document says.
    Document(PolicyDocument),
}

impl Trust {
    /// The organization that must have issued the token, as far as it is known.
    #[must_use]
    pub fn org(&self) -> &str {
        match self {
            Self::Fly { org, .. } => org,
            Self::Document(_) => "",
        }
    }

    /// Whether the trust policy names the provider with this ARN.
    #[must_use]
    pub fn names_provider(&self, account: &str, arn: &str) -> bool {
        let policy = self.to_policy(account, self.org());
        // The quotes around it: `…/acme` is no part of `…/acme-staging`.
        policy.to_json().to_string().contains(&format!("\"{arn}\""))
    }

    /// The trust policy. Every machine of the app is trusted, whatever its ID, because machines are
    /// replaced. The colon after the app name excludes apps whose names only start with it.
    #[must_use]
    pub fn to_policy(&self, account: &str, org: &str) -> PolicyDocument {
        let app = match self {
            Self::Fly { app, .. } => app,
            Self::Document(policy) => return policy.clone(),
        };
        let host = issuer_host(org);
        let document = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Federated": provider_arn(account, org) },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": { format!("{host}:aud"): AUDIENCE },
                    "StringLike": { format!("{host}:sub"): format!("{org}:{app}:*") },
                },
            }],
        });
        PolicyDocument::from_json(&document).expect("the document above is a policy")
    }
}

/// The desired state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleSpec {
    /// The name, unique in the account.
    pub name: String,
    /// The account ID, twelve digits.
    pub account: String,
    /// The path, with a slash at both ends.
    pub path: String,
    /// The description.
    pub description: String,
    /// The trust policy.
    pub trust: Trust,
    /// The inline policies, by name.
    pub policies: BTreeMap<String, PolicyDocument>,
    /// The ARNs of the attached managed policies. If the manifest states none, live attachments are
    /// left alone.
    pub managed: Option<BTreeSet<String>>,
    /// The ARN of the permissions boundary.
    pub boundary: Option<String>,
    /// The longest session, in seconds (3600 to 43200).
    pub max_session: i32,
    /// The tags, including the ownership mark.
    pub tags: Tags,
    /// The OIDC provider whose tokens it trusts.
    pub provider: Option<ResourceRef<OidcProvider>>,
    /// The roles of this manifest that its trust policy names and that can be created before it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub trusted_roles: BTreeSet<Address>,
    /// Whether its trust policy names a role that cannot be created before it: itself, or one whose
    /// trust policy names this one. IAM accepts no principal that does not exist, so the role is created
    /// with a trust policy that admits nobody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trusts_later: bool,
}

impl RoleSpec {
    /// The ARN, which follows from the account, path and name.
    #[must_use]
    pub fn arn(&self) -> String {
        format!(
            "arn:aws:iam::{}:role{}{}",
            self.account, self.path, self.name
        )
    }
}

/// The live state, as IAM reports it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleLive {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The path.
    pub path: String,
    /// The description.
    pub description: String,
    /// The trust policy.
    pub trust: LivePolicy,
    /// The inline policies, by name.
    pub policies: BTreeMap<String, LivePolicy>,
    /// The ARNs of the attached managed policies.
    pub managed: BTreeSet<String>,
    /// The ARN of the permissions boundary.
    pub boundary: Option<String>,
    /// The longest session, in seconds.
    pub max_session: i32,
    /// All tags.
    pub tags: Tags,
    /// The OIDC provider whose tokens it trusts, if it is one of this environment.
    #[serde(skip)]
    pub provider: Option<ResourceRef<OidcProvider>>,
    /// What keeps it from being deleted or from losing rights.
    #[serde(skip)]
    pub users: RoleUsers,
}

/// Who works with a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleUsers {
    /// The instance profiles that it is in.
    pub instance_profiles: Vec<String>,
    /// Whether the credentials of this run are a session of it.
    pub is_caller: bool,
}

impl References for RoleSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            name: _,
            account: _,
            path: _,
            description: _,
            trust: _,
            policies: _,
            managed: _,
            boundary: _,
            max_session: _,
            tags: _,
            provider,
            trusted_roles,
            trusts_later: _,
        } = self;
        let provider = provider.iter().map(ResourceRef::address);
        provider.chain(trusted_roles.iter().cloned()).collect()
    }
}

impl References for RoleLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            name: _,
            arn: _,
            path: _,
            description: _,
            trust: _,
            policies: _,
            managed: _,
            boundary: _,
            max_session: _,
            tags: _,
            provider,
            users: _,
        } = self;
        provider.iter().map(ResourceRef::address).collect()
    }
}
