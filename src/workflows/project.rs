//! Joins what the manifests of a project say about GitHub. Each file can be right by itself, and
//! contradict another one.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::manifest::{
    LoadedEnvironment, ManifestError,
    github::{GithubDeployment, Install, SetupStep},
    schema::{Builder, CronSetting, GithubWorkflowsSection, slice_or_empty},
    syntax::node::{Diagnostic, SourceLocation},
};

/// What the workflows of a project are made from.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project's name.
    pub name: String,
    /// The folder of the manifests, from the root of the repository.
    pub folder: String,
    /// The environments that GitHub deals with, sorted by name.
    pub environments: Vec<ProjectEnvironment>,
    /// The settings of the whole project.
    pub section: GithubWorkflowsSection,
    /// Steps in every job.
    pub setup: Vec<SetupStep>,
    /// How trimtab is installed.
    pub install: Install,
}

/// An environment that GitHub deals with.
#[derive(Clone, Debug)]
pub struct ProjectEnvironment {
    /// The stem of its file.
    pub name: String,
    /// What its manifest says.
    pub deployment: GithubDeployment,
    /// Whether images are built before it is deployed.
    pub has_build: bool,
    /// Whether flyctl builds one of them; Docker is on GitHub's runners.
    pub uses_flyctl: bool,
}

impl Project {
    /// Joins the manifests of a project; none when no manifest says that GitHub deals with it.
    ///
    /// # Errors
    /// When two manifests contradict each other, or nothing says how trimtab is installed.
    pub fn from_manifests(
        manifests: &[LoadedEnvironment],
        folder: &str,
    ) -> Result<Option<Self>, ManifestError> {
        let mut sorted: Vec<&LoadedEnvironment> = manifests.iter().collect();
        sorted.sort_by_key(|loaded| stem(loaded));
        let Some(first) = sorted
            .iter()
            .find(|loaded| loaded.github.deployment.is_some())
        else {
            return Ok(None);
        };
        let section = join_sections(&sorted)?;
        let install = sorted
            .iter()
            .find_map(|loaded| loaded.github.workflows.install.clone());
        let Some(install) = install else {
            return Err(missing_install(first));
        };
        check_same_names(&sorted)?;
        let setup = sorted.iter().map(|loaded| &loaded.github.workflows.setup);
        let environments = sorted.iter().filter_map(|loaded| {
            Some(ProjectEnvironment {
                name: stem(loaded),
                deployment: loaded.github.deployment.clone()?,
                has_build: !loaded.builds.is_empty(),
                uses_flyctl: loaded
                    .builds
                    .values()
                    .any(|build| build.builder == Builder::FlyRemote),
            })
        });
        let project = Self {
            name: first.desired.meta.mark.project.clone(),
            folder: folder.to_owned(),
            environments: environments.collect(),
            section,
            setup: setup
                .clone()
                .find(|setup| !setup.is_empty())
                .cloned()
                .unwrap_or_default(),
            install,
        };
        check_sources(&project, &sorted)?;
        Ok(Some(project))
    }

    /// The labels of the runner.
    #[must_use]
    pub fn runner(&self) -> Vec<String> {
        match slice_or_empty(self.section.runner.as_ref()) {
            [] => vec!["ubuntu-24.04".to_owned()],
            labels => labels.to_vec(),
        }
    }

    /// Whether jobs use environments of GitHub.
    #[must_use]
    pub fn uses_environments(&self) -> bool {
        self.section.environments.unwrap_or(true)
    }

    /// The environment with the secrets that read.
    #[must_use]
    pub fn plan_environment(&self) -> &str {
        let stated = self.section.plan_environment.as_deref();
        stated.unwrap_or("trimtab-plan")
    }

    /// The branch that everything is merged into.
    #[must_use]
    pub fn default_branch(&self) -> &str {
        self.section.default_branch.as_deref().unwrap_or("main")
    }

    /// Whether pull requests show plans.
    #[must_use]
    pub fn shows_plans(&self) -> bool {
        self.section.plan.unwrap_or(true)
    }

    /// When drift is looked for.
    #[must_use]
    pub fn drift_schedule(&self) -> Option<String> {
        match &self.section.drift {
            Some(CronSetting::Enabled(false)) => None,
            Some(CronSetting::Cron(text)) => Some(text.clone()),
            Some(CronSetting::Enabled(true)) | None => {
                Some(super::drift::default_schedule(&self.name))
            }
        }
    }
}

