//! IAM: roles, their policies and OIDC providers; and the Query protocol, which STS shares.

mod instance_profiles;
mod managed_policies;
mod oidc_providers;
mod permissions_boundary;
mod query;
mod removals;
mod role_policies;
mod roles;
mod routes;
mod simulation;
mod tags;
pub(crate) mod validation;
mod xml_views;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::instance_profiles::InstanceProfile;
pub(crate) use self::oidc_providers::provider_arn;
pub(crate) use self::query::{QueryCall, QueryRequest, parse_query_request};
pub(crate) use self::routes::dispatch;
use super::access_keys::is_account_id;
use super::s3::PublicAccessBlockConfiguration;
use super::state::GlobalState;

/// The IAM state of one account. `aws/accounts.json` contains all of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AccountState {
    /// The block of public access of the whole account, which S3 Control sets.
    pub(crate) public_access: Option<PublicAccessBlockConfiguration>,
    pub(crate) users: BTreeMap<String, IamUser>,
    /// By name in lower case, because role names are unique regardless of case.
    pub(crate) roles: BTreeMap<String, IamRole>,
    /// OIDC providers by ARN.
    pub(crate) providers: BTreeMap<String, OidcProvider>,
    /// Customer managed policies by ARN.
    pub(crate) policies: BTreeMap<String, ManagedPolicy>,
    /// By name in lower case.
    pub(crate) instance_profiles: BTreeMap<String, InstanceProfile>,
    #[serde(skip)]
    removals: removals::RemovalHistory,
}

/// A user. Users exist only to have access keys and policies; no API manages them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct IamUser {
    pub(crate) id: String,
    pub(crate) inline: BTreeMap<String, String>,
    pub(crate) attached: BTreeSet<String>,
}

/// A role of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IamRole {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created_ms: i64,
    /// The trust policy, as JSON.
    pub(crate) trust: String,
    pub(crate) description: Option<String>,
    pub(crate) max_session_s: i64,
    pub(crate) boundary: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) inline: BTreeMap<String, String>,
    pub(crate) attached: BTreeSet<String>,
    #[serde(default)]
    pub(crate) used_ms: Option<i64>,
}

/// An OIDC identity provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OidcProvider {
    /// The issuer URL without `https://`.
    pub(crate) url: String,
    pub(crate) created_ms: i64,
    pub(crate) clients: Vec<String>,
    pub(crate) thumbprints: Vec<String>,
    pub(crate) tags: Vec<(String, String)>,
}

/// A customer managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManagedPolicy {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created_ms: i64,
    pub(crate) document: String,
    pub(crate) description: Option<String>,
}

impl AccountState {
    /// Finds a role by name, ignoring case.
    pub(crate) fn find_role(&self, name: &str) -> Option<&IamRole> {
        self.roles.get(&name.to_lowercase())
    }
}

impl IamRole {
    /// For example `arn:aws:iam::123456789012:role/path/name`.
    pub(crate) fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role{}{}", self.path, self.name)
    }
}

impl GlobalState {
    /// Whether a policy can name this principal: an account's root, or an existing user, role or role
    /// session. Users and roles can also be given by unique id.
    pub(crate) fn principal_exists(&self, arn: &str) -> bool {
        if arn.starts_with("AROA") || arn.starts_with("AIDA") {
            let has = |account: &AccountState| {
                account.roles.values().any(|role| role.id == arn)
                    || account.users.values().any(|user| user.id == arn)
            };
            return self.accounts.values().any(has);
        }
        let ["arn", "aws", service, "", account, name] = arn.splitn(6, ':').collect::<Vec<_>>()[..]
        else {
            return false;
        };
        let account_state = self.accounts.get(account);
        match (service, name.split_once('/')) {
            ("iam", None) => name == "root" && is_account_id(account),
            // Identities of CloudFront, which is not simulated: all exist.
            ("iam", Some(("user", user))) if account == "cloudfront" => {
                user.starts_with("CloudFront Origin Access Identity ")
            }
            ("iam", Some(("user", user))) => {
                account_state.is_some_and(|account| account.users.contains_key(user))
            }
            ("iam", Some(("role", _))) => account_state.is_some_and(|account_state| {
                account_state
                    .roles
                    .values()
                    .any(|role| role.arn(account) == arn)
            }),
            ("sts", Some(("assumed-role", session))) => {
                let role = session.split('/').next().unwrap_or_default();
                account_state.is_some_and(|account| account.find_role(role).is_some())
            }
            _ => false,
        }
    }
}
