//! The only place that reads environment variables. Everything else gets their values as arguments.

use std::collections::BTreeMap;

use crate::model::{contains_secret, register_secret};

/// The names of the variables that trimtab reads.
pub(super) mod names {
    /// The Fly token, unless the manifest names another variable.
    pub(in crate::cli) const TOKEN: &str = "FLY_API_TOKEN";
    /// Credentials, whichever command is run.
    pub(in crate::cli) const CREDENTIALS: [&str; 8] = [
        TOKEN,
        "FLY_ACCESS_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "GITHUB_TOKEN",
        "GH_TOKEN",
    ];
    /// The tokens for GitHub's API, in the order in which they are looked for; the second is that of `gh`.
    pub(in crate::cli) const GITHUB_TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];
    /// The base URL of GitHub's API, as the runner gives it.
    pub(in crate::cli) const GITHUB_API: &str = "GITHUB_API_URL";
    /// The file with the event that started a run of GitHub Actions.
    pub(in crate::cli) const GITHUB_EVENT: &str = "GITHUB_EVENT_PATH";
    /// The file that takes the outputs of a step.
    pub(in crate::cli) const GITHUB_OUTPUT: &str = "GITHUB_OUTPUT";
    /// The file that takes the summary of a step.
    pub(in crate::cli) const GITHUB_SUMMARY: &str = "GITHUB_STEP_SUMMARY";
    /// The folder that a repository is checked out to.
    pub(in crate::cli) const GITHUB_WORKSPACE: &str = "GITHUB_WORKSPACE";
    /// The base URL of the Machines API, as for flyctl.
    pub(in crate::cli) const MACHINES_API: &str = "FLY_FLAPS_BASE_URL";
    /// The base URL of the logs, as for flyctl.
    pub(in crate::cli) const API: &str = "FLY_API_BASE_URL";
    /// The base URL for organization lookups, as for flyctl.
    pub(in crate::cli) const UIEX: &str = "FLY_UIEX_BASE_URL";
    /// The base URL of an imitation that is asked instead of every image registry.
    pub(in crate::cli) const REGISTRIES: &str = "TRIMTAB_REGISTRY_BASE_URL";
    /// The base URL of a sandbox that serves the pages of all apps, instead of their public host names.
    pub(in crate::cli) const PUBLIC_PAGES: &str = "TRIMTAB_PUBLIC_BASE_URL";
    /// Who runs this: on GitHub, or in a shell.
    pub(in crate::cli) const USER_NAMES: [&str; 3] = ["GITHUB_ACTOR", "USER", "LOGNAME"];
    /// The parts of a run's URL on GitHub.
    pub(in crate::cli) const GITHUB_RUN_PARTS: [&str; 3] =
        ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"];
    /// The host name.
    pub(in crate::cli) const HOST: &str = "HOSTNAME";
    /// Faults of the embedded sandbox, as `trimtab sandbox --fault`, separated by commas.
    pub(in crate::cli) const SANDBOX_FAULT: &str = "TRIMTAB_SANDBOX_FAULT";
    /// Latency of the embedded sandbox, as `trimtab sandbox --latency`.
    pub(in crate::cli) const SANDBOX_LATENCY: &str = "TRIMTAB_SANDBOX_LATENCY";
    /// The file in which the embedded sandbox records every exchange, as `trimtab sandbox --record`.
    pub(in crate::cli) const SANDBOX_RECORD: &str = "TRIMTAB_SANDBOX_RECORD";
    /// How much faster than Fly the embedded sandbox runs, as `trimtab sandbox --speed`.
    pub(in crate::cli) const SANDBOX_SPEED: &str = "TRIMTAB_SANDBOX_SPEED";
    /// The width of the output, where the user sets it.
    pub(in crate::cli) const COLUMNS: &str = "COLUMNS";
    /// Set in a pipeline: progress is one line per change there.
    pub(in crate::cli) const CI: &str = "CI";
    /// The commit of a run on GitHub Actions.
    pub(in crate::cli) const GITHUB_COMMIT: &str = "GITHUB_SHA";
    /// `true` on GitHub Actions, whose log has groups and annotations, and obeys lines that look like workflow commands.
    pub(in crate::cli) const GITHUB: &str = "GITHUB_ACTIONS";
}

/// The variables of the process, and as defaults those of `--env-file`.
#[derive(Clone, Default)]
pub(super) struct EnvVars(BTreeMap<String, String>);

impl std::fmt::Debug for EnvVars {
    /// Prints only the names, since values can be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl EnvVars {
    /// Reads the variables of the process. Variables that are not UTF-8 are ignored.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub(super) fn from_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Registers the credentials of the process as secrets, before anything else is printed.
    pub(super) fn register_tokens(&self) {
        names::CREDENTIALS
            .iter()
            .filter_map(|name| self.get(name))
            .for_each(register_secret);
    }

    /// Adds values for names that are not set yet.
    pub(super) fn add_defaults(&mut self, values: BTreeMap<String, String>) {
        for (name, value) in values {
            self.0.entry(name).or_insert(value);
        }
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The names of the variables whose values are known to be secret.
    pub(super) fn secret_names(&self) -> Vec<String> {
        let secret = self.0.iter().filter(|(_, value)| contains_secret(value));
        secret.map(|(name, _)| name.clone()).collect()
    }

    /// All variables, for the sources of secrets.
    pub(super) fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}
