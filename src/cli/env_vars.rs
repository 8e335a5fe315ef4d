//! The one place that reads the process's environment. Everything else gets values handed down.

use std::collections::BTreeMap;

/// Names of the variables that trimtab itself reads.
pub(super) mod names {
    /// The Fly token, unless the manifest names another variable.
    pub(in crate::cli) const TOKEN: &str = "FLY_API_TOKEN";
    /// Where the Machines API is, as for flyctl.
    pub(in crate::cli) const MACHINES_API: &str = "FLY_FLAPS_BASE_URL";
    /// Where the logs are, as for flyctl.
    pub(in crate::cli) const API: &str = "FLY_API_BASE_URL";
    /// Where organizations are looked up, as for flyctl.
    pub(in crate::cli) const UIEX: &str = "FLY_UIEX_BASE_URL";
    /// Where every image registry is asked instead of at its own address: at an imitation.
    pub(in crate::cli) const REGISTRIES: &str = "TRIMTAB_REGISTRY_BASE_URL";
    /// Who runs this: on GitHub, or in a shell.
    pub(in crate::cli) const USER_NAMES: [&str; 3] = ["GITHUB_ACTOR", "USER", "LOGNAME"];
    /// What makes the address of a run on GitHub.
    pub(in crate::cli) const GITHUB_RUN_PARTS: [&str; 3] =
        ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"];
    /// The machine's name.
    pub(in crate::cli) const HOST: &str = "HOSTNAME";
    /// Faults of the embedded sandbox, as `trimtab sandbox --fault`, separated by commas.
    pub(in crate::cli) const SANDBOX_FAULT: &str = "TRIMTAB_SANDBOX_FAULT";
    /// Latency of the embedded sandbox, as `trimtab sandbox --latency`.
    pub(in crate::cli) const SANDBOX_LATENCY: &str = "TRIMTAB_SANDBOX_LATENCY";
    /// Where the embedded sandbox records every exchange, as `trimtab sandbox --record`.
    pub(in crate::cli) const SANDBOX_RECORD: &str = "TRIMTAB_SANDBOX_RECORD";
    /// How much faster than Fly the embedded sandbox runs, as `trimtab sandbox --speed`.
    pub(in crate::cli) const SANDBOX_SPEED: &str = "TRIMTAB_SANDBOX_SPEED";
    /// Whether this is a pipeline: then progress is one line for each change.
    pub(in crate::cli) const CI: &str = "CI";
    /// Whether this is GitHub Actions, whose log folds, marks errors, and obeys what looks like a command.
    pub(in crate::cli) const GITHUB: &str = "GITHUB_ACTIONS";
}

/// The variables of the process, with those of an `--env-file` beneath them.
#[derive(Clone, Default)]
pub(super) struct EnvVars(BTreeMap<String, String>);

impl std::fmt::Debug for EnvVars {
    /// Only the names: secrets are among the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl EnvVars {
    /// Reads the process's variables; one that is not text is passed over.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub(super) fn from_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Adds values for names that are not set yet.
    pub(super) fn add_defaults(&mut self, values: BTreeMap<String, String>) {
        for (name, value) in values {
            self.0.entry(name).or_insert(value);
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All of them, for the sources of secrets.
    pub(super) fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}
