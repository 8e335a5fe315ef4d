//! IAM: roles, their policies, and OpenID Connect providers; and the query protocol, which STS speaks as well.

mod managed_policies;
mod oidc_providers;
mod permissions_boundary;
mod query;
mod removals;
mod role_policies;
mod roles;
mod routes;
mod tags;
pub(crate) mod validation;
mod xml_views;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(crate) use self::oidc_providers::provider_arn;
pub(crate) use self::query::{QueryCall, QueryRequest, parse_query_request};
pub(crate) use self::routes::dispatch;
use super::access_keys::is_account_id;
use super::state::GlobalState;

/// An account: `aws/accounts.json` has them all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AccountState {
    pub(crate) users: BTreeMap<String, IamUser>,
    /// By name in lower case, because names that differ only in case are the same.
    pub(crate) roles: BTreeMap<String, IamRole>,
    /// By ARN.
    pub(crate) providers: BTreeMap<String, OidcProvider>,
    /// The account's own managed policies, by ARN.
    pub(crate) policies: BTreeMap<String, ManagedPolicy>,
    #[serde(skip)]
    past: removals::RemovalHistory,
}

/// A user. They exist only to have keys and rights.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct IamUser {
    pub(crate) id: String,
    pub(crate) inline: BTreeMap<String, String>,
    pub(crate) attached: BTreeSet<String>,
}

/// A role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IamRole {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created_ms: i64,
    /// Who may assume it.
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

/// An OpenID Connect provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OidcProvider {
    /// Without its scheme.
    pub(crate) url: String,
    pub(crate) created_ms: i64,
    pub(crate) clients: Vec<String>,
    pub(crate) thumbprints: Vec<String>,
    pub(crate) tags: Vec<(String, String)>,
}

/// A managed policy of the account.
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
    /// A role, by its name in any case.
    pub(crate) fn find_role(&self, name: &str) -> Option<&IamRole> {
        self.roles.get(&name.to_lowercase())
    }
}

impl IamRole {
    /// `arn:aws:iam::123456789012:role/path/name`
    pub(crate) fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role{}{}", self.path, self.name)
    }
}

impl GlobalState {
    /// Whether a policy may name this: an account, or a user or role that is there, also by its identifier.
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
        let there = self.accounts.get(account);
        match (service, name.split_once('/')) {
            ("iam", None) => name == "root" && is_account_id(account),
            ("iam", Some(("user", user))) => {
                there.is_some_and(|account| account.users.contains_key(user))
            }
            ("iam", Some(("role", _))) => {
                there.is_some_and(|there| there.roles.values().any(|role| role.arn(account) == arn))
            }
            ("sts", Some(("assumed-role", session))) => {
                let role = session.split('/').next().unwrap_or_default();
                there.is_some_and(|account| account.find_role(role).is_some())
            }
            _ => false,
        }
    }
}
