//! How the image of an app is built. A build is no resource: nothing of it is planned, so it stands beside what is desired.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    schema::Builder,
    syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable},
};
use crate::model::Secret;

/// Fly's own registry, where each app has a repository of its name.
pub const FLY_REGISTRY: &str = "registry.fly.io";
/// The keys of fly.toml's `[build]` that a manifest has as well.
const SHARED_KEYS: [&str; 4] = ["dockerfile", "ignorefile", "build-target", "args"];

/// How the image of an app is built, with absolute or working-directory-relative paths.
#[derive(Clone, Debug)]
pub struct BuildSpec {
    /// Who builds.
    pub builder: Builder,
    /// The folder that is sent to the builder.
    pub context: PathBuf,
    /// The Dockerfile, where it is not `Dockerfile` in the context.
    pub dockerfile: Option<PathBuf>,
    /// What is not sent, where it is not `.dockerignore` in the context.
    pub ignorefile: Option<PathBuf>,
    /// The stage.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Secrets by id; their values only with [`SecretsMode::Build`](super::SecretsMode::Build).
    pub secrets: BTreeMap<String, Option<Secret>>,
    /// Where the image is pushed; `None` for the repository of the app.
    pub repository: Option<String>,
    /// The app's name on Fly.
    pub app: String,
    /// The fly.toml that says more about the build than a manifest can, such as buildpacks.
    pub fly_toml: Option<PathBuf>,
}

impl BuildSpec {
    /// Where the image is pushed, without a tag.
    #[must_use]
    pub fn repository(&self) -> String {
        let own = || format!("{FLY_REGISTRY}/{}", self.app);
        self.repository.clone().unwrap_or_else(own)
    }
}

/// What the `[build]` of a fly.toml says.
#[derive(Clone, Debug)]
pub(super) struct FlyTomlBuild {
    /// The path of the fly.toml.
    pub(super) path: PathBuf,
    /// The key of the section.
    pub(super) location: SourceLocation,
    /// Whether it has no keys: flyctl then builds the Dockerfile beside it.
    pub(super) is_empty: bool,
    /// A key that only flyctl understands, such as `buildpacks`.
    pub(super) flyctl_key: Option<String>,
    /// The keys that a manifest has as well.
    shared: TomlEntry,
}

impl FlyTomlBuild {
    /// Takes it from a fly.toml as it was written. `None` when it builds nothing, since `[build]` is absent or names an image.
    pub(super) fn take(root: &TomlNode, path: &Path) -> Option<Self> {
        let TomlTable(sections) = root.as_table()?;
        let build = sections.iter().find(|entry| entry.key == "build")?;
        let TomlTable(keys) = build.node.as_table()?;
        if keys.iter().any(|entry| entry.key == "image") {
            return None;
        }
        let mut shared = Vec::new();
        let mut flyctl_key = None;
        for entry in keys {
            // flyctl's older spelling.
            let key = match entry.key.as_str() {
                "build_target" => "build-target",
                key => key,
            };
            let is_url = entry
                .node
                .as_str()
                .is_some_and(|text| key == "dockerfile" && text.contains("://"));
            if SHARED_KEYS.contains(&key) && !is_url {
                shared.push(TomlEntry {
                    key: key.to_owned(),
                    ..entry.clone()
                });
            } else {
                flyctl_key.get_or_insert_with(|| key.to_owned());
            }
        }
        Some(Self {
            path: path.to_owned(),
            location: build.key_location.clone(),
            is_empty: keys.is_empty(),
            flyctl_key,
            shared: TomlEntry {
                key: build.key.clone(),
                key_location: build.key_location.clone(),
                node: TomlNode {
                    location: build.node.location.clone(),
                    value: super::syntax::node::TomlValue::Table(TomlTable(shared)),
                },
            },
        })
    }

    /// The section as a manifest would have it.
    pub(super) fn to_entry(&self) -> TomlEntry {
        self.shared.clone()
    }
}
