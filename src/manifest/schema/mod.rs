//! The manifest's shape: what may be written where. The JSON Schema is generated from these types, the checks of the
//! shape run against that schema, and only what passed them is decoded here, so every field is optional in memory and
//! `required` in the schema where it must be written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod app;
pub mod aws;
pub(super) mod decode;
pub(super) mod json_schema;
mod known_values;
mod machine;
mod service;
pub(super) mod validate;

pub use app::{
    AppSection, BoundedMachineCount, CronSection, DeploySection, DeployStrategy, EnvValue,
    ImageSource, IpEntry, IpType, MachineCount, MachineGroupSection, OnFailure, Schedule,
    SecretSource, VerifySection,
};
pub use known_values::{PERFORMANCE_CPU_COUNTS, Preset, RegionCode, SHARED_CPU_COUNTS, Signal};
pub use machine::{
    CommandLine, CpuKind, ExperimentalSection, FileSection, MetricsSection, MountSection,
    PersistRootfs, RestartPolicy, RestartSection, Size, StaticSection, VmSection,
};
pub use service::{
    Alpn, AutoStopMode, AutoStopSetting, CheckKind, CheckSection, CheckType, ConcurrencySection,
    ConcurrencyType, DurationOrSeconds, DurationString, HttpOptionsSection, HttpServiceSection,
    PortHandler, PortSection, Protocol, ProxyProtoVersion, ReplayCacheSection, ResponseHeader,
    Scheme, ServiceSection, TlsOptionsSection, TlsVersion,
};

/// One environment: what shall run on Fly.io, where, and with what.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The project's name. Everything that is made bears it, so that two projects in one organization never touch each
    /// other's machines.
    #[schemars(required, example = &"harbor")]
    pub project: Option<String>,
    /// The environment's name, when it is not the file's. `review-${var.pr}` makes one environment per pull request.
    #[schemars(example = &"review-${var.pr}")]
    pub name: Option<String>,
    /// Files to inherit from, relative to this one. Tables merge deep; what stands here wins; of several files, a later
    /// one wins over an earlier one. A file whose name begins with `_` is only inherited from.
    #[schemars(example = &"_base.toml")]
    pub extends: Option<OneOrMany<String>>,
    /// Variables for `${var.NAME}`, given on the command line with `--var NAME=VALUE`.
    #[serde(default)]
    pub vars: BTreeMap<String, Var>,
    /// The account on Fly.io.
    #[schemars(required)]
    pub fly: Option<FlySection>,
    /// A dotenv file, relative to this one, that is asked for every `{ env = "…" }` secret which the process environment
    /// lacks. It may be absent: on a laptop it is there, in CI the environment has the values.
    #[schemars(example = &"../.env")]
    pub dotenv: Option<String>,
    /// The apps, by a key of your choice: `[apps.web]` is `fly.app/web` in every plan.
    #[serde(default)]
    pub apps: BTreeMap<String, AppSection>,
    /// The account on AWS, where anything is on AWS.
    pub aws: Option<aws::AwsSection>,
    /// S3 buckets, by a key of your choice.
    #[serde(default)]
    pub buckets: BTreeMap<String, aws::BucketSection>,
    /// What apps may do on AWS without static keys, by a key of your choice.
    #[serde(default)]
    pub identities: BTreeMap<String, aws::IdentitySection>,
    /// Roles in AWS's own words, by a key of your choice, for what `identities` cannot say.
    #[serde(default)]
    pub roles: BTreeMap<String, aws::RoleSection>,
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

/// A variable that is described.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribedVar {
    /// The value when `--var` gives none. Without a default the variable must be given.
    pub default: Option<String>,
    /// What it is for; shown when it is missing.
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
    /// Where the API token is found. Default: the environment variable `FLY_API_TOKEN`.
    pub token: Option<FlyTokenSource>,
}

/// Where the API token is found.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlyTokenSource {
    /// The environment variable that holds it: one organization, one token.
    #[schemars(required, example = &"FLY_API_TOKEN_STAGING")]
    pub env: Option<String>,
}
