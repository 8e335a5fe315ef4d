//! `trimtab sandbox`: the imitation of Fly, AWS and GitHub as a server for other tools.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    CommandContext, CommandError,
    connect::parse_latency,
    env_vars::names::{PUBLIC_PAGES, REGISTRIES, SANDBOX_SPEED},
    exit,
    sandbox_event::{self, GithubEventArgs},
};
use trimtab_sandbox::{self as sandbox, Fault, StartError};

/// Serve the imitation of Fly, AWS and GitHub for other tools, such as flyctl.
#[derive(Debug, Args)]
#[command(after_help = faults_help(), args_conflicts_with_subcommands = true)]
pub(super) struct SandboxArgs {
    #[command(subcommand)]
    command: Option<SandboxCommand>,
    /// The folder that keeps its state
    #[arg(long, value_name = "DIR", default_value = ".trimtab/sandbox")]
    dir: PathBuf,
    /// The address to listen on; loopback only, port 0 for any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The address of the imitation of AWS; loopback only, port 0 for any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    aws_listen: SocketAddr,
    /// The AWS account of the printed administrator key; any twelve digits
    #[arg(long, value_name = "ACCOUNT", default_value = "123456789012", value_parser = parse_account)]
    account: String,
    /// The organization of the printed token; created if missing
    #[arg(long, value_name = "SLUG", default_value = "personal")]
    org: String,
    /// How many times faster than on Fly time passes, for transitions, rate limits and leases
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Delay every response by this much, such as `50ms`
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_latency)]
    latency: Duration,
    /// Inject a fault; repeatable, see below
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Append every exchange with Fly's and GitHub's APIs to this file, as lines of JSON, including the values of secrets
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Run the scripts for psql in Postgres nodes on this PostgreSQL server, in place of a model of one
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

/// What else than serving.
#[derive(Debug, Subcommand)]
enum SandboxCommand {
    Github(Box<GithubEventArgs>),
}

/// The AWS region in the printed variables. Every region is imitated.
const DEFAULT_REGION: &str = "us-east-1";

/// Help on rules for programs, and on public pages.
const RULES_EXAMPLE: &str = r#"  curl URL/_sandbox/rules --json '{"match":{"image_contains":"bad"},
    "behave":{"exit_code":1,"after_ms":500,"logs":["no such table"],"http":{"status":500}}}'
  curl -H 'Host: APP.fly.dev' URL"#;

/// Parses an AWS account id.
fn parse_account(text: &str) -> Result<String, &'static str> {
    let fine = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if fine {
        Ok(text.to_owned())
    } else {
        Err("expected twelve digits")
    }
}

/// The faults, one per line.
fn faults_help() -> String {
    let line = |(name, text): &(&str, &str)| format!("  {name:<28} {text}");
    let lines: Vec<String> = sandbox::FAULT_HELP.iter().map(line).collect();
    format!(
        "Faults:\n{}\n\nThe embedded sandbox (`--sandbox`) takes the same from TRIMTAB_SANDBOX_FAULT (separated by \
         commas),\nTRIMTAB_SANDBOX_LATENCY, TRIMTAB_SANDBOX_SPEED and TRIMTAB_SANDBOX_RECORD; there, die-before:N and \
         die-after:N kill\ntrimtab itself around its N-th request, with wN its N-th write.\n\nNo program runs in it. \
         Rules say what programs do instead, and their pages are served under their host names:\n{RULES_EXAMPLE}",
        lines.join("\n")
    )
}

pub(super) async fn run(
    context: &CommandContext<'_>,
    args: &SandboxArgs,
) -> Result<u8, CommandError> {
    if let Some(SandboxCommand::Github(event)) = &args.command {
        return sandbox_event::run(context, event).await;
    }
    let mut options = sandbox::SandboxOptions::new(&args.dir);
    options.listen = args.listen;
    options.aws_listen = args.aws_listen;
    options.speed = args.speed;
    options.latency = args.latency;
    options.faults.clone_from(&args.fault);
    options.record.clone_from(&args.record);
    options.postgres.clone_from(&args.postgres);
    let running = sandbox::start(options).await?;
    let (url, token) = (running.url(), running.org_token(&args.org)?);
    let (aws, keys) = (
        running.aws_url(),
        running.aws_keys(&args.account).map_err(StartError::from)?,
    );
    let dir = args.dir.display();
    context.ui.eprint(&format!(
        "The sandbox serves {dir} at {url}. Paste these lines into another terminal; ctrl-C ends."
    ));
    let is_real = (args.speed - 1.0).abs() < f64::EPSILON;
    let speed = if is_real {
        String::new()
    } else {
        format!("export {}={}\n", SANDBOX_SPEED, args.speed)
    };
    let github = running.github_url();
    // flyctl would send telemetry and check for updates otherwise.
    let lines = format!(
        "{speed}export AWS_ENDPOINT_URL={aws}\nexport AWS_REGION={DEFAULT_REGION}\nexport AWS_DEFAULT_REGION={DEFAULT_REGION}\nexport AWS_ACCESS_KEY_ID={}\n\
         export AWS_SECRET_ACCESS_KEY={}\n\
         export FLY_FLAPS_BASE_URL={url}\nexport FLY_API_BASE_URL={url}\nexport FLY_UIEX_BASE_URL={url}\n\
         export GITHUB_API_URL={github}\nexport GITHUB_GRAPHQL_URL={github}/graphql\n\
         export {REGISTRIES}={url}\nexport {PUBLIC_PAGES}={url}\n\
         export FLY_API_TOKEN={token}\nexport FLY_SEND_METRICS=0 FLY_NO_UPDATE_CHECK=1 FLY_NO_INCIDENTS_CHECK=1 \
         FLY_SYNTHETICS_AGENT=0",
        keys.id, keys.secret
    );
    // Listen for signals first: a reader of these lines may send one at once.
    let mut ends = signal(SignalKind::interrupt())?;
    context.ui.print_credentials(&lines)?;
    ends.recv().await;
    running.stop().await;
    Ok(exit::OK)
}
