//! `trimtab demo`: runs the real commands on the sandbox, in a folder that the user keeps.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{PlanningArgs, Session, TargetArgs, read_env_file},
};
use crate::{
    clouds::{
        aws::{AwsWriter, BucketRef},
        fly::{FlyWriter, MachineRequest},
    },
    manifest::SecretsMode,
};

/// Run plan, apply, drift and repair on the sandbox.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The folder to create; a number is appended when it exists
    #[arg(long, value_name = "DIR", default_value = "trimtab-demo")]
    dir: PathBuf,
}

/// The environment of the demo, example manifests, values for their secrets, and the schema that the manifests name for editors.
const DEMO_FILES: [(&str, &str); 7] = [
    ("environments/demo.toml", include_str!("demo.toml")),
    (
        "environments/_base.toml",
        include_str!("../../environments/_base.toml"),
    ),
    (
        "environments/staging.toml",
        include_str!("../../environments/staging.toml"),
    ),
    (
        "environments/production.toml",
        include_str!("../../environments/production.toml"),
    ),
    (
        "environments/review.toml",
        include_str!("../../environments/review.toml"),
    ),
    (
        "example.env",
        include_str!("../../environments/example.env"),
    ),
    (
        "schema/environment.schema.json",
        include_str!("../../schema/environment.schema.json"),
    ),
];
/// The file with the plan that the demo applies.
const PLAN_FILE: &str = "first.plan";
/// The environment of the demo.
const ENVIRONMENT: &str = "demo";

pub(super) async fn run(context: &CommandContext<'_>, args: &Demo) -> Result<u8, CommandError> {
    let dir = unused_path(&args.dir);
    for (name, text) in DEMO_FILES {
        write_file(&dir.join(name), text)?;
    }
    let story = DemoRunner { context, dir: &dir };
    story.print_chapter(
        "1. A manifest for an app on Fly and its backups on AWS; nothing exists yet. What would an apply do?",
    );
    story.run_command(&["plan", ENVIRONMENT, "--out", PLAN_FILE])?;
    story.print_chapter("2. Apply exactly that plan.");
    story.run_command(&["apply", "--plan", PLAN_FILE])?;
    story.print_chapter("3. Plan again: nothing is left to do.");
    story.run_command(&["plan", ENVIRONMENT])?;
    story.print_chapter("4. Friday evening: somebody changes things by hand.");
    for deed in make_manual_changes(context, &dir).await? {
        context.ui.print(&format!("   {deed}"))?;
    }
    story.print_chapter("5. `drift` names what was changed (exit code 2).");
    story.run_command(&["drift", ENVIRONMENT])?;
    story.print_chapter("6. `apply` repairs exactly that.");
    story.run_command(&["apply", ENVIRONMENT, "--yes"])?;
    story.print_chapter("7. No drift is left (exit code 0).");
    story.run_command(&["drift", ENVIRONMENT])?;
    story.print_chapter(&format!(
        "The folder {0} is yours to play with:",
        dir.display()
    ));
    let (dir, program) = (dir.display(), std::env::current_exe()?);
    let program = program.display();
    context.ui.print(&format!(
        "   alias trimtab={program}      # unless it is on your PATH\n   cd {dir}\n   trimtab status {ENVIRONMENT} --sandbox\n   $EDITOR environments/{ENVIRONMENT}.toml      # change something, then:\n   \
         trimtab plan {ENVIRONMENT} --sandbox --env-file example.env\n   trimtab plan review --var pr=42 --sandbox --env-file example.env\n   \
         trimtab graph {ENVIRONMENT} > {ENVIRONMENT}.svg"
    ))?;
    Ok(exit::OK)
}

/// The folder, with a number appended when it exists, so that no file of the user is overwritten.
fn unused_path(wanted: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}-{n}", wanted.display()));
    let mut names = std::iter::once(wanted.to_owned()).chain((2..).map(numbered));
    names
        .find(|name| !name.exists())
        .unwrap_or_else(|| wanted.to_owned())
}

