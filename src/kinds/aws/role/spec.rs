//! What a manifest says of a role, and what IAM reports.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;

use crate::{
    iam::policy::PolicyDocument,
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

/// The path of an environment's roles. IAM lists roles by path, so this finds what has left the manifest.
#[must_use]
pub fn role_path(mark: &OwnershipMark) -> String {
    format!("/trimtab/{}/{}/", mark.project, mark.environment)
}

/// Who may take a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The machines of one app on Fly.
    Fly {
        /// The app's name on Fly.
        app: String,
        /// The organization's own slug; empty until Fly has told it.
        org: String,
    },
    /// Whoever a policy document says.
    Document(PolicyDocument),
}

impl Trust {
    /// The organization that tokens must come from, as far as it is known.
    #[must_use]
    pub fn org(&self) -> &str {
        match self {
            Self::Fly { org, .. } => org,
            Self::Document(_) => "",
        }
    }

    /// The policy document. Any machine of the app is trusted, whatever its name: release machines and successors have
    /// names of their own. The colon after the app keeps out apps whose name begins the same.
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

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleSpec {
    /// Its name, unique in the account.
    pub name: String,
    /// The account, twelve digits.
    pub account: String,
    /// Its path, with a slash at both ends.
    pub path: String,
    /// What it is for.
    pub description: String,
    /// Who may take it.
    pub trust: Trust,
    /// Its own policies, by name.
    pub policies: BTreeMap<String, PolicyDocument>,
    /// The managed policies that are attached to it, by ARN. Where the manifest does not say any, those that are there
    /// stay.
    pub managed: Option<BTreeSet<String>>,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// The longest session, in seconds: 3600 to 43200.
    pub max_session: i32,
    /// Its tags, our mark included.
    pub tags: Tags,
    /// The provider whose tokens it trusts.
    pub provider: Option<ResourceRef<OidcProvider>>,
}

impl RoleSpec {
    /// Its ARN, which follows from its account, path and name.
    #[must_use]
    pub fn arn(&self) -> String {
        format!(
            "arn:aws:iam::{}:role{}{}",
            self.account, self.path, self.name
        )
    }
}

/// What IAM reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleLive {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its path.
    pub path: String,
    /// What it is for.
    pub description: String,
    /// Who may take it.
    pub trust: PolicyDocument,
    /// Its own policies, by name.
    pub policies: BTreeMap<String, PolicyDocument>,
    /// The managed policies that are attached to it.
    pub managed: BTreeSet<String>,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// The longest session, in seconds.
    pub max_session: i32,
    /// Its tags.
    pub tags: Tags,
    /// The provider whose tokens it trusts, if that is one of ours.
    #[serde(skip)]
    pub provider: Option<ResourceRef<OidcProvider>>,
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
        } = self;
        provider.iter().map(ResourceRef::address).collect()
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
        } = self;
        provider.iter().map(ResourceRef::address).collect()
    }
}
