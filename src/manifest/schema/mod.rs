//! The schema of the manifest: which keys and values are valid. The JSON Schema is generated from
//! these types, validation uses that schema, and only valid documents are decoded here. Therefore
//! every field is optional in memory, and `required` in the schema where it must be set.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod app;
pub mod aws;
mod build;
pub(super) mod decode;
mod github;
pub(super) mod json_schema;
mod known_values;
mod machine;
mod postgres;
mod service;
pub(super) mod validate;
mod validation_help;

pub use app::{
    AppSection, BoundedMachineCount, CronSection, DeploySection, DeployStrategy, EnvValue,
    ImageSource, IpEntry, IpType, MachineCount, MachineGroupSection, OnFailure, Schedule,
    SecretSource, VerifySection,
};
pub use build::{BuildSection, Builder};
pub use github::{
    CronSetting, DeployConcurrency, GithubSection, GithubStep, GithubWorkflowsSection,
    InstallSection, ReviewPolicy, StepValue,
};
pub use known_values::{PERFORMANCE_CPU_COUNTS, Preset, RegionCode, SHARED_CPU_COUNTS, Signal};
pub use machine::{
    CommandLine, CpuKind, ExperimentalSection, FileSection, MetricsSection, MountSection,
    PersistRootfs, RestartPolicy, RestartSection, Size, StaticSection, VmSection,
};
pub use postgres::{DatabaseSection, PoolMode, PostgresEngine, PostgresSection};
pub use service::{
    Alpn, AutoStopMode, AutoStopSetting, CheckKind, CheckSection, CheckType, ConcurrencySection,
    ConcurrencyType, DurationOrSeconds, DurationString, HttpOptionsSection, HttpServiceSection,
    PortHandler, PortSection, Protocol, ProxyProtoVersion, ReplayCacheSection, ResponseHeader,
    Scheme, ServiceSection, TlsOptionsSection, TlsVersion,
};

/// One environment: what runs on Fly.io and AWS, where, and with which settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The project's name. Every resource is marked with it, so that two projects in one
    /// organization never touch each other's machines.
    #[schemars(required, example = &"harbor")]
    pub project: Option<String>,
    /// The environment's name. Default: the file's name. `review-${var.pr}` makes one environment
    /// per pull request.
    #[schemars(example = &"review-${var.pr}")]
    pub name: Option<String>,
    /// Files to inherit from, relative to this one. Tables merge recursively; this file overrides
    /// them, and a later one overrides an earlier one. A file whose name begins with `_` is only
    /// inherited from.
    #[schemars(example = &"_base.toml")]
    pub extends: Option<OneOrMany<String>>,
    /// Variables for `${var.NAME}`, given on the command line with `--var NAME=VALUE`.
    #[serde(default)]
    pub vars: BTreeMap<String, Var>,
    /// The account on Fly.io.
    #[schemars(required)]
    pub fly: Option<FlySection>,
    /// A dotenv file, relative to this one, for every `{ env = "…" }` secret that the process
    /// environment lacks. It may be missing: locally the file has the values, in CI the environment
    /// does.
    #[schemars(example = &"../.env")]
    pub dotenv: Option<String>,
    /// The apps, by a key of your choice: `[apps.web]` is `fly.app/web` in every plan.
    #[serde(default)]
    pub apps: BTreeMap<String, AppSection>,
    /// Postgres clusters on Fly, by a key of your choice. A cluster is an app: `[postgres.db]` is `fly.app/db` in every plan.
    #[serde(default)]
    pub postgres: BTreeMap<String, PostgresSection>,
    /// The AWS account, if there are resources on AWS.
    pub aws: Option<aws::AwsSection>,
    /// S3 buckets, by a key of your choice.
    #[serde(default)]
    pub buckets: BTreeMap<String, aws::BucketSection>,
    /// Roles that give apps access to AWS without static keys, by a key of your choice.
    #[serde(default)]
    pub identities: BTreeMap<String, aws::IdentitySection>,
    /// Roles in AWS's own terms, by a key of your choice, for what `identities` cannot express.
    #[serde(default)]
    pub roles: BTreeMap<String, aws::RoleSection>,
    /// How GitHub Actions deploys this environment; `trimtab workflows` writes the workflows.
    pub github: Option<GithubSection>,
}

/// One value, or a list of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values in order.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The values of an optional [`OneOrMany`].
pub fn slice_or_empty<T>(values: Option<&OneOrMany<T>>) -> &[T] {
    values.map_or(&[], OneOrMany::as_slice)
}

/// A variable: its default, or a table that describes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Var {
    /// The default value.
    Default(String),
    /// A description.
    Described(DescribedVar),
}

/// A variable with a description.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribedVar {
    /// The value when `--var` gives none. Without a default the variable is required.
    pub default: Option<String>,
    /// What it is for; shown when it has no value.
    #[schemars(example = &"number of the pull request")]
    pub description: Option<String>,
    /// A value that `validate` uses when none is given.
    #[schemars(example = &"42")]
    pub example: Option<String>,
}

/// The account on Fly.io.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlySection {
    /// The organization's slug, as `fly orgs list` shows it.
    #[schemars(required, example = &"personal")]
    pub org: Option<String>,
    /// Where to find the API token. Default: the environment variable `FLY_API_TOKEN`.
    pub token: Option<FlyTokenSource>,
}

/// Where to find the API token. Default: the environment variable `FLY_API_TOKEN`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlyTokenSource {
    /// The environment variable that holds it. Each organization has its own token.
    #[schemars(required, example = &"FLY_API_TOKEN_STAGING")]
    pub env: Option<String>,
}
