//! The stored state of the simulated GitHub: `github.json`.
//!
//! Times are milliseconds since 1970 on the sandbox's clock. Nothing here is a wire format.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::GithubToken;
use super::limits::GithubLimiter;
use crate::ids;
use crate::store::{StoreError, read_json, write_json};

/// The state, and whether it has yet to be written to disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct GithubState {
    pub(crate) file: GithubFile,
    pub(crate) dirty: bool,
    /// The requests counted so far. GitHub would not forget them on a restart, but nothing depends on
    /// that.
    pub(crate) limiter: GithubLimiter,
}

/// The contents of `github.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GithubFile {
    /// How many ids were given out. Ids ascend, as GitHub's do.
    pub(crate) drawn: u64,
    pub(crate) repositories: BTreeMap<u64, GithubRepository>,
    pub(crate) tokens: BTreeMap<String, GithubToken>,
    /// Former full names of repositories, in lower case, with the id of the repository.
    pub(crate) renamed: BTreeMap<String, u64>,
    pub(crate) behaviour: GithubBehaviour,
}

/// What GitHub leaves open, or does only at times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GithubBehaviour {
    /// The status of a refusal by a rate limit: 403 or 429.
    pub(crate) rate_limit_status: u16,
    /// Whether a refusal by a secondary rate limit has `Retry-After`.
    pub(crate) retry_after: bool,
    /// How many requests per hour one token of a job has.
    pub(crate) actions_requests_per_hour: u64,
    /// How many requests per hour a user has.
    pub(crate) user_requests_per_hour: u64,
    /// For how many requests `commits/{sha}/pulls` does not know a merge yet.
    pub(crate) merged_pulls_lag: u64,
}

impl Default for GithubBehaviour {
    fn default() -> Self {
        Self {
            rate_limit_status: 403,
            retry_after: true,
            actions_requests_per_hour: 1_000,
            user_requests_per_hour: 5_000,
            merged_pulls_lag: 0,
        }
    }
}

/// A repository and everything in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GithubRepository {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) owner_is_organization: bool,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    pub(crate) has_issues: bool,
    pub(crate) default_branch: String,
    pub(crate) created_ms: i64,
    /// The repository that this one is a fork of.
    pub(crate) fork_of: Option<u64>,
    pub(crate) branches: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) commits: BTreeMap<String, GithubCommit>,
    /// Issues and pull requests share their numbers. A pull request has an entry in both maps.
    pub(crate) issues: BTreeMap<u64, GithubIssue>,
    pub(crate) pulls: BTreeMap<u64, GithubPull>,
    pub(crate) labels: BTreeMap<String, GithubLabel>,
    pub(crate) comments: BTreeMap<u64, GithubComment>,
    pub(crate) statuses: Vec<CommitStatus>,
    pub(crate) check_runs: BTreeMap<u64, CheckRun>,
    pub(crate) deployments: BTreeMap<u64, GithubDeployment>,
    pub(crate) environments: BTreeMap<String, GithubEnvironment>,
    pub(crate) secrets: BTreeMap<String, SecretName>,
    /// The secrets of the organization that this repository may use.
    pub(crate) organization_secrets: BTreeMap<String, SecretName>,
    pub(crate) variables: BTreeMap<String, GithubVariable>,
    /// The variables of the organization that this repository may use.
    pub(crate) organization_variables: BTreeMap<String, GithubVariable>,
    pub(crate) workflows: BTreeMap<u64, GithubWorkflow>,
    pub(crate) runs: BTreeMap<u64, GithubRun>,
    pub(crate) oidc_subject: OidcSubject,
    pub(crate) actions: ActionsSettings,
    /// The active rules of each branch, as the API shows them.
    pub(crate) rules: BTreeMap<String, Vec<Value>>,
}

/// A commit, with the whole tree of its text files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct GithubCommit {
    pub(crate) sha: String,
    pub(crate) parents: Vec<String>,
    pub(crate) message: String,
    pub(crate) author: String,
    pub(crate) created_ms: i64,
    pub(crate) files: BTreeMap<String, String>,
}

/// What issues and pull requests have in common.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct GithubIssue {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) user: String,
    pub(crate) open: bool,
    pub(crate) state_reason: Option<String>,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) locked: bool,
    /// Whether somebody deleted it; it then answers with `410`.
    pub(crate) deleted: bool,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) closed_ms: Option<i64>,
    pub(crate) closed_by: Option<String>,
}

/// What only pull requests have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct GithubPull {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) draft: bool,
    pub(crate) head_ref: String,
    pub(crate) head_sha: String,
    /// The owner of the repository that the branch is in; it outlives the repository.
    pub(crate) head_owner: String,
    /// The repository that the branch is in; a fork can have been deleted since.
    pub(crate) head_repository: u64,
    pub(crate) base_ref: String,
    pub(crate) base_sha: String,
    /// Whether the branch cannot be merged without resolving a conflict.
    pub(crate) conflict: bool,
    /// While it is open, the commit of the test merge; after the merge, what was added to the base.
    pub(crate) merge_commit_sha: Option<String>,
    pub(crate) merged_ms: Option<i64>,
    pub(crate) merged_by: Option<String>,
    /// The commits that the merge added to the base branch.
    pub(crate) introduced: BTreeSet<String>,
    /// For how many more requests `commits/{sha}/pulls` does not know the merge.
    pub(crate) unknown_requests: u64,
}

/// A label.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubLabel {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) description: Option<String>,
}

/// A comment on an issue or a pull request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubComment {
    pub(crate) id: u64,
    pub(crate) issue: u64,
    pub(crate) user: String,
    pub(crate) body: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// Why it is hidden, such as `OUTDATED`.
    #[serde(default)]
    pub(crate) minimized: Option<String>,
}

