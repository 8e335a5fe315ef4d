//! What most commands begin with: the arguments that name an environment, its manifest, and connected clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use clap::Args;

use super::{
    CommandContext, CommandError, clock,
    connect::{self, Connection},
    run_identity,
    signals::{EndAtSignal, SignalCounter},
    ui::Spinner,
};
use crate::{
    clouds::{CloudReaders, RegistryClient, aws, fly},
    kinds::{Desired, World, fly::secrets::SecretsSpec, postgres::Database},
    manifest::{self, Inputs, LoadedEnvironment, SecretsMode, syntax::bounded_read},
    model::{Address, Secret, contains_secret, register_public_name},
    ops::{Workspace, WorkspaceOptions, check_known_addresses},
    plan::{self, Plan},
    render::Headline,
};
use trimtab_sandbox as sandbox;

pub(super) use super::input_args::InputArgs;

/// The environment, and its inputs.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArgs {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    pub(super) environment: String,
    #[command(flatten)]
    pub(super) inputs: InputArgs,
}

impl TargetArgs {
    /// The arguments that name the same target again, for the commands that messages suggest.
    fn to_command_args(&self, context: &CommandContext<'_>, loaded: &LoadedEnvironment) -> String {
        let mut words = vec![self.environment.clone()];
        // With several environments, a variable may be for another one.
        let applies =
            |name: &str| !self.inputs.multiple_environments || loaded.files.mentions_variable(name);
        let vars = self.inputs.vars.iter().filter(|(name, _)| applies(name));
        words.extend(vars.map(|(name, value)| format!("--var {name}={}", shown_value(value))));
        let images = self.inputs.images();
        words.extend(images.map(|(app, image)| format!("--image {app}={}", shown_value(image))));
        words.extend(global_command_args(context));
        words.join(" ")
    }
}

/// The global options that a command which messages suggest needs as well.
pub(super) fn global_command_args(context: &CommandContext<'_>) -> Vec<String> {
    let global = &context.global;
    let mut words = Vec::new();
    match &global.sandbox {
        Some(dir) if dir == Path::new(".trimtab/sandbox") => words.push("--sandbox".to_owned()),
        Some(dir) => words.push(format!("--sandbox={}", dir.display())),
        None => {}
    }
    if global.environments != Path::new("environments") {
        words.push(format!("--environments {}", global.environments.display()));
    }
    let files = global.env_file.iter();
    words.extend(files.map(|file| format!("--env-file {}", file.display())));
    words
}

/// The value of an option in a command that a message suggests: as a shell has to be given it, or `…` where it is a secret.
fn shown_value(value: &str) -> String {
    if contains_secret(value) {
        return "…".to_owned();
    }
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    if value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

/// What to plan, and what the guard allows.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct PlanningArgs {
    /// Only these resources, and what they need; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) only: Vec<Address>,
    /// Take over an app, a bucket or a role without an owner; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) adopt: Vec<Address>,
    /// Make a new password for this database, or a new value for this generated secret; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) rotate: Vec<Address>,
    /// Ask the Postgres clusters that run for their roles and databases; one that sleeps is not woken
    #[arg(long)]
    pub(super) deep: bool,
    /// Allow the loss of this resource's data; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub(super) allow_destroy: Vec<Address>,
    /// The largest share of the environment, in percent, that may be deleted
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = plan::Limits::DEFAULT_MAX_DESTROY,
        value_parser = parse_percent
    )]
    pub(super) max_destroy: u32,
}

impl PlanningArgs {
    pub(super) fn limits(&self) -> plan::Limits {
        plan::Limits {
            allow_destroy: self.allow_destroy.iter().cloned().collect(),
            destroy_all: false,
            max_destroy: self.max_destroy,
        }
    }
}