fn stem(loaded: &LoadedEnvironment) -> String {
    let stem = loaded.path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Joins the sections: each key may stand in one manifest or in several, with one value.
fn join_sections(
    manifests: &[&LoadedEnvironment],
) -> Result<GithubWorkflowsSection, ManifestError> {
    let mut joined: BTreeMap<&str, (&Json, String)> = BTreeMap::new();
    let mut errors = None;
    for loaded in manifests {
        for (key, (value, location)) in &loaded.github.workflows.stated {
            let (first, place) = joined
                .entry(key)
                .or_insert_with(|| (value, describe_place(loaded, location)));
            if *first != value {
                errors = errors.or(Some(error_at(
                    loaded,
                    Some(location.clone()),
                    format!("`{key}` in [github.workflows] is the same for the whole project, and {place} says another value"),
                    "write it once, into a file that the manifests inherit from: `extends = \"_base.toml\"`",
                )));
            }
        }
    }
    if let Some(error) = errors {
        return Err(error);
    }
    let object: Map<String, Json> = joined
        .into_iter()
        .map(|(key, (value, _))| (key.to_owned(), value.clone()))
        .collect();
    // Each manifest was validated with these keys.
    Ok(serde_json::from_value(Json::Object(object)).unwrap_or_default())
}

/// Refuses manifests of different projects in one folder: their workflows would have the same names.
fn check_same_names(manifests: &[&LoadedEnvironment]) -> Result<(), ManifestError> {
    let dealt_with = || {
        let manifests = manifests.iter();
        manifests.filter(|loaded| loaded.github.deployment.is_some())
    };
    let name = |loaded: &LoadedEnvironment| loaded.desired.meta.mark.project.clone();
    let Some(first) = dealt_with().next() else {
        return Ok(());
    };
    match dealt_with().find(|loaded| name(loaded) != name(first)) {
        None => Ok(()),
        Some(other) => Err(error_at(
            other,
            deployment_location(other),
            format!(
                "this is project `{}`, and {} is project `{}`: one folder has the workflows of one project",
                name(other),
                first.path.display(),
                name(first)
            ),
            "give each project a folder of its own",
        )),
    }
}

/// Refuses a variable that two environments take from different places: one job plans both.
fn check_sources(project: &Project, manifests: &[&LoadedEnvironment]) -> Result<(), ManifestError> {
    let mut sources: BTreeMap<String, (String, &str)> = BTreeMap::new();
    for environment in &project.environments {
        let Some(loaded) = manifests
            .iter()
            .find(|loaded| stem(loaded) == environment.name)
        else {
            continue;
        };
        for (variable, source) in super::steps::read_variables(project, environment) {
            let (known, other) = sources
                .entry(variable.clone())
                .or_insert_with(|| (source.clone(), &environment.name));
            if *known != source {
                return Err(error_at(
                    loaded,
                    deployment_location(loaded),
                    format!(
                        "one job plans {other} and {}, and they take `{variable}` from different places: {known} and {source}",
                        environment.name
                    ),
                    "give each its own variable: for Fly's token, `token = { env = \"…\" }` in [fly]",
                ));
            }
        }
    }
    Ok(())
}

fn missing_install(loaded: &LoadedEnvironment) -> ManifestError {
    error_at(
        loaded,
        deployment_location(loaded),
        "nothing says how the jobs on GitHub install trimtab".to_owned(),
        "write `install = { git = \"https://…\", rev = \"…\" }` into [github.workflows], or `release`, `cargo`, `container` or `steps`",
    )
}

fn deployment_location(loaded: &LoadedEnvironment) -> Option<SourceLocation> {
    loaded.github.deployment.as_ref()?.location.clone()
}

fn describe_place(loaded: &LoadedEnvironment, location: &SourceLocation) -> String {
    let (line, column) = loaded.files.line_column(location);
    let path = loaded.files.get(location.file).path.display();
    format!("{path}:{line}:{column}")
}

fn error_at(
    loaded: &LoadedEnvironment,
    location: Option<SourceLocation>,
    message: String,
    help: &str,
) -> ManifestError {
    let diagnostic = Diagnostic {
        message,
        location,
        label: String::new(),
        help: Some(help.to_owned()),
    };
    ManifestError::new(loaded.files.clone(), vec![diagnostic])
}
