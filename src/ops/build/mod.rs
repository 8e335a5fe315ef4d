//! Builds the images of apps with the user's own builder, pushes them under a tag that the commit gives, and finds their
//! digests. What is built already is not built again.

mod command;
mod commit;
mod failure;
mod group;
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use self::{command::BuildCommand, group::BuildGroup, process::Ended};
use super::{OperationError, Workspace};
use crate::{
    clouds::{CloudError, ErrorKind},
    manifest::{BuildSpec, FLY_REGISTRY},
    model::{Image, Name, Secret, contains_secret},
};

/// What to build, and with what.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The apps to build.
    pub apps: BuildSelection,
    /// The apps whose image is given, so that nothing is built for them.
    pub given: BTreeSet<Name>,
    /// Whether an image is built although the registry has one for this commit.
    pub force: bool,
    /// The commit, where the checkout itself does not say.
    pub commit: Option<String>,
    /// Whether a pipeline runs this. Nobody edits files there, so what is not tracked comes from earlier steps.
    pub is_pipeline: bool,
    /// The token that flyctl gets in its environment.
    pub fly_token: Secret,
    /// The variables of this process that hold secrets: a builder runs programs of others, so it sees none of them.
    pub withheld_variables: Vec<String>,
    /// Whether every image exists and nothing may be pushed, as in the embedded sandbox.
    pub is_sandbox: bool,
}

/// The apps to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildSelection {
    /// All that say how they are built.
    All,
    /// These, each of which has to say it.
    Named(BTreeSet<Name>),
    /// Those of these names that say it.
    Among(BTreeSet<Name>),
}

impl BuildSelection {
    fn contains(&self, app: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Named(apps) | Self::Among(apps) => apps.contains(app),
        }
    }
}

/// Something that happens in a build.
#[derive(Debug)]
pub enum BuildEvent<'a> {
    /// Files differ from the commit, so the tag says so, and the image is built in any case.
    DirtyTree {
        /// The folder.
        context: PathBuf,
    },
    /// The registry has the image already.
    Exists {
        /// The apps that get it.
        apps: &'a [Name],
        /// The image.
        image: &'a Image,
    },
    /// A builder starts.
    Building {
        /// The apps that get the image.
        apps: &'a [Name],
        /// The image.
        image: &'a Image,
        /// The program and its first words.
        program: String,
    },
    /// The builder has written a line.
    Output(&'a str),
}

/// Shows what a build does.
pub trait BuildFrontend: Sync {
    /// Shows an event.
    fn notify(&self, event: BuildEvent<'_>);

    /// Waits until the user has asked this often to end.
    fn interrupted(&self, count: u32) -> impl Future<Output = ()> + Send;
}

/// An image with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// The reference, with tag and digest.
    pub image: Image,
    /// The commit that it is built from.
    pub commit: String,
    /// Whether files differed from the commit.
    pub is_dirty: bool,
    /// Whether it was built now.
    pub is_new: bool,
}

/// Builds the images of the selected apps. Apps that share one build share the image.
///
/// # Errors
/// When an app cannot be built, the builder fails or is missing, or its image is not in the registry afterwards.
pub async fn build<F: BuildFrontend>(
    workspace: &Workspace,
    options: &BuildOptions,
    frontend: &F,
) -> Result<BTreeMap<Name, BuiltImage>, OperationError> {
    let groups = group::select(&workspace.loaded, options)?;
    let mut images = BTreeMap::new();
    for group in &groups {
        let build = OneBuild {
            workspace,
            options,
            group,
            frontend,
        };
        let built = build.run().await?;
        images.extend(group.apps.iter().map(|app| (app.clone(), built.clone())));
    }
    Ok(images)
}

/// One build, for the apps that share it.
struct OneBuild<'a, F> {
    workspace: &'a Workspace,
    options: &'a BuildOptions,
    group: &'a BuildGroup<'a>,
    frontend: &'a F,
}

