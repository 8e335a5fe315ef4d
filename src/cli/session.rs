//! What most commands begin with: a manifest that was read, a client that is connected, and a look at the world.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, PoisonError},
    time::Instant,
};

use clap::Args;

use super::{
    CommandContext, CommandError,
    connect::{self, Connection},
    images,
};
use crate::{
    clouds::{CloudReaders, RegistryClient, aws, fly},
    kinds::{Desired, World},
    lock::LockLease,
    manifest::{self, Inputs, LoadedEnvironment, SecretsMode, syntax::bounded_read},
    model::{Address, Image},
    observe::{self, ResolvedImages},
    plan::{self, Plan},
    render::Headline,
};
use trimtab_sandbox as sandbox;

/// Which environment, and with what.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArgs {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    pub(super) environment: String,
    #[command(flatten)]
    pub(super) inputs: InputArgs,
}

impl TargetArgs {
    /// The target as it is typed again.
    fn to_command_args(&self, context: &CommandContext<'_>, loaded: &LoadedEnvironment) -> String {
        let mut words = vec![self.environment.clone()];
        // Inputs that serve several environments are not all for this one.
        let meant = |name: &str| !self.inputs.shared || loaded.files.mentions_variable(name);
        let vars = self.inputs.vars.iter().filter(|(name, _)| meant(name));
        words.extend(vars.map(|(name, value)| format!("--var {name}={value}")));
        words.extend(
            self.inputs
                .images
                .iter()
                .map(|(app, image)| format!("--image {app}={image}")),
        );
        let global = &context.global;
        match &global.sandbox {
            Some(dir) if dir == Path::new(".trimtab/sandbox") => words.push("--sandbox".to_owned()),
            Some(dir) => words.push(format!("--sandbox={}", dir.display())),
            None => {}
        }
        if global.environments != Path::new("environments") {
            words.push(format!("--environments {}", global.environments.display()));
        }
        words.extend(
            global
                .env_file
                .iter()
                .map(|file| format!("--env-file {}", file.display())),
        );
        words.join(" ")
    }
}

/// What a manifest leaves open.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct InputArgs {
    /// Set a variable of the manifest; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_name_value)]
    pub(super) vars: Vec<(String, String)>,
    /// Use this image for an app; repeatable
    #[arg(long = "image", value_name = "APP=REFERENCE", value_parser = parse_name_value)]
    pub(super) images: Vec<(String, String)>,
    /// Whether they are meant for every environment there is.
    #[arg(skip)]
    pub(super) shared: bool,
}

/// What may be done that is otherwise refused.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct AllowArgs {
    /// Only these resources, and what they need; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) only: Vec<Address>,
    /// Take over an app, a bucket or a role that bears no mark; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) adopt: Vec<Address>,
    /// Allow the loss of this resource's data; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) allow_destroy: Vec<Address>,
    /// The largest share of the environment, in percent, that may be removed
    #[arg(long, value_name = "PERCENT", default_value_t = plan::Limits::DEFAULT_MAX_DESTROY)]
    pub(super) max_destroy: u32,
    /// Whether the whole environment goes.
    #[arg(skip)]
    pub(super) whole_environment: bool,
}

impl AllowArgs {
    pub(super) fn limits(&self) -> plan::Limits {
        plan::Limits {
            allow_destroy: self.allow_destroy.iter().cloned().collect(),
            destroy_all: self.whole_environment,
            max_destroy: self.max_destroy,
        }
    }
}

fn parse_name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// The variables of a dotenv file.
pub(super) fn read_env_file(file: &Path) -> Result<BTreeMap<String, String>, CommandError> {
    let wrong = |why: String| CommandError::new(format!("cannot read {}: {why}", file.display()));
    let text = bounded_read::read_user_file(file).map_err(|error| wrong(error.to_string()))?;
    manifest::syntax::dotenv::parse(&text)
        .map_err(|line| wrong(format!("line {line} is not of the form NAME=VALUE")))
}

