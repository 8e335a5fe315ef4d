//! `trimtab sandbox github`: plays an event on the imitation of GitHub, and prints the variables of the job that GitHub would
//! start for it.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{CommandContext, CommandError, exit};
use trimtab_sandbox as sandbox;

/// Play an event on the imitation of GitHub, and print the variables that a job gets for it.
///
/// A sandbox must serve the folder: `trimtab sandbox` in another terminal.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GithubEventArgs {
    /// The event, such as `push` or `pull_request.opened`
    #[arg(value_name = "EVENT")]
    event: String,
    /// The folder of the sandbox
    #[arg(long, value_name = "DIR", default_value = ".trimtab/sandbox")]
    dir: PathBuf,
    /// The repository; made if missing
    #[arg(long, value_name = "OWNER/NAME", default_value = "acme/shop")]
    repository: String,
    /// The number of the pull request; without it, one is opened
    #[arg(long, value_name = "NUMBER")]
    pr: Option<u64>,
    /// The branch that is pushed to, or that a new pull request is from
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// The message of a commit to push; repeatable
    #[arg(long, value_name = "MESSAGE")]
    commit: Vec<String>,
    /// Who does it, such as `dependabot[bot]`
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
    /// Open the pull request from the fork of this user
    #[arg(long, value_name = "LOGIN")]
    fork: Option<String>,
    /// Open the pull request as a draft
    #[arg(long)]
    draft: bool,
    /// Close the pull request by merging it
    #[arg(long)]
    merged: bool,
    /// An input of a workflow that is started by hand; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    input: Vec<(String, String)>,
    /// The times of a schedule
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// The name of the workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// A permission of the job's token, such as `issues=write`; repeatable, in place of those that trimtab's jobs need
    #[arg(long, value_name = "NAME=LEVEL", value_parser = parse_pair)]
    permission: Vec<(String, String)>,
}

const EXAMPLES: &str = "Events: push, merge_group, schedule, workflow_dispatch, and pull_request.opened, .synchronize, .closed, \
                        .reopened,\n.converted_to_draft and .ready_for_review\n\nExamples:\n  \
                        eval \"$(trimtab sandbox github pull_request.opened --branch feature)\"\n  \
                        eval \"$(trimtab sandbox github pull_request.closed --pr 1 --merged)\"\n  \
                        eval \"$(trimtab sandbox github push --commit 'First' --commit 'Second')\"";

/// Parses `NAME=VALUE`.
fn parse_pair(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or("expected NAME=VALUE")
}

pub(super) async fn run(
    context: &CommandContext<'_>,
    args: &GithubEventArgs,
) -> Result<u8, CommandError> {
    let played = play(args).await?;
    let variables = played["variables"].as_object();
    let mut variables = variables.cloned().unwrap_or_default();
    let run = variables.get("GITHUB_RUN_ID").and_then(Value::as_str);
    let folder = args.dir.join("github-runs").join(run.unwrap_or("0"));
    fs::create_dir_all(&folder)?;
    // Jobs change their working directory.
    let folder = fs::canonicalize(&folder)?;
    let payload = serde_json::to_string_pretty(&played["payload"]);
    let payload = payload.map_err(|error| CommandError::new(error.to_string()))?;
    for (name, file, content) in [
        ("GITHUB_EVENT_PATH", "event.json", payload.as_str()),
        ("GITHUB_OUTPUT", "output", ""),
        ("GITHUB_STEP_SUMMARY", "summary.md", ""),
    ] {
        let path = folder.join(file);
        fs::write(&path, content)?;
        variables.insert(name.to_owned(), path.display().to_string().into());
    }
    let lines: Vec<String> = variables
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or_default();
            format!("export {name}={}", shell_words::quote(value))
        })
        .collect();
    context.ui.print_credentials(&lines.join("\n"))?;
    Ok(exit::OK)
}

/// Asks the running sandbox to play the event.
async fn play(args: &GithubEventArgs) -> Result<Value, CommandError> {
    let dir = args.dir.display();
    let no_server = || {
        CommandError::new(format!("no sandbox serves {dir}")).with_hint(format!(
            "start one in another terminal: trimtab sandbox --dir {dir}"
        ))
    };
    let server = sandbox::find_server(&args.dir).ok_or_else(no_server)?;
    let pairs = |list: &[(String, String)]| -> Value {
        list.iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect()
    };
    let mut body = json!({
        "event": args.event, "repository": args.repository, "number": args.pr, "branch": args.branch,
        "commits": args.commit, "user": args.user, "fork": args.fork, "draft": args.draft, "merged": args.merged,
        "inputs": pairs(&args.input), "schedule": args.schedule, "workflow": args.workflow,
    });
    if !args.permission.is_empty() {
        body["permissions"] = pairs(&args.permission);
    }
    // It listens on loopback without TLS, so neither a proxy nor certificates are needed.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    let client = client.build().map_err(|_| no_server())?;
    let response = client
        .post(format!("{}/_sandbox/github/play", server.url))
        .bearer_auth(&server.admin_token)
        .json(&body)
        .send()
        .await
        .map_err(|_| no_server())?;
    let is_success = response.status().is_success();
    let answer: Value = response.json().await.map_err(|_| no_server())?;
    match is_success {
        true => Ok(answer),
        false => {
            let why = answer["error"].as_str().unwrap_or("no reason was given");
            Err(
                CommandError::new(format!("cannot play {}: {why}", args.event))
                    .with_hint("`trimtab sandbox github --help` lists the events"),
            )
        }
    }
}
