//! `trimtab init`: the first manifest, from a fly.toml, a live app, or three answers.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    CommandContext, CommandError, connect, exit,
    session::{InputArgs, global_command_args, load_manifest},
};
use crate::{
    clouds::fly::FlyReader,
    manifest::{
        LoadedEnvironment, SecretsMode,
        write::{self, ManifestHead},
    },
    ops::init::{self, CreatedManifest, NewManifest},
};

/// Write the first manifest of an environment.
///
/// With --from the app keeps its fly.toml, with --app the manifest says what the live app has, and without either it describes a new
/// app. A terminal asks for what no option says. Nothing that exists is overwritten.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// A fly.toml that the app keeps
    #[arg(long, value_name = "FILE", conflicts_with = "app")]
    from: Option<PathBuf>,
    /// A live app, by its name on Fly
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// The environment: the stem of the new manifest's file name
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    /// The project, which every resource is marked with
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// The organization on Fly
    #[arg(long, value_name = "SLUG")]
    org: Option<String>,
    /// The name on Fly of a new app
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "app"])]
    name: Option<String>,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Init) -> Result<u8, CommandError> {
    let folder = &context.global.environments;
    let (created, loaded, notes) = match (&args.from, &args.app) {
        (Some(file), _) => keep_fly_toml(context, args, file)?,
        (None, Some(app)) => {
            let NewManifest { text, notes } = describe_live(context, args, app).await?;
            let created = CreatedManifest::create(folder, &args.environment, &text)?;
            (created, load(context, args)?, notes)
        }
        (None, None) => {
            let text = describe_new(context, args)?;
            let created = CreatedManifest::create(folder, &args.environment, &text)?;
            (created, load(context, args)?, Vec::new())
        }
    };
    let written = created.keep(folder)?;
    let written: Vec<String> = written
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    context.ui.print(&format!(
        "Wrote {}; {} resources, valid.",
        written.join(", "),
        loaded.locations.len()
    ))?;
    for note in &notes {
        context.ui.eprint(&format!("note: {note}"));
    }
    for warning in &loaded.desired.meta.warnings {
        context.ui.eprint(&format!("warning: {warning}"));
    }
    context.ui.print(&next_commands(context, args, &loaded))?;
    Ok(exit::OK)
}

/// The next two commands. A new app has to be there before its image can be pushed.
fn next_commands(context: &CommandContext<'_>, args: &Init, loaded: &LoadedEnvironment) -> String {
    let mut target = vec![args.environment.clone()];
    target.extend(global_command_args(context));
    let target = target.join(" ");
    let is_new = args.from.is_none() && args.app.is_none();
    let built = loaded.builds.values().next().filter(|_| is_new);
    match built {
        Some(build) => format!(
            "Next:\n  fly apps create {} --org {}\n  trimtab apply {target} --build",
            build.app, loaded.desired.meta.org
        ),
        None => format!("Next:\n  trimtab plan {target}\n  trimtab apply {target}"),
    }
}

/// Reads the new manifest, as every other command will.
fn load(context: &CommandContext<'_>, args: &Init) -> Result<LoadedEnvironment, CommandError> {
    load_manifest(
        context,
        &args.environment,
        &InputArgs::default(),
        SecretsMode::Unchecked,
    )
}

fn ask_org(context: &CommandContext<'_>, args: &Init) -> Result<String, CommandError> {
    let question = "The organization on Fly (`fly orgs list`)";
    ask(
        context,
        args.org.as_ref(),
        "--org",
        question,
        Some("personal"),
    )
}