/// A manifest and a connected client.
pub(super) struct Session {
    pub(super) loaded: LoadedEnvironment,
    /// The target as it was typed, for the next command.
    target_args: String,
    uses_sandbox: bool,
    pub(super) readers: CloudReaders,
    registry: RegistryClient,
    /// What the registries said, asked once: what is verified is what was planned, whatever a tag means meanwhile.
    images: tokio::sync::OnceCell<ResolvedImages>,
    /// Whether an image that cannot be looked up is passed over, as secrets without a value are.
    lenient: bool,
    sandbox: Option<sandbox::RunningSandbox>,
    /// When it was opened.
    pub(super) started_at: Instant,
    /// How much faster than Fly the server runs.
    pub(super) speed: f64,
    /// The lock of the environment, while it is ours.
    lock: std::sync::Mutex<Option<Arc<LockLease>>>,
    /// What ends the process at a signal while nothing is written.
    exit_task: std::sync::Mutex<Option<tokio::task::AbortHandle>>,
}

impl Session {
    /// Reads the manifest and connects.
    pub(super) async fn open(
        context: &CommandContext<'_>,
        target: &TargetArgs,
        secrets: SecretsMode,
        adopt: &[Address],
    ) -> Result<Self, CommandError> {
        let begun = Instant::now();
        let mut loaded = load_manifest(context, &target.environment, &target.inputs, secrets)?;
        loaded.desired.meta.adopt.extend(adopt.iter().cloned());
        let Connection {
            fly: settings,
            aws,
            sandbox,
        } = match &context.global.sandbox {
            Some(dir) => {
                connect::connect_embedded_sandbox(&context.environment, dir, &loaded.desired.meta)
                    .await?
            }
            None => connect::connect_clouds(&context.environment, &loaded)?,
        };
        let (fly, registry) = (
            fly::FlyReader::new(&settings)?,
            RegistryClient::new(&settings)?,
        );
        let aws = match aws {
            Some(settings) => Some(aws::AwsReader::new(settings, &fly).await?),
            None => None,
        };
        let readers = CloudReaders { fly, aws };
        let (images, lenient) = (
            tokio::sync::OnceCell::new(),
            secrets != SecretsMode::Required,
        );
        let on_sandbox = context.global.sandbox.is_some();
        let again = target.to_command_args(context, &loaded);
        let speed = settings.speed;
        Ok(Self {
            loaded,
            target_args: again,
            uses_sandbox: on_sandbox,
            readers,
            registry,
            images,
            lenient,
            sandbox,
            started_at: begun,
            speed,
            lock: std::sync::Mutex::default(),
            exit_task: std::sync::Mutex::default(),
        })
    }

    /// Looks at the world.
    pub(super) async fn observe(
        &self,
        context: &CommandContext<'_>,
    ) -> Result<World, CommandError> {
        let spinner = context
            .ui
            .start_spinner(&format!("looking at {}", self.loaded.desired.meta.org));
        let world = observe::observe(&self.readers, &self.loaded.desired).await;
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        Ok(world?)
    }

    /// Looks at the world, and at the same time at the images that are asked for.
    pub(super) async fn observe_with_images(
        &self,
        context: &CommandContext<'_>,
        desired: &Desired,
    ) -> Result<World, CommandError> {
        let images = self
            .images
            .get_or_init(|| observe::resolve_images(&self.registry, desired));
        let (world, _) = tokio::join!(self.observe(context), images);
        world
    }

