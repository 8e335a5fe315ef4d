//! `trimtab demo`: the whole story on the sandbox, told by the real commands in a folder that the user keeps.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::Args;

use super::{
    Context, Failure, exit,
    session::{Session, Target, read_env_file},
};
use crate::{
    clouds::fly::{NewMachine, Writer},
    manifest::SecretsMode,
};

/// See the whole story on the sandbox: plan, apply, drift, repair.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The folder to make; a free name is found when it exists
    #[arg(long, value_name = "DIR", default_value = "trimtab-demo")]
    dir: PathBuf,
}

/// The manifests of the reference team, and values for their secrets.
const FILES: [(&str, &str); 5] = [
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
];
/// The environment that the story is about.
const STAGE: &str = "staging";

pub(super) async fn run(context: &Context<'_>, args: &Demo) -> Result<u8, Failure> {
    let dir = free_name(&args.dir);
    for (name, text) in FILES {
        write(&dir.join(name), text)?;
    }
    let story = Story { context, dir: &dir };
    story.chapter("1. Three manifests and nothing running. What would happen?");
    story.command(&["plan", STAGE])?;
    story.chapter("2. Make it so.");
    story.command(&["apply", STAGE, "--yes"])?;
    story.chapter("3. The same plan again: nothing is left to do.");
    story.command(&["plan", STAGE])?;
    story.chapter("4. Friday evening: somebody changes things by hand.");
    for deed in tamper(context, &dir).await? {
        context.ui.data(&format!("   {deed}"))?;
    }
    story.chapter("5. Drift is found, and named (exit code 2).");
    story.command(&["drift", STAGE])?;
    story.chapter("6. Apply repairs exactly that.");
    story.command(&["apply", STAGE, "--yes"])?;
    story.chapter("7. And all is well (exit code 0).");
    story.command(&["drift", STAGE])?;
    story.chapter(&format!(
        "The folder {0} is yours. Go on from here:",
        dir.display()
    ));
    let (dir, program) = (dir.display(), std::env::current_exe()?);
    let program = program.display();
    context.ui.data(&format!(
        "   alias trimtab={program}      # unless it is on your PATH\n   cd {dir}\n   trimtab status {STAGE} --sandbox\n   $EDITOR environments/{STAGE}.toml      # change something, then:\n   \
         trimtab plan {STAGE} --sandbox --env-file example.env\n   trimtab plan review --var pr=42 --sandbox --env-file example.env\n   \
         trimtab graph {STAGE} > {STAGE}.svg"
    ))?;
    Ok(exit::OK)
}

/// The folder, or the same with a number when it is there already: nothing of the user's is written over.
fn free_name(wanted: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}-{n}", wanted.display()));
    let mut names = std::iter::once(wanted.to_owned()).chain((2..).map(numbered));
    names
        .find(|name| !name.exists())
        .unwrap_or_else(|| wanted.to_owned())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error| Failure::new(format!("cannot write {}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(wrong)?;
    }
    std::fs::write(path, text).map_err(wrong)
}

/// Runs the commands and says what it runs.
struct Story<'a> {
    context: &'a Context<'a>,
    dir: &'a Path,
}

impl Story<'_> {
    fn chapter(&self, title: &str) {
        // A closed stdout shows at the next command.
        drop(self.context.ui.data(&format!("\n{title}")));
    }

    /// Runs one command in the folder. Drift's own exit code is part of the story.
    fn command(&self, args: &[&str]) -> Result<(), Failure> {
        let mut shown = vec!["trimtab"];
        shown.extend(args);
        shown.extend(["--sandbox", "--env-file", "example.env"]);
        self.context.ui.data(&format!("$ {}\n", shown.join(" ")))?;
        let program = std::env::current_exe()?;
        let status = Command::new(program)
            .args(&shown[1..])
            .current_dir(self.dir)
            .status()?;
        match status.code() {
            Some(code) if code == i32::from(exit::OK) || code == i32::from(exit::CHANGES) => Ok(()),
            other => Err(Failure::new(format!(
                "`{}` ended with {other:?}",
                shown.join(" ")
            ))),
        }
    }
}

/// Changes live objects through the API, as somebody with flyctl would.
async fn tamper(context: &Context<'_>, dir: &Path) -> Result<Vec<String>, Failure> {
    let mut global = context.global.clone();
    global.environments = dir.join("environments");
    global.sandbox = Some(dir.join(".trimtab/sandbox"));
    let mut environment = context.environment.clone();
    environment.add_beneath(read_env_file(&dir.join("example.env"))?);
    let context = Context {
        global,
        environment,
        ui: context.ui,
    };
    let target = Target {
        environment: STAGE.to_owned(),
        inputs: super::session::InputArgs::default(),
    };
    let session = Session::open(&context, &target, SecretsMode::Lenient, &[]).await?;
    let world = session.observe(&context).await?;
    let fly = Writer::new(session.readers.fly.clone());
    let mut deeds = Vec::new();
    if let Some((name, machine)) = world.fly_machine.first_key_value() {
        let there = &machine.workload;
        let mut config = there.raw.clone();
        config["guest"]["memory_mb"] = 2048.into();
        config["env"]["LOG_LEVEL"] = "trace".into();
        let app = &world.fly_app[&name.root()].name;
        let update = NewMachine {
            region: there.region.to_string(),
            config,
            ..NewMachine::default()
        };
        fly.update_machine(app, &there.id, &there.version, &update)
            .await?;
        fly.rest(Duration::from_secs(5)).await;
        deeds.push(format!(
            "machine {} of {app}: 2 GB of memory, LOG_LEVEL=trace",
            there.id
        ));
    }
    if let Some((name, ip)) = world.fly_ip.first_key_value() {
        let app = &world.fly_app[&name.root()].name;
        fly.release_ip(app, &ip.address).await?;
        deeds.push(format!("address {} of {app}: released", ip.address));
    }
    session.close().await;
    Ok(deeds)
}
