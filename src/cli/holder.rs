//! Who is at work: the text that others see on a lease of ours, and when they have to wait for it.

use super::{
    Failure,
    environment::{Environment, names},
};
use crate::clouds::aws::lock::Who;

/// `trimtab apply draft/staging by ci-bot, https://github.com/…/runs/7`.
pub(super) fn holder(command: &str, place: &str, environment: &Environment) -> String {
    let who = who(environment);
    let at = run(environment).or_else(|| host(environment));
    match at {
        Some(at) => format!("trimtab {command} {place} by {who}, {at}"),
        None => format!("trimtab {command} {place} by {who}"),
    }
}

/// The address of the pipeline's run, where it tells one.
fn run(environment: &Environment) -> Option<String> {
    let github = || {
        let [server, repository, id] = names::GITHUB_RUN.map(|name| environment.get(name));
        Some(format!("{}/{}/actions/runs/{}", server?, repository?, id?))
    };
    github().or_else(|| {
        names::RUN_URL
            .iter()
            .find_map(|name| environment.get(name))
            .map(str::to_owned)
    })
}

fn who(environment: &Environment) -> &str {
    names::WHO
        .iter()
        .find_map(|name| environment.get(name))
        .unwrap_or("somebody")
}

/// Who takes the lock of an environment.
pub(super) fn locker(command: &str, name: &str, environment: &Environment) -> Result<Who, Failure> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| Failure::new("the system gives no random numbers"))?;
    Ok(Who {
        nonce: nonce.iter().map(|byte| format!("{byte:02x}")).collect(),
        holder: who(environment).to_owned(),
        host: host(environment).unwrap_or_else(|| "an unnamed machine".to_owned()),
        pid: std::process::id(),
        run_url: run(environment),
        command: format!("trimtab {command} {name}"),
    })
}

/// The machine's name. A shell knows it and rarely exports it.
fn host(environment: &Environment) -> Option<String> {
    environment
        .get(names::HOST)
        .map(str::to_owned)
        .or_else(host_file)
}

fn host_file() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
