//! Who runs this process, from environment variables: what others read on our leases and on the environment lock.

use super::env_vars::{EnvVars, names};
use crate::{github::run_url, ops::RunIdentity};

/// Reads who runs this process from the environment variables of shells and pipelines.
pub(super) fn from_environment(env_vars: &EnvVars) -> RunIdentity {
    RunIdentity {
        user: user_name(env_vars).to_owned(),
        host: host_name(env_vars),
        run_url: pipeline_run_url(env_vars),
    }
}

/// The URL of the pipeline run, where the pipeline names one.
fn pipeline_run_url(env_vars: &EnvVars) -> Option<String> {
    let [server, repository, id] = names::GITHUB_RUN_PARTS.map(|name| env_vars.get(name));
    Some(run_url(server?, repository?, id?))
}

fn user_name(env_vars: &EnvVars) -> &str {
    names::USER_NAMES
        .iter()
        .find_map(|name| env_vars.get(name))
        .unwrap_or("somebody")
}

/// The host name. A shell knows `HOSTNAME` and rarely exports it, so the system's own file is read as well.
fn host_name(env_vars: &EnvVars) -> Option<String> {
    env_vars
        .get(names::HOST)
        .map(str::to_owned)
        .or_else(read_etc_hostname)
}

fn read_etc_hostname() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
