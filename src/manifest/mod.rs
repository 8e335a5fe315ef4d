//! Reads manifests: from TOML files to [`Desired`].
//!
//! A manifest is read together with the files it inherits from (`reader`), its references are
//! resolved (`interpolate`), it is validated against the schema (`schema`), and only then is it
//! lowered to resources (`lower`), where everything that Fly or AWS would refuse is refused before
//! any request. All errors are collected, and each has a location.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    kinds::Desired,
    model::{Address, Name},
};
use syntax::node::TomlNode;

mod aws_references;
mod build_spec;
pub mod fly_toml;
pub mod github;
mod interpolate;
mod known_secrets;
mod load;
mod locate;
mod lower;
mod reader;
pub mod schema;
pub mod syntax;
pub mod write;

pub use build_spec::{BuildSpec, FLY_REGISTRY};
pub use load::load;
pub use locate::SourcePosition;
pub use schema::{ReviewPolicy, json_schema::editor_schema};
pub use syntax::error::ManifestError;
pub use syntax::node::{Diagnostic, SourceFiles, SourceLocation};

/// The inputs of a manifest besides its files.
#[derive(Clone)]
pub struct Inputs {
    /// Values of variables, from `--var`.
    pub vars: BTreeMap<String, String>,
    /// Images by the key of the app, from `--image`.
    pub images: BTreeMap<String, String>,
    /// The process environment, with the variables of `--env-file`.
    pub process_environment: BTreeMap<String, String>,
    /// How secrets are read.
    pub secrets_mode: SecretsMode,
    /// Whether these inputs are for several environments, so that a variable that this one does not
    /// declare may belong to another.
    pub multiple_environments: bool,
}

impl std::fmt::Debug for Inputs {
    /// Shows only the names of environment variables, because the values include secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            vars,
            images,
            process_environment,
            secrets_mode,
            multiple_environments,
        } = self;
        f.debug_struct("Inputs")
            .field("vars", vars)
            .field("images", images)
            .field("process_environment", &process_environment.keys())
            .field("secrets_mode", secrets_mode)
            .field("multiple_environments", multiple_environments)
            .finish()
    }
}

/// How secrets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsMode {
    /// `plan` and `apply`: a required secret without a value is an error.
    Required,
    /// `drift`, `status`, `destroy`, `graph`: values are used where they exist.
    Lenient,
    /// `build`: the secrets of builds are required, and those of apps are used where they exist.
    Build,
    /// `validate`: sources are not read, and variables without a value take their example.
    Unchecked,
}

/// An environment that was loaded without errors.
#[derive(Clone, Debug)]
pub struct LoadedEnvironment {
    /// The resources that it defines.
    pub desired: Desired,
    /// The environment variable that holds the Fly token, when the manifest names one; else
    /// `FLY_API_TOKEN`.
    pub token_source: Option<TokenSource>,
    /// The files it was read from.
    pub files: SourceFiles,
    /// Where the manifest defines each resource.
    pub locations: BTreeMap<Address, SourceLocation>,
    /// Where an app or a cron machine sets its image; absent when `--image` does.
    pub image_locations: BTreeMap<Name, SourceLocation>,
    /// The manifest as it was read, with what it inherits.
    pub(crate) root: TomlNode,
    /// How GitHub deploys it.
    pub github: github::GithubSettings,
    /// How the images of apps are built, by app.
    pub builds: BTreeMap<Name, BuildSpec>,
    /// The path of the environment's own file.
    pub path: PathBuf,
}

/// Where the Fly token is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    /// The name of the environment variable.
    pub env: String,
}

/// Lists the environments of a folder: the stems of its TOML files, sorted, without those that
/// begin with `_` and are only inherited from.
///
/// # Errors
/// When the folder cannot be read.
pub fn list_environments(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut stems = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(stem) = stem
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
            && !stem.starts_with('_')
        {
            stems.push(stem.to_owned());
        }
    }
    stems.sort();
    Ok(stems)
}
