//! Which builds there are: apps that say the same share one build, and its image.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{BuildOptions, BuildSelection, OperationError, commit::BuildCommit};
use crate::{
    manifest::{BuildSpec, LoadedEnvironment},
    model::{Name, Secret},
};

/// How many hexadecimal digits of the settings' hash stand in a tag: two builds of one commit hardly ever share them.
const SETTINGS_DIGITS: usize = 8;

/// The apps that share one build.
#[derive(Debug)]
pub(super) struct BuildGroup<'a> {
    /// The selected apps.
    pub(super) apps: Vec<Name>,
    pub(super) spec: &'a BuildSpec,
    /// Where the image is pushed.
    pub(super) repository: String,
}

impl BuildGroup<'_> {
    /// The apps, for messages.
    pub(super) fn names(&self) -> String {
        join_names(&self.apps)
    }
}

pub(super) fn join_names(apps: &[Name]) -> String {
    let names: Vec<&str> = apps.iter().map(Name::as_str).collect();
    names.join(", ")
}

/// The builds of the selected apps.
pub(super) fn select<'a>(
    loaded: &'a LoadedEnvironment,
    options: &BuildOptions,
) -> Result<Vec<BuildGroup<'a>>, OperationError> {
    check_selection(loaded, options)?;
    let mut groups: Vec<BuildGroup<'a>> = Vec::new();
    for (app, spec) in &loaded.builds {
        match groups.iter_mut().find(|group| is_same(group.spec, spec)) {
            Some(group) => group.apps.push(app.clone()),
            // The repository of the first app, also when another one is selected: the image is found there again.
            None => groups.push(BuildGroup {
                apps: vec![app.clone()],
                spec,
                repository: spec.repository(),
            }),
        }
    }
    let is_selected = |app: &Name| options.apps.contains(app) && !options.given.contains(app);
    for group in &mut groups {
        group.apps.retain(&is_selected);
    }
    groups.retain(|group| !group.apps.is_empty());
    Ok(groups)
}

fn check_selection(
    loaded: &LoadedEnvironment,
    options: &BuildOptions,
) -> Result<(), OperationError> {
    let buildable: Vec<Name> = loaded.builds.keys().cloned().collect();
    if buildable.is_empty() {
        return Err(OperationError::invalid(
            format!("no app of {} says how it is built", loaded.path.display()),
            "write [apps.KEY.build] with `context = \"..\"`, the folder of the Dockerfile relative to the manifest",
        ));
    }
    let BuildSelection::Named(named) = &options.apps else {
        return Ok(());
    };
    let Some(unknown) = named.iter().find(|app| !buildable.contains(app)) else {
        return Ok(());
    };
    let message = if loaded.desired.fly_app.contains_key(unknown) {
        format!("app {unknown} does not say how it is built")
    } else {
        format!("there is no app {unknown} in {}", loaded.path.display())
    };
    Err(OperationError::invalid(
        message,
        format!("these say it: {}", join_names(&buildable)),
    ))
}

/// Whether two apps have one build. Where they push to may differ only because each has a repository of its own.
fn is_same(one: &BuildSpec, other: &BuildSpec) -> bool {
    let BuildSpec {
        builder,
        context,
        dockerfile,
        ignorefile,
        target,
        args,
        secrets,
        repository,
        app: _,
        fly_toml,
    } = one;
    *builder == other.builder
        && *context == other.context
        && *dockerfile == other.dockerfile
        && *ignorefile == other.ignorefile
        && *target == other.target
        && *args == other.args
        && exposed(secrets) == exposed(&other.secrets)
        && *repository == other.repository
        && *fly_toml == other.fly_toml
}

fn exposed(secrets: &BTreeMap<String, Option<Secret>>) -> Vec<(&str, Option<&str>)> {
    let secrets = secrets.iter();
    secrets
        .map(|(id, value)| (id.as_str(), value.as_ref().map(Secret::expose)))
        .collect()
}

/// The files of a build, which exist.
#[derive(Debug)]
pub(super) struct BuildPaths {
    pub(super) context: PathBuf,
    pub(super) dockerfile: Option<PathBuf>,
    pub(super) ignorefile: Option<PathBuf>,
    pub(super) fly_toml: Option<PathBuf>,
}

impl BuildPaths {
    /// Finds them, as absolute paths: builders resolve relative ones in different folders.
    pub(super) fn find(spec: &BuildSpec, apps: &[Name]) -> Result<Self, OperationError> {
        let names = join_names(apps);
        let find = |path: &Path, what: &str| {
            let path = if path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                path
            };
            std::fs::canonicalize(path).map_err(|error| {
                OperationError::invalid(
                    format!("cannot build {names}: {what} {}: {error}", path.display()),
                    "paths are relative to the file that names them",
                )
            })
        };
        let optional = |path: &Option<PathBuf>, what: &str| {
            path.as_deref().map(|path| find(path, what)).transpose()
        };
        let paths = Self {
            context: find(&spec.context, "the context")?,
            dockerfile: optional(&spec.dockerfile, "the Dockerfile")?,
            ignorefile: optional(&spec.ignorefile, "the ignore file")?,
            fly_toml: optional(&spec.fly_toml, "the fly.toml")?,
        };
        if !paths.context.is_dir() {
            return Err(OperationError::invalid(
                format!(
                    "cannot build {names}: the context {} is not a folder",
                    paths.context.display()
                ),
                "name the folder that is sent to the builder: `context = \"..\"`",
            ));
        }
        let has_default = || {
            ["Dockerfile", "dockerfile"]
                .iter()
                .any(|name| paths.context.join(name).is_file())
        };
        if paths.dockerfile.is_none() && !spec.is_of_fly_toml() && !has_default() {
            return Err(OperationError::invalid(
                format!(
                    "cannot build {names}: there is no Dockerfile in {}",
                    paths.context.display()
                ),
                "write one, or name it: `dockerfile = \"…\"` in [apps.KEY.build], relative to the manifest",
            ));
        }
        Ok(paths)
    }

    /// The files and folders of a checkout whose changes change the image.
    pub(super) fn files_in<'a>(&'a self, root: &'a Path) -> impl Iterator<Item = &'a Path> {
        let others = [&self.dockerfile, &self.ignorefile, &self.fly_toml];
        let others = others.into_iter().flatten();
        std::iter::once(&self.context)
            .chain(others)
            .map(PathBuf::as_path)
            .filter(move |path| path.starts_with(root))
    }
}

/// The tag of an image: its commit, and a hash of the settings of the build. One commit may have several images in one
/// repository, such as for other arguments or another stage.
pub(super) fn tag(spec: &BuildSpec, paths: &BuildPaths, commit: &BuildCommit) -> String {
    let relative = |path: &Path| {
        let root = commit.root.as_deref();
        let inside = root.and_then(|root| path.strip_prefix(root).ok());
        inside.unwrap_or(path).display().to_string()
    };
    let optional = |path: &Option<PathBuf>| path.as_deref().map(relative);
    let secrets: Vec<&String> = spec.secrets.keys().collect();
    let settings = serde_json::json!([
        relative(&paths.context),
        optional(&paths.dockerfile),
        optional(&paths.ignorefile),
        optional(&paths.fly_toml),
        spec.target,
        spec.args,
        secrets,
    ]);
    let hash = Sha256::digest(settings.to_string());
    let hash: String = hash
        .iter()
        .take(SETTINGS_DIGITS / 2)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let dirty = if commit.is_dirty { "-dirty" } else { "" };
    format!("{}{dirty}-{hash}", commit.id)
}
