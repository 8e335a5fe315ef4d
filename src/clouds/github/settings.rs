//! What people set up for a repository: environments, the names of secrets, what Actions may do, rules. Read only, for `doctor`.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use super::{GitHubClient, GitHubRequest};
use crate::clouds::{CloudError, url::segment};

/// What Actions may do in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ActionsPermissions {
    /// Whether they run at all.
    pub enabled: bool,
    /// `all`, `local_only` or `selected`.
    #[serde(default)]
    pub allowed_actions: Option<String>,
    /// Whether each action must be named by a commit.
    #[serde(default)]
    pub sha_pinning_required: bool,
}

/// Which actions may be used, where only some may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SelectedActions {
    /// Those of GitHub itself.
    pub github_owned_allowed: bool,
    /// Those of creators that GitHub has verified.
    pub verified_allowed: bool,
    /// Those that match one of these, such as `superfly/*`.
    pub patterns_allowed: Vec<String>,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ActionsEnvironment {
    /// Its name, which ignores case.
    pub name: String,
    /// Which branches and tags may use it; all when there is none.
    #[serde(default)]
    pub deployment_branch_policy: Option<DeploymentBranchPolicy>,
}

/// Which branches and tags may use an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct DeploymentBranchPolicy {
    /// Those that are protected.
    pub protected_branches: bool,
    /// Those that match a pattern.
    pub custom_branch_policies: bool,
}

/// A pattern of branches or tags that may use an environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DeploymentRefPattern {
    /// The pattern, such as `v*`.
    pub name: String,
    /// `branch` or `tag`.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
}

/// A variable of Actions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ActionsVariable {
    /// Its name, in upper case.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// How the subjects of the tokens are made with which jobs identify themselves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OidcSubjectForm {
    /// Whether they have GitHub's own form.
    pub use_default: bool,
    /// The claims that they are made of otherwise.
    #[serde(default)]
    pub include_claim_keys: Vec<String>,
    /// What the own form begins with: `repo:OWNER/NAME`, or `repo:OWNER@ID/NAME@ID`. An older server does not say it.
    #[serde(default)]
    pub sub_claim_prefix: Option<String>,
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BranchState {
    /// Whether anything protects it.
    #[serde(default)]
    pub protected: bool,
    /// The classic protection, which is not that by rules.
    #[serde(default)]
    protection: Value,
}

impl BranchState {
    /// The checks that the classic protection requires.
    pub fn required_checks(&self) -> impl Iterator<Item = &str> {
        let contexts = self.protection.pointer("/required_status_checks/contexts");
        let contexts = contexts.and_then(Value::as_array).into_iter().flatten();
        contexts.filter_map(Value::as_str)
    }
}

/// An active rule of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BranchRule {
    /// Such as `merge_queue` or `required_status_checks`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    parameters: Value,
}

impl BranchRule {
    /// The checks that it requires.
    pub fn required_checks(&self) -> impl Iterator<Item = &str> {
        let checks = self.parameters.get("required_status_checks");
        let checks = checks.and_then(Value::as_array).into_iter().flatten();
        checks.filter_map(|check| check.get("context")?.as_str())
    }
}

/// Something of which only the name is read.
#[derive(Deserialize)]
struct Named {
    name: String,
}

fn names(list: Vec<Named>) -> Vec<String> {
    list.into_iter().map(|named| named.name).collect()
}

impl GitHubClient {
    /// What Actions may do.
    ///
    /// # Errors
    /// As every request.
    pub async fn actions_permissions(&self) -> Result<ActionsPermissions, CloudError> {
        let request = GitHubRequest::get("/actions/permissions", "read what Actions may do");
        self.send(&request).await
    }

    /// Which actions may be used, where not all may.
    ///
    /// # Errors
    /// As every request; 409 where all may, or only those of the repository.
    pub async fn selected_actions(&self) -> Result<SelectedActions, CloudError> {
        let path = "/actions/permissions/selected-actions";
        self.send(&GitHubRequest::get(path, "read which actions are allowed"))
            .await
    }

