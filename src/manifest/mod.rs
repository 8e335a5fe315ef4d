//! TOML to [`Desired`]: reading, checking and lowering of manifests.
//!
//! A manifest is read with what it inherits (`read`), its references are resolved (`interpolate`), its shape is
//! checked against the schema (`validate`), and only then is it lowered to resources (`lower`), where everything
//! that Fly would refuse is refused before any request. All problems are collected, and each has a place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    kinds::Desired,
    model::{Address, Name},
};

mod aws_references;
pub mod fly_toml;
mod interpolate;
mod load;
mod lower;
mod reader;
pub mod schema;
pub mod syntax;

pub use load::load;
pub use schema::json_schema::editor_schema;
pub use syntax::error::ManifestError;
pub use syntax::node::{Diagnostic, SourceFiles, SourceLocation};

/// What a manifest takes from outside.
#[derive(Clone)]
pub struct Inputs {
    /// Values of variables, from `--var`.
    pub vars: BTreeMap<String, String>,
    /// Images by app, from `--image`.
    pub images: BTreeMap<String, String>,
    /// The process environment, and what `--env-file` adds to it.
    pub process_environment: BTreeMap<String, String>,
    /// What becomes of secrets.
    pub secrets_mode: SecretsMode,
    /// Whether these inputs serve several environments, so that a variable which this one does not declare is meant
    /// for another.
    pub multiple_environments: bool,
}

impl std::fmt::Debug for Inputs {
    /// Of the environment, where secrets are, only the names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            vars,
            images,
            process_environment: environment,
            secrets_mode: secrets,
            multiple_environments: shared,
        } = self;
        f.debug_struct("Inputs")
            .field("vars", vars)
            .field("images", images)
            .field("environment", &environment.keys())
            .field("secrets", secrets)
            .field("shared", shared)
            .finish()
    }
}

/// What becomes of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsMode {
    /// `plan` and `apply`: a required secret without a value is an error.
    Required,
    /// `drift`, `status`, `destroy`, `graph`: a value is used where there is one.
    Lenient,
    /// `validate`: sources are not read, and variables without a value take their example.
    Unchecked,
}

/// An environment that was read.
#[derive(Clone, Debug)]
pub struct LoadedEnvironment {
    /// What it asks for.
    pub desired: Desired,
    /// The environment variable that holds the Fly token, when the manifest names one; else `FLY_API_TOKEN`.
    pub token_source: Option<TokenSource>,
    /// The files it was read from.
    pub files: SourceFiles,
    /// Which place of the manifest made a resource.
    pub locations: BTreeMap<Address, SourceLocation>,
    /// Where an app or a cron machine names its image; none where `--image` does.
    pub image_locations: BTreeMap<Name, SourceLocation>,
    /// The environment's own file.
    pub path: PathBuf,
}

/// Where the Fly token is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    /// The environment variable.
    pub env: String,
}

/// The environments of a folder: the stems of its TOML files, sorted, without those that are only inherited from.
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