fn write_file(path: &Path, text: &str) -> Result<(), CommandError> {
    let wrong = |error| CommandError::new(format!("cannot write {}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(wrong)?;
    }
    std::fs::write(path, text).map_err(wrong)
}

/// Runs commands, and prints each before it runs.
struct DemoRunner<'a> {
    context: &'a CommandContext<'a>,
    dir: &'a Path,
}

impl DemoRunner<'_> {
    fn print_chapter(&self, title: &str) {
        // An error of stdout shows at the next command.
        drop(self.context.ui.print(&format!("\n{title}")));
    }

    /// Runs one command in the folder. `drift` exits with 2, which is expected here.
    fn run_command(&self, args: &[&str]) -> Result<(), CommandError> {
        let mut shown = vec!["trimtab"];
        shown.extend(args);
        shown.extend(["--sandbox", "--env-file", "example.env"]);
        self.context.ui.print(&format!("$ {}\n", shown.join(" ")))?;
        let program = std::env::current_exe()?;
        let status = Command::new(program)
            .args(&shown[1..])
            .current_dir(self.dir)
            .status()?;
        match status.code() {
            Some(code) if code == i32::from(exit::OK) || code == i32::from(exit::CHANGES) => Ok(()),
            other => Err(CommandError::new(format!(
                "`{}` ended with {other:?}",
                shown.join(" ")
            ))),
        }
    }
}

/// Changes live machines through the API, as somebody with flyctl would.
async fn make_manual_changes(
    context: &CommandContext<'_>,
    dir: &Path,
) -> Result<Vec<String>, CommandError> {
    let mut global = context.global.clone();
    global.environments = dir.join("environments");
    global.sandbox = Some(dir.join(".trimtab/sandbox"));
    let mut env_vars = context.env_vars.clone();
    env_vars.add_defaults(read_env_file(&dir.join("example.env"))?);
    let context = CommandContext {
        global,
        misplaced_sandbox_dir: None,
        env_vars,
        ui: context.ui,
    };
    let target = TargetArgs {
        environment: ENVIRONMENT.to_owned(),
        inputs: super::session::InputArgs::default(),
    };
    let session = Session::open(
        &context,
        &target,
        SecretsMode::Lenient,
        &PlanningArgs::default(),
    )
    .await?;
    let world = session.observe(&context).await?;
    let fly = FlyWriter::new(session.workspace.readers.fly.clone());
    let mut deeds = Vec::new();
    if let Some((name, machine)) = world.fly_machine.first_key_value() {
        let there = &machine.workload;
        let mut config = there.raw.clone();
        config["guest"]["memory_mb"] = 2048.into();
        config["env"]["LOG_LEVEL"] = "trace".into();
        let app = &world.fly_app[&name.root()].name;
        let update = MachineRequest {
            region: there.region.to_string(),
            config,
            ..MachineRequest::default()
        };
        fly.update_machine(app, &there.id, &there.version, &update)
            .await?;
        fly.sleep_scaled(Duration::from_secs(5)).await;
        deeds.push(format!(
            "machine {} of {app}: 2 GB of memory, LOG_LEVEL=trace",
            there.id
        ));
    }
    if let Some(aws) = &session.workspace.readers.aws
        && let Some(bucket) = world.aws_bucket.values().next()
    {
        let s3 = AwsWriter::new(aws.clone());
        let place = BucketRef {
            name: &bucket.name,
            region: &bucket.region,
        };
        s3.put_bucket_versioning(place, false).await?;
        deeds.push(format!("bucket {}: versioning suspended", bucket.name));
    }
    if let Some((name, ip)) = world.fly_ip.first_key_value() {
        let app = &world.fly_app[&name.root()].name;
        fly.release_ip(app, &ip.address).await?;
        deeds.push(format!("address {} of {app}: released", ip.address));
    }
    session.close().await;
    Ok(deeds)
}
