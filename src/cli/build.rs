//! `trimtab build`: the images of apps, built and pushed by flyctl or docker, and printed as `--image` takes them.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::{
    CommandContext, CommandError,
    env_vars::names,
    exit, github,
    input_args::{ImageList, parse_name_value},
    session::{InputArgs, PlanningArgs, Session, TargetArgs},
    signals::{EndAtSignal, SignalCounter},
};
use crate::{
    manifest::SecretsMode,
    model::{Address, Name, redact},
    ops::build::{self, BuildEvent, BuildFrontend, BuildOptions, BuildSelection, BuiltImage},
};

/// The output of a step on GitHub Actions: what `--image` takes.
const IMAGES_OUTPUT: &str = "images";

/// Build and push the images of apps, and print their digests.
///
/// [apps.KEY.build] of the manifest, or [build] of an app's fly.toml, says how. flyctl (the default), docker or docker buildx does
/// it. The tag is the commit and a hash of the settings; an image that the registry has already is not built again. On GitHub
/// Actions the output `images` is what `--image` takes.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    environment: String,
    /// The apps to build, by their keys in the manifest; all that say how when none is given
    #[arg(value_name = "APP", value_parser = Name::parse)]
    apps: Vec<Name>,
    /// Set a variable of the manifest; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_name_value)]
    vars: Vec<(String, String)>,
    /// Build also what the registry has for this commit
    #[arg(long)]
    force: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: BuildFormat,
}

/// The output format of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum BuildFormat {
    /// One `APP=REFERENCE` per line.
    #[default]
    Text,
    /// JSON.
    Json,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Build) -> Result<u8, CommandError> {
    let target = TargetArgs {
        environment: args.environment.clone(),
        inputs: InputArgs {
            vars: args.vars.clone(),
            ..InputArgs::default()
        },
    };
    let apps = match args.apps.as_slice() {
        [] => BuildSelection::All,
        apps => BuildSelection::Named(apps.iter().cloned().collect()),
    };
    let signals = SignalCounter::start();
    let images = build_images(context, &target, apps, args.force, &signals).await?;
    match args.format {
        BuildFormat::Text => context.ui.print(&image_arguments(&images, "\n"))?,
        BuildFormat::Json => context.ui.print_json(to_json(&images))?,
    }
    let outputs = [(IMAGES_OUTPUT.to_owned(), image_arguments(&images, ","))];
    github::write_outputs(context, &outputs.into())?;
    Ok(exit::OK)
}

/// Builds the images of an apply, and adds them to its inputs. Of `--only`, the apps count.
pub(super) async fn build_before_apply(
    context: &CommandContext<'_>,
    target: &mut TargetArgs,
    only: &[Address],
) -> Result<EndAtSignal, CommandError> {
    let apps = match only {
        [] => BuildSelection::All,
        only => BuildSelection::Among(only.iter().map(|address| address.name().root()).collect()),
    };
    let signals = SignalCounter::start();
    let images = build_images(context, target, apps, false, &signals).await?;
    let images = images.iter();
    let images = images.map(|(app, built)| (app.to_string(), built.image.to_string()));
    target.inputs.images.push(ImageList(images.collect()));
    Ok(signals.end_process_at_next())
}

async fn build_images(
    context: &CommandContext<'_>,
    target: &TargetArgs,
    apps: BuildSelection,
    force: bool,
    signals: &SignalCounter,
) -> Result<BTreeMap<Name, BuiltImage>, CommandError> {
    let planning = PlanningArgs::default();
    let session = Session::open(context, target, SecretsMode::Build, &planning).await?;
    let given = target.inputs.images();
    let options = BuildOptions {
        apps,
        given: given.filter_map(|(app, _)| Name::parse(app).ok()).collect(),
        force,
        commit: context
            .env_vars
            .get(names::GITHUB_COMMIT)
            .map(str::to_owned),
        is_pipeline: context.env_vars.get(names::CI).is_some() || context.ui.is_github(),
        withheld_variables: context.env_vars.secret_names(),
        fly_token: session.fly_token().clone(),
        is_sandbox: session.uses_sandbox(),
    };
    let frontend = BuildConsole { context, signals };
    let result = build::build(&session.workspace, &options, &frontend).await;
    session.close().await;
    let images = result?;
    // A signal that came while no builder ran.
    if signals.has_received() {
        return Err(CommandError::new("stopped after the images were built")
            .with_hint("run the same command again: what is built is not built twice")
            .with_exit_code(exit::INCOMPLETE));
    }
    Ok(images)
}

/// What a build prints: everything on stderr, since stdout is for the images.
struct BuildConsole<'a> {
    context: &'a CommandContext<'a>,
    signals: &'a SignalCounter,
}

impl BuildFrontend for BuildConsole<'_> {
    fn notify(&self, event: BuildEvent<'_>) {
        let ui = self.context.ui;
        match event {
            BuildEvent::DirtyTree { context } => ui.eprint(&format!(
                "warning: files in {} differ from the commit: the image's tag says so, and it is built in any case",
                context.display()
            )),
            BuildEvent::Exists { apps, image } => ui.eprint(&format!(
                "{}: {image} exists, so it is not built again (--force builds it)",
                join(apps)
            )),
            BuildEvent::Building {
                apps,
                image,
                program,
            } => ui.eprint(&format!("{}: {program} for {image}", join(apps))),
            // It is another program's text, in which also an ordinary word may be a secret.
            BuildEvent::Output(line) => ui.eprint(&redact(line)),
        }
    }

    async fn interrupted(&self, count: u32) {
        self.signals.wait_for(count).await;
    }
}

fn join(apps: &[Name]) -> String {
    let names: Vec<&str> = apps.iter().map(Name::as_str).collect();
    names.join(", ")
}

/// The images as `--image` takes them.
fn image_arguments(images: &BTreeMap<Name, BuiltImage>, separator: &str) -> String {
    let images = images.iter();
    let arguments: Vec<String> = images
        .map(|(app, built)| format!("{app}={}", built.image))
        .collect();
    arguments.join(separator)
}

fn to_json(images: &BTreeMap<Name, BuiltImage>) -> serde_json::Value {
    let one = |(app, built): (&Name, &BuiltImage)| {
        let BuiltImage {
            image,
            commit,
            is_dirty,
            is_new,
        } = built;
        let document = json!({
            "image": image.as_str(),
            "digest": image.digest(),
            "commit": commit,
            "dirty": is_dirty,
            "built": is_new,
        });
        (app.to_string(), document)
    };
    let apps: serde_json::Map<String, serde_json::Value> = images.iter().map(one).collect();
    json!({ "images": apps })
}
