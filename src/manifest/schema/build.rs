//! The schema of `[apps.KEY.build]`: the keys of fly.toml's `[build]` under the same names, and what the builder needs besides.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{EnvValue, SecretSource};

/// How `trimtab build` makes the app's image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildSection {
    /// Who builds. Default: `fly-remote`.
    pub builder: Option<Builder>,
    /// The folder that is sent to the builder, relative to this file. Default: the folder of the
    /// Dockerfile, or of the app's fly.toml.
    #[schemars(example = &"..")]
    pub context: Option<String>,
    /// The Dockerfile, relative to this file. Default: `Dockerfile` in the context.
    #[schemars(example = &"../Dockerfile")]
    pub dockerfile: Option<String>,
    /// What is not sent to the builder, relative to this file. Default: `.dockerignore` in the context.
    pub ignorefile: Option<String>,
    /// The stage to build. Default: the last one.
    #[serde(rename = "build-target")]
    #[schemars(example = &"production")]
    pub build_target: Option<String>,
    /// Build arguments. They stay readable in the image, so no secret belongs here.
    #[serde(default)]
    pub args: BTreeMap<String, EnvValue>,
    /// Secrets of the build by id, for `RUN --mount=type=secret,id=…`: where each value comes from.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Where the image is pushed, without a tag. Default: the app's own, `registry.fly.io/NAME`.
    #[schemars(example = &"ghcr.io/acme/web")]
    pub repository: Option<String>,
}

/// Who builds an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builder {
    /// Fly's remote builder, through flyctl.
    #[default]
    FlyRemote,
    /// `docker build` and `docker push`.
    Docker,
    /// `docker buildx build --push`.
    Buildx,
}
