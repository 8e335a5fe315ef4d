//! The command line: one thin file per command. Decisions are made in the library.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

mod apply;
mod apply_summary;
mod build;
mod clock;
mod commit;
mod confirm;
mod connect;
mod console;
mod demo;
mod destroy;
mod doctor;
mod doctor_clouds;
mod doctor_github;
mod drift;
mod drift_issue;
mod each_environment;
mod env_vars;
mod error;
pub mod exit;
mod generate;
mod github;
mod graph;
mod init;
mod input_args;
mod log;
mod look;
mod permissions;
mod plan;
mod plan_comment;
#[doc(hidden)]
pub mod plan_file;
mod progress;
mod reviewed;
mod rollback;
mod run_identity;
mod sandbox;
mod sandbox_event;
mod session;
mod signals;
mod status;
mod ui;
mod unlock;
mod usage;
mod validate;
mod workflows;

use env_vars::EnvVars;
use error::CommandError;
use ui::{ColorMode, Terminal};

/// Declare your environments on Fly.io and AWS in TOML, see the difference, apply it in order, detect drift.
#[derive(Debug, Parser)]
#[command(name = "trimtab", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do, 1 error, 2 changes, drift or findings, 3 refused, 4 incomplete (run again)."
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
struct GlobalArgs {
    /// Use the embedded imitation of Fly and AWS instead of them; its state is kept in DIR
    #[arg(long, global = true, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = ".trimtab/sandbox")]
    sandbox: Option<PathBuf>,
    /// The folder with the manifests
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "environments"
    )]
    environments: PathBuf,
    /// Read variables that are not set from a dotenv file; repeatable
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// When to use colours (`NO_COLOR` is honoured)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorMode,
    /// Log what is being done; -vv logs every request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The format of the log
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    log_format: log::LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the first manifest: from a fly.toml, a live app, or three answers
    Init(init::Init),
    /// Check manifests offline
    Validate(validate::Validate),
    /// Show what `apply` would do, in order
    Plan(plan::PlanArgs),
    /// Apply the manifest: plan, confirm, apply, and verify that nothing is left to do
    Apply(apply::Apply),
    /// Build and push the images of apps, and print their digests
    Build(build::Build),
    /// Show what was changed outside trimtab; exits with 2 when something was
    Drift(drift::Drift),
    /// Delete an environment, in reverse order of its references
    Destroy(destroy::Destroy),
    /// Return machines to an earlier release
    Rollback(rollback::Rollback),
    /// Show what runs
    Status(status::Status),
    /// Draw the references of an environment, or the order of a plan
    Graph(graph::Graph),
    /// Show who holds the lock of an environment, or release it for a run that has died
    Unlock(unlock::Unlock),
    /// Write the workflows of GitHub Actions that the manifests imply
    Workflows(workflows::WorkflowsArgs),
    /// Show what is missing or wrong around the environments, each with the exact step
    Doctor(doctor::Doctor),
    /// Print the IAM policy that trimtab's own credentials need on AWS
    Permissions(permissions::Permissions),
    /// Print the JSON Schema of the manifest, or of `plan`, `status` or `doctor` as JSON
    Schema(generate::Schema),
    /// Serve the imitation of Fly, AWS and GitHub for other tools, such as flyctl, aws and gh
    Sandbox(sandbox::SandboxArgs),
    /// Run plan, apply, drift and repair on the sandbox
    Demo(demo::Demo),
    /// Print shell completions
    Completions(generate::Completions),
    /// Print the manual page of trimtab or of a command
    Man(generate::ManArgs),
}

/// Parses the arguments, runs the command, and returns the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let env_vars = EnvVars::from_process();
    env_vars.register_tokens();
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => return ExitCode::from(usage::print(shown, &words, &env_vars)),
    };
    let ui = Terminal::new(cli.global.color, &env_vars);
    log::init_logging(
        cli.global.verbose,
        cli.global.log_format,
        ui.stderr_options().color,
        ui.is_github(),
    );
    let code = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(dispatch(cli, &words, env_vars, &ui)),
        Err(error) => Err(CommandError::new(format!(
            "cannot start the runtime: {error}"
        ))),
    };
    ExitCode::from(code.unwrap_or_else(|failure| failure.print(&ui)))
}

async fn dispatch(
    cli: Cli,
    words: &[String],
    mut env_vars: EnvVars,
    ui: &Terminal,
) -> Result<u8, CommandError> {
    for file in &cli.global.env_file {
        env_vars.add_defaults(session::read_env_file(file)?);
    }
    let context = CommandContext {
        misplaced_sandbox_dir: usage::misplaced_sandbox_dir(words).map(str::to_owned),
        global: cli.global,
        env_vars,
        ui,
    };
    match cli.command {
        Command::Init(args) => init::run(&context, &args).await,
        Command::Validate(args) => validate::run(&context, &args),
        Command::Plan(args) => plan::run(&context, &args).await,
        Command::Apply(args) => apply::run(&context, &args).await,
        Command::Build(args) => build::run(&context, &args).await,
        Command::Drift(args) => drift::run(&context, &args).await,
        Command::Destroy(args) => destroy::run(&context, &args).await,
        Command::Rollback(args) => rollback::run(&context, &args).await,
        Command::Status(args) => status::run(&context, &args).await,
        Command::Graph(args) => graph::run(&context, &args).await,
        Command::Unlock(args) => unlock::run(&context, &args).await,
        Command::Permissions(args) => permissions::run(&context, &args),
        Command::Workflows(args) => workflows::run(&context, &args),
        Command::Doctor(args) => doctor::run(&context, &args).await,
        Command::Schema(args) => generate::schema(&context, &args),
        Command::Sandbox(args) => sandbox::run(&context, &args).await,
        Command::Demo(args) => demo::run(&context, &args).await,
        Command::Completions(args) => generate::completions(&context, &args, Cli::command()),
        Command::Man(args) => generate::man(&context, &args, Cli::command()),
    }
}

/// What every command gets.
struct CommandContext<'a> {
    global: GlobalArgs,
    /// The word after `--sandbox`, which may have been meant as its folder.
    misplaced_sandbox_dir: Option<String>,
    env_vars: EnvVars,
    ui: &'a Terminal,
}
