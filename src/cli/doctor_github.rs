//! Which repository on GitHub `doctor` looks at, and with which token: one from the variables, or that of `gh`.

use std::{process::Stdio, time::Duration};

use super::{
    CommandContext, CommandError,
    env_vars::{EnvVars, names},
};
use crate::{
    clouds::github::{GitHubClient, GitHubConfig},
    model::{Secret, register_secret},
    ops::doctor::{DoctorFinding, FindingArea::Github, RemoteRepository, find_remote},
};

/// How long `gh` may take to say its token.
const GH_TIMEOUT: Duration = Duration::from_secs(10);
/// GitHub's own server.
const GITHUB_HOST: &str = "github.com";

/// How GitHub is reached, or what is missing for that.
#[derive(Default)]
pub(super) struct GitHubAccess {
    pub(super) repository: Option<String>,
    pub(super) client: Option<GitHubClient>,
    pub(super) findings: Vec<DoctorFinding>,
}

impl GitHubAccess {
    fn missing(repository: Option<String>, finding: DoctorFinding) -> Self {
        Self {
            repository,
            client: None,
            findings: vec![finding],
        }
    }
}

/// Finds the repository and a token for it.
pub(super) async fn find_access(
    context: &CommandContext<'_>,
    sandbox_url: Option<&str>,
) -> Result<GitHubAccess, CommandError> {
    let env_vars = &context.env_vars;
    let Some(remote) = find_repository(env_vars, &context.global.environments) else {
        let finding = DoctorFinding::wrong(
            Github,
            "repository",
            "it is not known which one this is: git has no remote `origin` on GitHub",
            "git remote add origin https://github.com/OWNER/NAME.git",
        )
        .and_step("or export GITHUB_REPOSITORY=OWNER/NAME");
        return Ok(GitHubAccess::missing(None, finding));
    };
    let repository = remote.repository.clone();
    let stated = env_vars.get(names::GITHUB_API).map(str::to_owned);
    let (api_url, is_stated) = match (sandbox_url, stated) {
        (Some(url), _) => (format!("{url}/github"), true),
        (None, Some(url)) => (url, true),
        (None, None) if remote.host == GITHUB_HOST => ("https://api.github.com".to_owned(), false),
        (None, None) => {
            let host = &remote.host;
            let finding = DoctorFinding::wrong(
                Github,
                "repository",
                format!(
                    "origin is on {host}, and a token is sent to no server that nobody has named"
                ),
                format!(
                    "if {host} is GitHub Enterprise: export GITHUB_API_URL=https://{host}/api/v3"
                ),
            );
            return Ok(GitHubAccess::missing(Some(repository), finding));
        }
    };
    let token = match find_token(env_vars) {
        Some(token) => Some(token),
        // The token of `gh` is for GitHub's own server.
        None if !is_stated => ask_gh(env_vars).await,
        None => None,
    };
    let Some(token) = token else {
        let finding = DoctorFinding::wrong(
            Github,
            &repository,
            "there is no token for GitHub, so nothing there can be looked at",
            "gh auth login",
        )
        .and_step("or export GITHUB_TOKEN=… : a fine-grained token that reads Actions, Administration, Contents, Environments, Secrets, Variables");
        return Ok(GitHubAccess::missing(Some(repository), finding));
    };
    let client = GitHubClient::new(&GitHubConfig {
        graphql_url: format!("{api_url}/graphql"),
        api_url,
        repository: repository.clone(),
        token,
    })?;
    Ok(GitHubAccess {
        repository: Some(repository),
        client: Some(client),
        findings: Vec::new(),
    })
}

/// The repository of the job, or that of git.
fn find_repository(env_vars: &EnvVars, environments: &std::path::Path) -> Option<RemoteRepository> {
    let [server, repository, _] = names::GITHUB_RUN_PARTS;
    match env_vars.get(repository) {
        Some(repository) => {
            let server = env_vars.get(server).unwrap_or("https://github.com");
            let host = server.split("://").last().unwrap_or(GITHUB_HOST);
            Some(RemoteRepository {
                host: host.trim_end_matches('/').to_owned(),
                repository: repository.to_owned(),
            })
        }
        None => find_remote(environments),
    }
}

fn find_token(env_vars: &EnvVars) -> Option<Secret> {
    let mut tokens = names::GITHUB_TOKENS.iter();
    tokens.find_map(|name| env_vars.get(name)).map(Secret::new)
}

/// The token of `gh`, where it is installed and somebody has logged in.
async fn ask_gh(env_vars: &EnvVars) -> Option<Secret> {
    // It needs its own settings, and no secret of this process.
    let needed = ["PATH", "HOME", "XDG_CONFIG_HOME", "GH_CONFIG_DIR"];
    let needed = needed
        .iter()
        .filter_map(|name| Some((name, env_vars.get(name)?)));
    let mut command = tokio::process::Command::new("gh");
    command
        .env_clear()
        .envs(needed)
        .args(["auth", "token", "--hostname", GITHUB_HOST])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(GH_TIMEOUT, command.output()).await;
    let output = output.ok()?.ok()?;
    let token = String::from_utf8(output.stdout).ok()?;
    let token = token.trim();
    if !output.status.success() || token.is_empty() {
        return None;
    }
    register_secret(token);
    Some(Secret::new(token))
}