/// Refuses to rotate what is not made by trimtab.
fn check_rotatable(wanted: &[Address], desired: &Desired) -> Result<(), CommandError> {
    let databases = desired
        .postgres_database
        .keys()
        .map(Address::new::<Database>);
    let secrets = desired
        .fly_secrets
        .values()
        .flat_map(SecretsSpec::rotatable_secrets);
    let rotatable: BTreeSet<Address> = databases.chain(secrets).collect();
    let Some(unknown) = wanted.iter().find(|address| !rotatable.contains(address)) else {
        return Ok(());
    };
    let known: Vec<String> = rotatable.iter().map(ToString::to_string).collect();
    Err(CommandError::new(format!(
        "--rotate {unknown}: there is no database or generated secret of this name"
    ))
    .with_hint(match known.is_empty() {
        true => "only a database, or a secret with `generate`, gets a new value".to_owned(),
        false => format!("these get a new value: {}", known.join(", ")),
    }))
}

fn parse_percent(text: &str) -> Result<u32, String> {
    let percent = text.parse().ok().filter(|percent| *percent <= 100);
    percent
        .ok_or_else(|| "it is a whole number from 0 to 100, without a sign for percent".to_owned())
}

/// Reads the variables of a dotenv file.
pub(super) fn read_env_file(file: &Path) -> Result<BTreeMap<String, String>, CommandError> {
    let wrong = |why: String| CommandError::new(format!("cannot read {}: {why}", file.display()));
    let text = bounded_read::read_user_file(file).map_err(|error| wrong(error.to_string()))?;
    manifest::syntax::dotenv::parse(&text).map_err(|error| wrong(error.to_string()))
}

/// A workspace, and what the command line adds to it: how to repeat the command, and the embedded sandbox.
pub(super) struct Session {
    pub(super) workspace: Workspace,
    /// The target as it was typed, for the commands that messages suggest.
    target_args: String,
    /// The address of the sandbox, which then stands in for GitHub as well.
    sandbox_url: Option<String>,
    sandbox: Option<sandbox::RunningSandbox>,
    /// The signals since something may have been written; nothing before.
    signals: OnceLock<SignalCounter>,
    /// Ends the process at a signal until then, where an earlier part of the command has counted them.
    ends_at_signal: Mutex<Option<EndAtSignal>>,
    fly_token: Secret,
}

impl Session {
    /// Reads the manifest and connects.
    pub(super) async fn open(
        context: &CommandContext<'_>,
        target: &TargetArgs,
        secrets_mode: SecretsMode,
        planning: &PlanningArgs,
    ) -> Result<Self, CommandError> {
        let loaded = load_manifest(context, &target.environment, &target.inputs, secrets_mode)?;
        Self::open_loaded(context, target, loaded, secrets_mode, planning).await
    }

    /// Connects for a manifest that was read.
    pub(super) async fn open_loaded(
        context: &CommandContext<'_>,
        target: &TargetArgs,
        mut loaded: LoadedEnvironment,
        secrets_mode: SecretsMode,
        planning: &PlanningArgs,
    ) -> Result<Self, CommandError> {
        let started_at = Instant::now();
        check_no_twin(context, &target.environment, &loaded)?;
        check_known_addresses(&planning.adopt, &loaded.desired, &World::default())?;
        check_rotatable(&planning.rotate, &loaded.desired)?;
        let meta = &mut loaded.desired.meta;
        meta.rotate.extend(planning.rotate.iter().cloned());
        meta.deep = planning.deep;
        meta.adopt.extend(planning.adopt.iter().cloned());
        for (name, database) in loaded.desired.postgres_database.iter_mut() {
            database.adopt |= meta.adopt.contains(&Address::new::<Database>(name));
        }
        meta.allow_destroy
            .extend(planning.allow_destroy.iter().cloned());
        let Connection { fly, aws, sandbox } = match &context.global.sandbox {
            Some(dir) => {
                let meta = &loaded.desired.meta;
                connect::connect_embedded_sandbox(
                    &context.env_vars,
                    dir,
                    &meta.org,
                    meta.aws.as_ref(),
                )
                .await?
            }
            None => connect::connect_clouds(&context.env_vars, &loaded)?,
        };
        let speed = fly.speed;
        let sandbox_url = context
            .global
            .sandbox
            .is_some()
            .then(|| fly.base_url.clone());
        let fly_token = fly.token.clone();
        let registry = RegistryClient::new(&fly)?;
        let fly = fly::FlyReader::new(&fly)?;
        let aws = match aws {
            Some(settings) => Some(aws::AwsReader::new(settings, &fly).await?),
            None => None,
        };
        let target_args = target.to_command_args(context, &loaded);
        let options = WorkspaceOptions {
            allow_missing_images: secrets_mode != SecretsMode::Required,
            started_at,
            speed,
            identity: run_identity::from_environment(&context.env_vars),
            wall_clock: clock::current_time,
        };
        Ok(Self {
            workspace: Workspace::new(loaded, CloudReaders { fly, aws }, registry, options),
            target_args,
            sandbox_url,
            sandbox,
            signals: OnceLock::new(),
            ends_at_signal: Mutex::default(),
            fly_token,
        })
    }