    /// Replaces what ends the process at a signal; nothing does while something is written.
    pub(super) fn set_exit_task(&self, ends: Option<tokio::task::AbortHandle>) {
        let mut there = self
            .exit_task
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *there, ends) {
            old.abort();
        }
    }

    /// Keeps a lock that was taken.
    pub(super) fn store_lock(&self, lock: Arc<LockLease>) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
    }

    /// The lock, if it is ours.
    pub(super) fn lock(&self) -> Option<Arc<LockLease>> {
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Gives the lock back, if it is ours.
    pub(super) async fn unlock(&self) {
        let lock = self
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(lock) = lock {
            // What is not given back runs out by itself.
            if let Err(error) = lock.release().await {
                tracing::warn!(%error, "the lock was not given back");
            }
        }
    }

    /// Makes sure that these images are still in their registries.
    pub(super) async fn check_images_exist(
        &self,
        images: BTreeSet<Image>,
    ) -> Result<(), CommandError> {
        let looks = images
            .iter()
            .map(|image| self.registry.resolve_digest(image));
        for (image, found) in images
            .iter()
            .zip(futures_util::future::join_all(looks).await)
        {
            match found {
                Err(error) if error.is_not_found() => {
                    return Err(CommandError::new(format!("there is no image `{image}` any more"))
                        .with_hint("its registry has deleted it: push it again, or go back to another release"));
                }
                // A registry that does not answer now may well answer Fly.
                Err(error) => tracing::warn!(%error, "an image could not be looked up"),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Compares, and narrows when only a part is wanted.
    pub(super) fn plan(
        &self,
        desired: &Desired,
        world: &World,
        only: &[Address],
    ) -> Result<Plan, CommandError> {
        check_known_addresses(only, desired, world)?;
        let mut desired = desired.clone();
        if let Some(found) = self.images.get() {
            if !self.lenient {
                images::check_missing_images(&self.loaded, found)?;
            }
            found.pin_digests(&mut desired);
            desired.meta.warnings.extend(found.warnings(self.lenient));
        }
        let mut plan = plan::plan(&desired, world)?;
        plan.findings
            .warnings
            .extend(desired.meta.warnings.iter().cloned());
        Ok(if only.is_empty() {
            plan
        } else {
            plan.only(only)
        })
    }

    /// The facts of the headline.
    pub(super) fn headline(&self, command: &'static str) -> Headline {
        let meta = &self.loaded.desired.meta;
        Headline {
            command,
            environment: meta.mark.environment.clone(),
            project: meta.mark.project.clone(),
            org: meta.org.clone(),
            target: if self.uses_sandbox {
                "sandbox".to_owned()
            } else {
                String::new()
            },
            target_args: self.target_args.clone(),
            requests: self.readers.fly.request_count() + self.registry.request_count(),
            elapsed: Some(self.started_at.elapsed()),
        }
    }

    /// Stops the embedded sandbox, if there is one, so that its folder is free again.
    pub(super) async fn close(self) {
        self.unlock().await;
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

/// Refuses addresses that name nothing: with a typing error, a part of a plan would be empty and look done.
pub(super) fn check_known_addresses(
    wanted: &[Address],
    desired: &Desired,
    world: &World,
) -> Result<(), CommandError> {
    match plan::unknown_addresses(wanted, desired, world).first() {
        None => Ok(()),
        Some(stranger) => Err(CommandError::new(format!("there is no {stranger}, in the manifest or live")).with_hint(
            "`plan --format json` lists the addresses; an app's covers everything in it, as in fly.app/web",
        )),
    }
}

/// The environments that were named, or all there are.
pub(super) fn resolve_environments(
    context: &CommandContext<'_>,
    named: &[String],
) -> Result<Vec<String>, CommandError> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let dir = &context.global.environments;
    let all = manifest::list_environments(dir).map_err(|error| {
        CommandError::new(format!("cannot read {}: {error}", dir.display()))
            .with_hint(NO_MANIFESTS_HINT)
    })?;
    if all.is_empty() {
        return Err(
            CommandError::new(format!("there are no manifests in {}", dir.display()))
                .with_hint(NO_MANIFESTS_HINT),
        );
    }
    Ok(all)
}

/// What to do where no manifests are.
const NO_MANIFESTS_HINT: &str = "run trimtab where the manifests are, or say --environments DIR; `trimtab demo` makes an example";

/// Reads one manifest.
pub(super) fn load_manifest(
    context: &CommandContext<'_>,
    environment: &str,
    inputs: &InputArgs,
    secrets: SecretsMode,
) -> Result<LoadedEnvironment, CommandError> {
    let dir = &context.global.environments;
    if !dir.is_dir() {
        return Err(
            CommandError::new(format!("there is no folder {}", dir.display()))
                .with_hint(NO_MANIFESTS_HINT),
        );
    }
    let inputs = Inputs {
        vars: inputs.vars.iter().cloned().collect(),
        images: inputs.images.iter().cloned().collect(),
        process_environment: context.environment.as_map().clone(),
        secrets_mode: secrets,
        multiple_environments: inputs.shared,
    };
    Ok(manifest::load(dir, environment, &inputs)?)
}