/// A status of a commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CommitStatus {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) context: String,
    pub(crate) state: String,
    pub(crate) description: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) creator: String,
    pub(crate) created_ms: i64,
}

/// A check run of a commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CheckRun {
    pub(crate) id: u64,
    pub(crate) head_sha: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) details_url: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) annotations: Vec<Value>,
    pub(crate) started_ms: i64,
    pub(crate) completed_ms: Option<i64>,
}

/// A deployment with its statuses, the oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubDeployment {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) git_ref: String,
    pub(crate) task: String,
    pub(crate) payload: Value,
    pub(crate) environment: String,
    pub(crate) description: Option<String>,
    pub(crate) creator: String,
    pub(crate) transient: bool,
    pub(crate) production: bool,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) statuses: Vec<DeploymentStatus>,
}

/// A status of a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeploymentStatus {
    pub(crate) id: u64,
    pub(crate) state: String,
    pub(crate) description: String,
    pub(crate) environment: String,
    pub(crate) environment_url: String,
    pub(crate) log_url: String,
    pub(crate) creator: String,
    pub(crate) created_ms: i64,
}

/// An environment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GithubEnvironment {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    pub(crate) secrets: BTreeMap<String, SecretName>,
    pub(crate) variables: BTreeMap<String, GithubVariable>,
    /// Rules as the API shows them: reviewers, timers, branch policies.
    pub(crate) protection_rules: Vec<Value>,
    /// `protected_branches` and `custom_branch_policies`; null when every branch may deploy.
    pub(crate) branch_policy: Value,
    /// The name patterns of a custom policy, each with `branch` or `tag`.
    pub(crate) branch_patterns: Vec<(String, String)>,
}

/// A secret. The API shows no values, so none are stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretName {
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// A variable of Actions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubVariable {
    pub(crate) value: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// A workflow on the default branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubWorkflow {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) state: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// A run of a workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubRun {
    pub(crate) id: u64,
    pub(crate) workflow: u64,
    pub(crate) number: u64,
    pub(crate) event: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) head_branch: String,
    pub(crate) head_sha: String,
    pub(crate) actor: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// The inputs of a run that was started by hand.
    #[serde(default)]
    pub(crate) inputs: Value,
}

/// How the subject of identity tokens is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OidcSubject {
    pub(crate) use_default: bool,
    pub(crate) include_claim_keys: Vec<String>,
    pub(crate) use_immutable_subject: bool,
}

impl Default for OidcSubject {
    fn default() -> Self {
        Self {
            use_default: true,
            include_claim_keys: Vec::new(),
            use_immutable_subject: false,
        }
    }
}

/// What Actions may do in a repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ActionsSettings {
    pub(crate) enabled: bool,
    pub(crate) allowed_actions: String,
    pub(crate) sha_pinning_required: bool,
    /// What may be used where only selected actions may.
    pub(crate) github_owned_allowed: bool,
    pub(crate) verified_allowed: bool,
    pub(crate) patterns_allowed: Vec<String>,
    pub(crate) default_workflow_permissions: String,
    pub(crate) can_approve_pull_request_reviews: bool,
}

impl Default for ActionsSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            allowed_actions: "all".to_owned(),
            sha_pinning_required: false,
            github_owned_allowed: true,
            verified_allowed: false,
            patterns_allowed: Vec::new(),
            default_workflow_permissions: "read".to_owned(),
            can_approve_pull_request_reviews: false,
        }
    }
}

impl GithubState {
    /// Reads the state of a folder.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        let file = read_json(&dir.join("github.json"))?.unwrap_or_default();
        Ok(Self {
            file,
            ..Self::default()
        })
    }

    /// Writes what a request changed.
    ///
    /// # Errors
    /// The error of the file system. The successful response must then not be sent.
    pub(crate) fn save(&mut self, dir: &Path) -> Result<(), StoreError> {
        if self.dirty {
            write_json(&dir.join("github.json"), &self.file)?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// The first id that is given out, of the size of today's ids.
const FIRST_ID: u64 = 3_100_000_000;

impl GithubFile {
    /// A new id, higher than all before.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.drawn += 1;
        FIRST_ID + self.drawn * 17
    }

    /// The hash of a new commit.
    pub(crate) fn next_sha(&mut self, repository: u64) -> String {
        self.drawn += 1;
        let parts = ["commit", &repository.to_string(), &self.drawn.to_string()];
        ids::hex(&ids::derive_bytes(&parts)[..20])
    }

    /// The repository with this full name; names ignore case.
    pub(crate) fn find_repository(&self, owner: &str, name: &str) -> Option<&GithubRepository> {
        self.repositories.values().find(|repository| {
            repository.owner.eq_ignore_ascii_case(owner)
                && repository.name.eq_ignore_ascii_case(name)
        })
    }
}

impl GithubRepository {
    /// `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The number of the next issue or pull request.
    pub(crate) fn next_number(&self) -> u64 {
        self.issues.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// The start of the subject of this repository's identity tokens.
    pub(crate) fn subject_prefix(&self) -> String {
        if self.oidc_subject.use_immutable_subject {
            let owner = user_id(&self.owner);
            format!("repo:{}@{owner}/{}@{}", self.owner, self.name, self.id)
        } else {
            format!("repo:{}", self.full_name())
        }
    }
}

/// The account of a user, an organization or an app. Every login exists; its id follows from it.
pub(crate) fn user_id(login: &str) -> u64 {
    match login {
        // The ids of these two are public, and clients know them.
        "github-actions[bot]" => 41_898_282,
        "dependabot[bot]" => 49_699_333,
        _ => {
            let name = login.to_ascii_lowercase();
            u64::from(ids::to_u31(&ids::derive_bytes(&["github user", &name])))
        }
    }
}
