//! Who is at work: the text that others see on a lease of ours, and when they have to wait for it.

use super::environment::{Environment, names};

/// `trimtab apply draft/staging by ci-bot, https://github.com/…/runs/7`.
pub(super) fn holder(command: &str, place: &str, environment: &Environment) -> String {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let who = names::WHO.iter().find_map(|name| get(name)).unwrap_or("somebody");
    let at = run(environment).or_else(|| get(names::HOST).map(str::to_owned)).or_else(host);
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
    github().or_else(|| names::RUN_URL.iter().find_map(|name| environment.get(name)).map(str::to_owned))
}

/// The machine's name. A shell knows it and rarely exports it.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
