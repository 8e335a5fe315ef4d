//! Who is at work: the text that others see on a lease of ours, and when they have to wait for it.

use super::{
    CommandError,
    env_vars::{EnvVars, names},
};
use crate::lock::LockHolder;

/// `trimtab apply draft/staging by ci-bot, https://github.com/…/runs/7`.
pub(super) fn lease_holder(command: &str, place: &str, environment: &EnvVars) -> String {
    let who = user_name(environment);
    let at = pipeline_run_url(environment).or_else(|| host_name(environment));
    match at {
        Some(at) => format!("trimtab {command} {place} by {who}, {at}"),
        None => format!("trimtab {command} {place} by {who}"),
    }
}

/// The address of the pipeline's run, where it tells one.
fn pipeline_run_url(environment: &EnvVars) -> Option<String> {
    let github = || {
        let [server, repository, id] = names::GITHUB_RUN_PARTS.map(|name| environment.get(name));
        Some(format!("{}/{}/actions/runs/{}", server?, repository?, id?))
    };
    github().or_else(|| {
        names::RUN_URLS
            .iter()
            .find_map(|name| environment.get(name))
            .map(str::to_owned)
    })
}

fn user_name(environment: &EnvVars) -> &str {
    names::USER_NAMES
        .iter()
        .find_map(|name| environment.get(name))
        .unwrap_or("somebody")
}

/// Who takes the lock of an environment.
pub(super) fn lock_holder(
    command: &str,
    name: &str,
    environment: &EnvVars,
) -> Result<LockHolder, CommandError> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| CommandError::new("the system gives no random numbers"))?;
    Ok(LockHolder {
        nonce: nonce.iter().map(|byte| format!("{byte:02x}")).collect(),
        holder: user_name(environment).to_owned(),
        host: host_name(environment).unwrap_or_else(|| "an unnamed machine".to_owned()),
        pid: std::process::id(),
        run_url: pipeline_run_url(environment),
        command: format!("trimtab {command} {name}"),
    })
}

/// The machine's name. A shell knows it and rarely exports it.
fn host_name(environment: &EnvVars) -> Option<String> {
    environment
        .get(names::HOST)
        .map(str::to_owned)
        .or_else(read_etc_hostname)
}

fn read_etc_hostname() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
