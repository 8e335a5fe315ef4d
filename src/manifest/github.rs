//! What a manifest says about GitHub, with every default filled in. `workflows` turns it into files,
//! and `apply --expect-reviewed` asks it for the policy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{
    schema::{DeployConcurrency, GithubWorkflowsSection, ReviewPolicy},
    syntax::node::SourceLocation,
};
use crate::model::GoDuration;

/// What `[github]` says.
#[derive(Clone, Debug, Default)]
pub struct GithubSettings {
    /// How GitHub deals with this environment; none when `[github]` has at most `workflows`.
    pub deployment: Option<GithubDeployment>,
    /// What the manifest says for the whole project.
    pub workflows: ProjectWorkflows,
}

impl GithubSettings {
    /// Whether only a plan that a pull request showed may be applied.
    #[must_use]
    pub fn reviewed(&self) -> ReviewPolicy {
        let deployment = self.deployment.as_ref();
        deployment
            .map(|deployment| deployment.reviewed)
            .unwrap_or_default()
    }
}

/// How GitHub deals with one environment.
#[derive(Clone, Debug)]
pub struct GithubDeployment {
    /// Where the block is.
    pub location: Option<SourceLocation>,
    /// What starts a deployment. Empty when GitHub does not deploy this environment.
    pub triggers: DeployTriggers,
    /// What happens to a deployment when the next one comes.
    pub concurrency: DeployConcurrency,
    /// Whether only a plan that a pull request showed may be applied.
    pub reviewed: ReviewPolicy,
    /// A push whose commits all match one of these deploys nothing.
    pub skip_if_message: Vec<String>,
    /// Whether the comment on pull requests shows this environment.
    pub comment: bool,
    /// The environment on GitHub.
    pub environment: String,
    /// The variable with Fly's token.
    pub token_variable: String,
    /// The secret with the token that deploys.
    pub token: String,
    /// The secret with the token that reads.
    pub read_token: String,
    /// The variables that come from secrets, and the secrets: the sources of the manifest, and what it adds.
    pub secrets: BTreeMap<String, String>,
    /// Those of the secrets that every app works without.
    pub optional_secrets: BTreeSet<String>,
    /// Whether plans get those variables as well.
    pub passes_secrets_to_plans: bool,
    /// The variables that only the secrets of apps name. A build does not get them.
    pub app_only_variables: BTreeSet<String>,
    /// The variables that come from variables of GitHub.
    pub vars: BTreeMap<String, String>,
    /// Whether the environment has resources on AWS.
    pub uses_aws: bool,
    /// Steps before trimtab runs in the job that deploys.
    pub setup: Vec<SetupStep>,
    /// The labels of the job's runner, if they are not those of the project.
    pub runner: Option<Vec<String>>,
    /// How long an apply may take.
    pub deadline: GoDuration,
}

/// What starts a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployTriggers {
    /// A push to one of these branches.
    pub branches: Vec<String>,
    /// A push of a tag that matches one of these.
    pub tags: Vec<String>,
    /// A person.
    pub dispatch: bool,
}

impl DeployTriggers {
    /// Whether nothing starts one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty() && self.tags.is_empty() && !self.dispatch
    }
}

/// What one manifest says for the whole project: the section, and each of its keys as it was
/// written, so that the manifests of the project can be compared.
#[derive(Clone, Debug, Default)]
pub struct ProjectWorkflows {
    /// The section.
    pub section: GithubWorkflowsSection,
    /// Steps before trimtab runs, in every job.
    pub setup: Vec<SetupStep>,
    /// How the jobs install trimtab.
    pub install: Option<Install>,
    /// The value of each stated key, and where it is.
    pub stated: BTreeMap<String, (Json, SourceLocation)>,
}

/// How the jobs install trimtab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Install {
    /// From an archive, which has this checksum.
    Release {
        /// Its address.
        url: String,
        /// Its SHA-256 checksum.
        sha256: String,
    },
    /// From crates.io, in this version.
    Cargo(String),
    /// From a Git repository.
    Git {
        /// Its address.
        url: String,
        /// The commit.
        rev: String,
    },
    /// Not at all: the jobs run in this image.
    Container(String),
    /// By the user's own steps.
    Steps(Vec<SetupStep>),
}

/// A step of the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupStep {
    /// What it does.
    pub name: Option<String>,
    /// An action, or a script.
    pub action: SetupAction,
    /// The variables.
    pub env: BTreeMap<String, String>,
}

/// What a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupAction {
    /// An action with its inputs.
    Uses(String, BTreeMap<String, String>),
    /// A shell script.
    Run(String),
}

impl Default for SetupAction {
    fn default() -> Self {
        Self::Run(String::new())
    }
}
