//! The schema of `[github]`: how GitHub deploys an environment, and what the generated workflows of
//! the project share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationString, OneOrMany};

/// How GitHub Actions deploys this environment; `trimtab workflows` writes the workflows.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubSection {
    /// A push to one of these branches deploys.
    #[schemars(example = ["main"])]
    pub branches: Option<OneOrMany<String>>,
    /// A push of a tag that matches one of these patterns deploys.
    #[schemars(example = ["v*"])]
    pub tags: Option<OneOrMany<String>>,
    /// Whether people can start a deployment by hand. Without `branches`, they may name the commit. Default: false.
    pub dispatch: Option<bool>,
    /// Whether GitHub deploys this environment at all. `false`: pull requests show its plan, and it is watched for drift. Default: true.
    pub deploy: Option<bool>,
    /// What happens to a deployment that runs when the next one comes: `cancel` stops it, `queue` lets
    /// it finish, and keeps every one that waits. Default: `queue`.
    pub concurrency: Option<DeployConcurrency>,
    /// Whether only the plan that the merged pull request showed may be applied. Default: `off` when
    /// `concurrency` is `cancel`, else `if-present`.
    pub reviewed: Option<ReviewPolicy>,
    /// A push deploys nothing when the message of every commit contains one of these texts, or begins
    /// with one that ends in `*`.
    #[schemars(example = ["Create persona:*"])]
    pub skip_if_message: Option<OneOrMany<String>>,
    /// Whether the comment on pull requests shows this environment. Default: true.
    pub comment: Option<bool>,
    /// The environment on GitHub, which holds the secrets and may ask for an approval. Default: this environment's name.
    #[schemars(example = &"production")]
    pub environment: Option<String>,
    /// The secret on GitHub with the token that deploys. Default: the name of the token's variable, such as `FLY_API_TOKEN`.
    #[schemars(example = &"FLY_API_TOKEN_PRODUCTION")]
    pub token: Option<String>,
    /// The secret on GitHub with a read-only token, for plans and drift. Default: the name of the token's variable with `_READ`.
    #[schemars(example = &"FLY_API_TOKEN_PRODUCTION_READ")]
    pub read_token: Option<String>,
    /// Variables for the steps that come from secrets on GitHub: the variable, and the secret. What
    /// `{ env = "…" }` names in this manifest is passed under its own name without being listed here.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("STAGE_DATABASE_URL", "DATABASE_URL")]))]
    pub secrets: BTreeMap<String, String>,
    /// Variables for the steps that come from variables on GitHub: the variable here, and there.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("AWS_ROLE_ARN", "PRODUCTION_ROLE_ARN")]))]
    pub vars: BTreeMap<String, String>,
    /// Whether plans and drift get the values of secrets too. A plan then shows which secret changes, but
    /// everybody who may push a branch can read them. Default: false.
    pub plan_secrets: Option<bool>,
    /// Steps before trimtab runs in the job that deploys, after those of `workflows`.
    #[serde(default)]
    pub setup: Vec<GithubStep>,
    /// The runner of the job that deploys. Default: that of `workflows`.
    #[schemars(example = &"ubuntu-24.04")]
    pub runner: Option<OneOrMany<String>>,
    /// How long an apply may take; GitHub ends the job a quarter of an hour later. Default: 30 minutes.
    #[schemars(example = &"30m")]
    pub deadline: Option<DurationString>,
    /// What the generated workflows of the project share. Every environment must say the same: write it into a file
    /// that they all inherit from.
    pub workflows: Option<GithubWorkflowsSection>,
}

/// What happens to a deployment that runs when the next one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeployConcurrency {
    /// It is cancelled; the next one does what it left.
    Cancel,
    /// It finishes; every one that comes waits for its turn.
    #[default]
    Queue,
}

/// Whether only a plan that a pull request showed may be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewPolicy {
    /// Nothing else is applied.
    Required,
    /// Nothing else is applied if there is such a plan. Without one, only what is not dangerous is.
    #[default]
    IfPresent,
    /// It does not matter.
    Off,
}