    /// What the manifest asks for.
    pub(super) fn desired(&self) -> &Desired {
        self.workspace.desired()
    }

    /// Reads the live state.
    pub(super) async fn observe(
        &self,
        context: &CommandContext<'_>,
    ) -> Result<World, CommandError> {
        let _busy = self.start_spinner(context);
        Ok(self.workspace.observe().await?)
    }

    /// Reads the live state, resolves images, and plans towards the manifest.
    pub(super) async fn plan(
        &self,
        context: &CommandContext<'_>,
        only: &[Address],
    ) -> Result<(Plan, World), CommandError> {
        let world = {
            let _busy = self.start_spinner(context);
            self.workspace.observe_with_images(self.desired()).await?
        };
        Ok((self.workspace.plan(self.desired(), &world, only)?, world))
    }

    /// A spinner on a terminal, until it is dropped.
    pub(super) fn start_spinner(&self, context: &CommandContext<'_>) -> Option<Spinner> {
        let org = &self.desired().meta.org;
        context.ui.start_spinner(&format!("looking at {org}"))
    }

    /// The signals of the user. From the first call on, a signal does not end the process by itself.
    pub(super) fn signals(&self) -> &SignalCounter {
        let signals = self.signals.get_or_init(SignalCounter::start);
        // From here on the operation ends by itself.
        drop(self.lock_ends_at_signal().take());
        signals
    }

    /// Lets a signal end the process until something may be written, although the signals were counted before.
    pub(super) fn end_at_signal(&self, end: EndAtSignal) {
        *self.lock_ends_at_signal() = Some(end);
    }

    fn lock_ends_at_signal(&self) -> MutexGuard<'_, Option<EndAtSignal>> {
        self.ends_at_signal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The token for Fly.
    pub(super) fn fly_token(&self) -> &Secret {
        &self.fly_token
    }

    /// Whether this process serves the sandbox that it talks to.
    pub(super) fn uses_sandbox(&self) -> bool {
        self.sandbox_url.is_some()
    }

    /// The headline of a plan or a report.
    pub(super) fn headline(&self, command: &'static str) -> Headline {
        let meta = &self.desired().meta;
        Headline {
            command,
            environment: meta.mark.environment.clone(),
            project: meta.mark.project.clone(),
            org: meta.org.clone(),
            target: if self.sandbox_url.is_some() {
                "sandbox".to_owned()
            } else {
                String::new()
            },
            target_args: self.target_args.clone(),
            requests: self.workspace.request_count(),
            elapsed: Some(self.workspace.started_at().elapsed()),
        }
    }

    /// The address of the sandbox, if one is used.
    pub(super) fn sandbox_url(&self) -> Option<&str> {
        self.sandbox_url.as_deref()
    }

    /// The target as it was typed.
    pub(super) fn target_args(&self) -> &str {
        &self.target_args
    }