    /// All environments.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn environments(&self) -> Result<Vec<ActionsEnvironment>, CloudError> {
        let (path, key) = ("/environments?per_page=100", "environments");
        self.list_under(path, key, "list the environments").await
    }

    /// The patterns of the branches and tags that may use an environment.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn environment_ref_patterns(
        &self,
        environment: &str,
    ) -> Result<Vec<DeploymentRefPattern>, CloudError> {
        let path = format!(
            "/environments/{}/deployment-branch-policies?per_page=100",
            segment(environment)
        );
        let operation = format!("list the branches that may use environment {environment}");
        self.list_under(&path, "branch_policies", &operation).await
    }

    /// The names of the secrets of an environment.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn environment_secret_names(
        &self,
        environment: &str,
    ) -> Result<Vec<String>, CloudError> {
        let path = format!("/environments/{}/secrets", segment(environment));
        let operation = format!("list the secrets of environment {environment}");
        self.secret_names(&path, &operation).await
    }

    /// The variables of an environment.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn environment_variables(
        &self,
        environment: &str,
    ) -> Result<Vec<ActionsVariable>, CloudError> {
        let path = format!("/environments/{}/variables", segment(environment));
        let operation = format!("list the variables of environment {environment}");
        self.variables(&path, &operation).await
    }

    /// The names of the secrets of the repository.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn repository_secret_names(&self) -> Result<Vec<String>, CloudError> {
        self.secret_names("/actions/secrets", "list the secrets of the repository")
            .await
    }

    /// The names of the organization's secrets that the repository may use.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn organization_secret_names(&self) -> Result<Vec<String>, CloudError> {
        let path = "/actions/organization-secrets";
        self.secret_names(path, "list the secrets of the organization")
            .await
    }

    /// The variables of the repository.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn repository_variables(&self) -> Result<Vec<ActionsVariable>, CloudError> {
        self.variables("/actions/variables", "list the variables of the repository")
            .await
    }

    /// The organization's variables that the repository may use.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn organization_variables(&self) -> Result<Vec<ActionsVariable>, CloudError> {
        let path = "/actions/organization-variables";
        self.variables(path, "list the variables of the organization")
            .await
    }

    async fn secret_names(&self, path: &str, operation: &str) -> Result<Vec<String>, CloudError> {
        let path = format!("{path}?per_page=100");
        self.list_under(&path, "secrets", operation)
            .await
            .map(names)
    }

    /// A page of variables holds at most 30.
    async fn variables(
        &self,
        path: &str,
        operation: &str,
    ) -> Result<Vec<ActionsVariable>, CloudError> {
        let path = format!("{path}?per_page=30");
        self.list_under(&path, "variables", operation).await
    }

    /// How the subjects of identity tokens are made.
    ///
    /// # Errors
    /// As every request.
    pub async fn oidc_subject_form(&self) -> Result<OidcSubjectForm, CloudError> {
        let path = "/actions/oidc/customization/sub";
        let operation = "read how the subjects of identity tokens are made";
        self.send(&GitHubRequest::get(path, operation)).await
    }

    /// A branch.
    ///
    /// # Errors
    /// As every request.
    pub async fn branch(&self, name: &str) -> Result<BranchState, CloudError> {
        let path = format!("/branches/{}", segment(name));
        self.send(&GitHubRequest::get(path, format!("read branch {name}")))
            .await
    }

    /// The active rules of a branch, which need not exist.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn branch_rules(&self, name: &str) -> Result<Vec<BranchRule>, CloudError> {
        let path = format!("/rules/branches/{}?per_page=100", segment(name));
        self.list(&path, &format!("list the rules of branch {name}"))
            .await
    }

    /// The text of a file on a branch; `None` where it is no text.
    ///
    /// # Errors
    /// As every request; 404 where it does not exist.
    pub async fn file_text(&self, path: &str, branch: &str) -> Result<Option<String>, CloudError> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            content: String,
        }
        let segments: Vec<String> = path.split('/').map(segment).collect();
        let request = GitHubRequest::get(
            format!(
                "/contents/{}?ref={}",
                segments.join("/"),
                crate::clouds::url::query_value(branch)
            ),
            format!("read {path} on branch {branch}"),
        );
        let file: File = self.send(&request).await?;
        let packed: String = file.content.split_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(packed)
            .ok();
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }
}