/// What the generated workflows of the project share.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubWorkflowsSection {
    /// How the jobs install trimtab.
    pub install: Option<InstallSection>,
    /// The project's own workflow with its tests. It runs first, in the same run, and needs `on: workflow_call`; a workflow with an
    /// input `ref` can be given the commit.
    #[schemars(example = &"./.github/workflows/ci.yml")]
    pub test: Option<String>,
    /// Whether `test` has an input `ref`, the commit to test. Deployments by tag or by hand need one. Default: false.
    pub test_takes_ref: Option<bool>,
    /// The runner: a label, or several. Default: `ubuntu-24.04`.
    #[schemars(example = &"ubuntu-24.04")]
    pub runner: Option<OneOrMany<String>>,
    /// Steps before trimtab runs, in every job.
    #[serde(default)]
    pub setup: Vec<GithubStep>,
    /// Whether jobs use GitHub's environments. Private repositories on the Free plan have none: with
    /// `false`, all secrets are those of the repository. Default: true.
    pub environments: Option<bool>,
    /// The environment on GitHub with the read-only secrets, for plans and drift. Default: `trimtab-plan`.
    #[schemars(example = &"trimtab-plan")]
    pub plan_environment: Option<String>,
    /// Whether pull requests show plans. Default: true.
    pub plan: Option<bool>,
    /// Whether drift is looked for every day, or when, in cron's format and UTC. Default: true, at a
    /// minute that depends on the project's name.
    #[schemars(example = &"17 5 * * *")]
    pub drift: Option<CronSetting>,
    /// The branch that deployments by tag or by hand must have been merged into. Default: `main`.
    #[schemars(example = &"main")]
    pub default_branch: Option<String>,
    /// The variable on GitHub with the ARN of the role on AWS that plans and drift assume. Default: `AWS_PLAN_ROLE_ARN`.
    #[schemars(example = &"AWS_PLAN_ROLE_ARN")]
    pub aws_plan_role: Option<String>,
    /// Commits of actions for new files: the action, and the commit, with the version as a comment. What stands in a file stays there.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("actions/checkout", "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1")]))]
    pub pins: BTreeMap<String, String>,
}

/// When a schedule runs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CronSetting {
    /// Every day, or never.
    Enabled(bool),
    /// In cron's format: minute, hour, day, month, weekday.
    Cron(String),
}

/// How the jobs install trimtab: exactly one of `release`, `cargo`, `git`, `container`, `steps`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallSection {
    /// The address of a `.tar.gz` archive with the program; needs `sha256`.
    #[schemars(example = &"https://github.com/acme/trimtab/releases/download/v1.2.3/trimtab-x86_64-linux.tar.gz")]
    pub release: Option<String>,
    /// The archive's SHA-256 checksum, in hexadecimal digits.
    pub sha256: Option<String>,
    /// A version on crates.io, built by `cargo install --locked`.
    #[schemars(example = &"1.2.3")]
    pub cargo: Option<String>,
    /// The address of a Git repository, built by `cargo install --locked`; needs `rev`.
    #[schemars(example = &"https://github.com/acme/trimtab")]
    pub git: Option<String>,
    /// The commit of `git`.
    pub rev: Option<String>,
    /// An image that the jobs run in, which has trimtab, git and a shell.
    #[schemars(example = &"ghcr.io/acme/trimtab@sha256:…")]
    pub container: Option<String>,
    /// Steps that put trimtab on the PATH.
    pub steps: Option<Vec<GithubStep>>,
}

/// A step of a job: `uses` or `run`, in GitHub's own words.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubStep {
    /// What it does, for the log.
    pub name: Option<String>,
    /// An action: `OWNER/REPOSITORY@COMMIT`.
    #[schemars(example = &"astral-sh/setup-uv@20cfd1bf945f4377ade1205e4dbc17946fc9a30d")]
    pub uses: Option<String>,
    /// The inputs of the action.
    #[serde(default)]
    pub with: BTreeMap<String, StepValue>,
    /// A shell script. It may hold no expression: pass that by `env`.
    pub run: Option<String>,
    /// Its environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, StepValue>,
}

/// A value of a step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StepValue {
    /// A string.
    Text(String),
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
}