    /// Releases the lock, and stops the embedded sandbox so that its folder is free again.
    pub(super) async fn close(self) {
        self.workspace.release_lock().await;
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

/// The given environments, or all that have a manifest.
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

/// What to do when there are no manifests.
const NO_MANIFESTS_HINT: &str = "run trimtab where the manifests are, or pass --environments DIR; `trimtab demo` makes an example";

/// Reads one manifest.
pub(super) fn load_manifest(
    context: &CommandContext<'_>,
    environment: &str,
    inputs: &InputArgs,
    secrets_mode: SecretsMode,
) -> Result<LoadedEnvironment, CommandError> {
    let dir = &context.global.environments;
    if !dir.is_dir() {
        return Err(
            CommandError::new(format!("there is no folder {}", dir.display()))
                .with_hint(NO_MANIFESTS_HINT),
        );
    }
    check_environment_name(context, environment)?;
    let inputs = Inputs {
        vars: inputs.vars.iter().cloned().collect(),
        images: inputs.images().cloned().collect(),
        process_environment: context.env_vars.as_map().clone(),
        secrets_mode,
        multiple_environments: inputs.multiple_environments,
    };
    let loaded = manifest::load(dir, environment, &inputs)?;
    register_public_names(&loaded.desired);
    Ok(loaded)
}

/// Refuses a manifest if another file describes the same environment: each would remove what the other makes. A file that is not valid
/// is no concern of this command.
fn check_no_twin(
    context: &CommandContext<'_>,
    environment: &str,
    loaded: &LoadedEnvironment,
) -> Result<(), CommandError> {
    let dir = &context.global.environments;
    let others = manifest::list_environments(dir).unwrap_or_default();
    let inputs = Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: context.env_vars.as_map().clone(),
        secrets_mode: SecretsMode::Unchecked,
        multiple_environments: true,
    };
    for other in others.iter().filter(|other| *other != environment) {
        let Ok(other) = manifest::load(dir, other, &inputs) else {
            continue;
        };
        if other.desired.meta.mark == loaded.desired.meta.mark {
            return Err(twin_error(loaded, &other.path));
        }
    }
    Ok(())
}

/// The error for two files that describe one environment.
pub(super) fn twin_error(loaded: &LoadedEnvironment, twin: &Path) -> CommandError {
    let (mine, other) = (loaded.path.display(), twin.display());
    CommandError::new(format!(
        "{mine} and {other} describe one environment: each would remove what the other makes"
    ))
    .with_hint("give one of them another `name`")
}

/// Explains a name that is no name: the path of a manifest, or the folder of the sandbox.
fn check_environment_name(
    context: &CommandContext<'_>,
    environment: &str,
) -> Result<(), CommandError> {
    let dir = &context.global.environments;
    if dir.join(format!("{environment}.toml")).is_file() && !environment.contains('/') {
        return Ok(());
    }
    if context.misplaced_sandbox_dir.as_deref() == Some(environment) {
        return Err(
            CommandError::new(format!("there is no environment `{environment}`")).with_hint(
                format!("a folder for the sandbox needs an equals sign: --sandbox={environment}"),
            ),
        );
    }
    let path = Path::new(environment);
    let is_path = environment.contains('/') || path.extension().is_some_and(|end| end == "toml");
    let Some(stem) = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .filter(|_| is_path)
    else {
        return Ok(());
    };
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let option = match folder {
        Some(folder) if folder != dir.as_path() => {
            format!(" --environments {}", folder.display())
        }
        _ => String::new(),
    };
    Err(CommandError::new(format!(
        "`{environment}` is a path, and environments go by name: the file's name without .toml"
    ))
    .with_hint(format!("name it `{stem}{option}`")))
}

/// Declares what everybody can see of an environment anyway: a secret whose value is `production` must not hide the name of
/// the environment in every line.
fn register_public_names(desired: &Desired) {
    let meta = &desired.meta;
    let own = [&meta.mark.project, &meta.mark.environment, &meta.org];
    let apps = desired.fly_app.iter();
    let apps = apps.flat_map(|(name, app)| [name.as_str(), app.name.as_str()]);
    let region = meta.aws.iter().map(|aws| aws.region.as_str());
    let names = own
        .into_iter()
        .map(String::as_str)
        .chain(apps)
        .chain(region);
    names.for_each(register_public_name);
}