impl<F: BuildFrontend> OneBuild<'_, F> {
    async fn run(&self) -> Result<BuiltImage, OperationError> {
        let spec = self.group.spec;
        let paths = group::BuildPaths::find(spec, &self.group.apps)?;
        let commit = commit::find(&paths, self.options)?;
        if commit.is_dirty {
            let context = paths.context.clone();
            self.frontend.notify(BuildEvent::DirtyTree { context });
        }
        let tag = group::tag(spec, &paths, &commit);
        let image = Image::new(format!("{}:{tag}", self.group.repository));
        let built = |digest: &str, is_new| BuiltImage {
            image: image.pinned(digest),
            commit: commit.id.clone(),
            is_dirty: commit.is_dirty,
            is_new,
        };
        // Two states of a tree that differs from its commit have the same tag.
        if !self.options.force
            && !commit.is_dirty
            && let Some(digest) = self.find_existing(&image).await?
        {
            let apps = &self.group.apps;
            self.frontend.notify(BuildEvent::Exists {
                apps,
                image: &image,
            });
            return Ok(built(&digest, false));
        }
        self.check_can_push(&image).await?;
        let command = BuildCommand::new(spec, &paths, &image, &tag, &self.options.fly_token)?;
        self.check_arguments(&command)?;
        let digest = self.execute(&command, &image).await?;
        Ok(built(&digest, true))
    }

    /// The digest of an image that the registry has. Registries that hide what does not exist say that it may not be seen.
    async fn find_existing(&self, image: &Image) -> Result<Option<String>, OperationError> {
        match self.workspace.registry.resolve_digest(image).await {
            Ok(digest) => Ok(Some(digest)),
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks before the build what would fail only at its end.
    async fn check_can_push(&self, image: &Image) -> Result<(), OperationError> {
        if self.options.is_sandbox {
            return Err(OperationError::invalid(
                format!(
                    "cannot build {image} in the sandbox, which has every image and takes none"
                ),
                "leave --force out and commit what has changed, or leave --sandbox out",
            ));
        }
        if image.registry() != FLY_REGISTRY {
            return Ok(());
        }
        let repository = image.repository().into_owned();
        let org = &self.workspace.desired().meta.org;
        match self.workspace.readers.fly.get_app(&repository).await {
            Err(error) if error.is_not_found() => Err(OperationError::invalid(
                format!(
                    "cannot push to {FLY_REGISTRY}/{repository}: there is no app {repository} yet"
                ),
                format!(
                    "make it once with `fly apps create {repository} --org {org}`: the first apply takes over an app with \
                     nothing in it"
                ),
            )),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Refuses a secret in an argument, which every process of the machine can read.
    fn check_arguments(&self, command: &BuildCommand) -> Result<(), OperationError> {
        let mut words = command.programs.iter().flat_map(|program| &program.args);
        match words.find(|word| contains_secret(word)) {
            None => Ok(()),
            Some(_) => Err(OperationError::invalid(
                format!(
                    "the build of {} would get a secret as an argument, which other processes can read and the image keeps",
                    self.group.names()
                ),
                "move it from `args` to [apps.KEY.build.secrets], with a builder that takes secrets: `buildx` or `docker`",
            )),
        }
    }

    /// Runs the builder, and finds the digest of what it has pushed.
    async fn execute(
        &self,
        command: &BuildCommand,
        image: &Image,
    ) -> Result<String, OperationError> {
        for program in &command.programs {
            self.frontend.notify(BuildEvent::Building {
                apps: &self.group.apps,
                image,
                program: program.title(),
            });
            match process::run(program, &self.options.withheld_variables, self.frontend).await {
                Ok(Ended::Success) => {}
                Ok(Ended::Interrupted) => {
                    return Err(OperationError::incomplete(
                        format!("stopped by a signal while {image} was being built"),
                        "run the same command again",
                    ));
                }
                Ok(Ended::Failure { status, last_lines }) => {
                    return Err(failure::failed(
                        self.workspace,
                        program,
                        image,
                        &status,
                        &last_lines,
                    ));
                }
                Err(error) => return Err(failure::not_started(program, &error)),
            }
        }
        // The builder knows what it has pushed, even if somebody has moved the tag since.
        let pushed = match command.read_digest()? {
            Some(digest) => image.pinned(&digest),
            None => image.clone(),
        };
        let registry = &self.workspace.registry;
        let looked_up = registry.resolve_digest(&pushed).await;
        looked_up.map_err(|error| missing_after_push(&pushed, error))
    }
}

/// The error for an image that the builder has pushed, and that cannot be found.
fn missing_after_push(image: &Image, error: CloudError) -> OperationError {
    match error.kind {
        ErrorKind::NotFound => OperationError::invalid(
            format!("the builder has ended without an error, and there is no image {image}"),
            "look at its output above: it has to push the image",
        ),
        ErrorKind::PermissionDenied if image.registry() != FLY_REGISTRY => OperationError::invalid(
            format!("{image} is pushed, and it is not public, so Fly cannot pull it"),
            format!(
                "make the repository public, or push to {FLY_REGISTRY}: leave `repository` out"
            ),
        ),
        _ => error.into(),
    }
}

impl BuildSpec {
    /// Whether flyctl reads the build from the app's fly.toml.
    fn is_of_fly_toml(&self) -> bool {
        self.fly_toml.is_some()
    }
}