/// A manifest around a fly.toml.
fn keep_fly_toml(
    context: &CommandContext<'_>,
    args: &Init,
    file: &Path,
) -> Result<(CreatedManifest, LoadedEnvironment, Vec<String>), CommandError> {
    let folder = &context.global.environments;
    std::fs::create_dir_all(folder)?;
    let config = init::relative_path(folder, file)?;
    let app = init::app_name_in(file);
    let default = app.as_deref().map(ManifestHead::slug);
    let project = ask_project(context, args, default)?;
    let org = ask_org(context, args)?;
    let key = app.as_deref().map_or_else(
        || "web".to_owned(),
        |app| ManifestHead::key_of(app, &project, &args.environment),
    );
    let head = ManifestHead {
        project,
        environment: args.environment.clone(),
        org,
        key,
    };
    let first = init::describe_fly_toml(&head, &config, None);
    let created = CreatedManifest::create(folder, &args.environment, &first)?;
    let loaded = load(context, args)?;
    created.rewrite(&init::describe_fly_toml(&head, &config, Some(&loaded)))?;
    let loaded = load(context, args)?;
    Ok((created, loaded, Vec::new()))
}

async fn describe_live(
    context: &CommandContext<'_>,
    args: &Init,
    app: &str,
) -> Result<NewManifest, CommandError> {
    let project = ask_project(context, args, Some(ManifestHead::slug(app)))?;
    let connection = connect::connect_fly(context, args.org.as_deref()).await?;
    let reader = FlyReader::new(&connection.fly)?;
    let result = {
        let _busy = context.ui.start_spinner(&format!("looking at {app}"));
        init::describe_live_app(&reader, app, &project, &args.environment).await
    };
    if let Some(sandbox) = connection.sandbox {
        sandbox.stop().await;
    }
    Ok(result?)
}

/// A manifest for an app that does not exist yet.
fn describe_new(context: &CommandContext<'_>, args: &Init) -> Result<String, CommandError> {
    let here = std::fs::canonicalize(".").ok();
    let here = here.and_then(|here| Some(here.file_name()?.to_str()?.to_owned()));
    let default = here.map(|here| ManifestHead::slug(&here));
    // Nothing says what a new app is, so without a terminal every option is needed.
    let default = default.filter(|_| context.ui.is_interactive());
    let project = ask_project(context, args, default)?;
    let org = ask_org(context, args)?;
    let default = format!("{project}-web-{}", args.environment);
    let name = ask(
        context,
        args.name.as_ref(),
        "--name",
        "The app's name on Fly",
        Some(&default),
    )?;
    let head = ManifestHead {
        key: ManifestHead::key_of(&name, &project, &args.environment),
        project,
        environment: args.environment.clone(),
        org,
    };
    let has_dockerfile = Path::new("Dockerfile").is_file();
    let folder = &context.global.environments;
    std::fs::create_dir_all(folder)?;
    let build = match has_dockerfile {
        true => Some(init::relative_path(folder, Path::new("."))?),
        false => None,
    };
    Ok(write::new_app(&head, &name, build.as_deref()))
}

fn ask_project(
    context: &CommandContext<'_>,
    args: &Init,
    default: Option<String>,
) -> Result<String, CommandError> {
    match (&args.project, default) {
        (None, Some(default)) if !context.ui.is_interactive() => Ok(default),
        (given, default) => ask(
            context,
            given.as_ref(),
            "--project",
            "The project, which everything is marked with",
            default.as_deref(),
        ),
    }
}

/// What the option says, or what a terminal answers.
fn ask(
    context: &CommandContext<'_>,
    given: Option<&String>,
    option: &str,
    question: &str,
    default: Option<&str>,
) -> Result<String, CommandError> {
    if let Some(given) = given {
        return Ok(given.clone());
    }
    let missing = || {
        CommandError::new(format!(
            "{option} is missing, and there is no terminal to ask on"
        ))
        .with_hint("or begin with what exists: --from fly.toml, or --app NAME")
    };
    if !context.ui.is_interactive() {
        return Err(missing());
    }
    let shown = default.map_or_else(String::new, |default| format!(" [{default}]"));
    let answer = context.ui.prompt(&format!("{question}{shown}:"))?;
    match (answer.as_str(), default) {
        ("", Some(default)) => Ok(default.to_owned()),
        ("", None) => Err(missing()),
        (answer, _) => Ok(answer.to_owned()),
    }
}
