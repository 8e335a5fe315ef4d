//! What GitHub would refuse in names, patterns and settings, and settings that contradict each other.

use std::collections::BTreeMap;

use super::{cron, steps};
use crate::manifest::{
    github::{DeployTriggers, Install},
    lower::Diagnostics,
    schema::{
        CronSetting, DeployConcurrency, GithubSection, GithubWorkflowsSection, InstallSection,
        OneOrMany, ReviewPolicy, slice_or_empty,
    },
    syntax::cursor::Cursor,
};

/// Collects the errors of `[github]`.
pub(super) struct Checks<'d, 'a> {
    pub(super) diagnostics: &'d mut Diagnostics,
    pub(super) root: Cursor<'a>,
}

impl Checks<'_, '_> {
    pub(super) fn error(
        &mut self,
        cursor: Cursor<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.diagnostics
            .error(cursor.diagnostic(message).with_help(help));
    }

    pub(super) fn error_at_key(
        &mut self,
        cursor: Cursor<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.diagnostics
            .error(cursor.key_diagnostic(message).with_help(help));
    }

    /// The name of a secret or a variable on GitHub.
    pub(super) fn secret_name(&mut self, name: &str, cursor: Cursor<'_>) {
        if !is_identifier(name) {
            self.error(
                cursor,
                // Not repeated: it may be the secret itself, in the place of its name.
                "this cannot be the name of a secret or a variable on GitHub",
                "use letters, digits and `_`, and no digit in front",
            );
        } else if name.to_ascii_uppercase().starts_with("GITHUB_") {
            self.error(
                cursor,
                format!(
                    "`{name}`: GitHub takes no secrets and variables that begin with `GITHUB_`"
                ),
                "name another: [github.secrets] maps a variable to a secret of another name",
            );
        }
    }

    /// The name of an environment variable of a step.
    pub(super) fn variable_name(&mut self, name: &str, cursor: Cursor<'_>) {
        if !is_identifier(name) {
            self.error_at_key(
                cursor,
                "this cannot be the name of an environment variable",
                "use letters, digits and `_`, and no digit in front",
            );
        } else if name.starts_with("GITHUB_") || name.starts_with("RUNNER_") {
            self.error_at_key(
                cursor,
                format!("the runner sets `{name}` by itself"),
                "use another name",
            );
        }
    }

    /// The name of an environment on GitHub.
    pub(super) fn environment_name(&mut self, name: &str, cursor: Cursor<'_>) {
        let is_valid = !name.trim().is_empty()
            && name.len() <= 255
            && !name.contains("${{")
            && !name
                .chars()
                .any(|c| c.is_control() || "'\"`,;\\".contains(c));
        if !is_valid {
            self.error(
                cursor,
                format!("`{name}` cannot be the name of an environment on GitHub"),
                "use up to 255 letters, digits, spaces, `-`, `_`, `.` and `/`",
            );
        }
    }

    /// Patterns of branches or tags.
    pub(super) fn ref_patterns(&mut self, patterns: &[String], cursor: Cursor<'_>) {
        for (index, pattern) in patterns.iter().enumerate() {
            let is_valid = !pattern.is_empty()
                && pattern != "!"
                && !pattern.starts_with("refs/")
                && !pattern.contains("${{")
                && !pattern
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || "~^:\\".contains(c));
            if !is_valid {
                self.error(
                    cursor.item(index),
                    format!("`{pattern}` matches no branch or tag"),
                    "write a name or a pattern, such as `main`, `release/**` or `v*`",
                );
            }
        }
        if !patterns.is_empty() && patterns.iter().all(|pattern| pattern.starts_with('!')) {
            self.error(
                cursor,
                "patterns that begin with `!` only take out of others, and there are no others",
                "begin with what to take in, such as `\"**\"`",
            );
        }
    }

    /// Settings of an environment that contradict each other.
    pub(super) fn clashes(
        &mut self,
        section: &GithubSection,
        triggers: &DeployTriggers,
        concurrency: DeployConcurrency,
        cursor: Cursor<'_>,
    ) {
        let asks_for_review = section
            .reviewed
            .is_some_and(|reviewed| reviewed != ReviewPolicy::Off);
        if asks_for_review && triggers.branches.is_empty() && !triggers.is_empty() {
            self.error(
                cursor.key("reviewed"),
                "`reviewed` looks for the pull request of a push to a branch, and no push deploys this environment",
                "take it out: a deployment by tag or by hand plans first, and applies that plan",
            );
        }
        if section.reviewed == Some(ReviewPolicy::Required) && section.comment == Some(false) {
            self.error(
                cursor.key("reviewed"),
                "a reviewed plan is required, but with `comment = false` no pull request shows one",
                "take one of them out",
            );
        }
        let patterns = slice_or_empty(section.skip_if_message.as_ref());
        if !patterns.is_empty() && triggers.branches.is_empty() && !triggers.is_empty() {
            self.error(
                cursor.key("skip_if_message"),
                "`skip_if_message` is about pushes to a branch, and none deploys this environment",
                "take it out, or write `branches`",
            );
        }
        for (index, pattern) in patterns.iter().enumerate() {
            let cursor = cursor.key("skip_if_message").item(index);
            if pattern
                .trim_matches(|c: char| c == '*' || c.is_whitespace())
                .is_empty()
            {
                self.error(
                    cursor,
                    "it would skip every commit",
                    "write a part of the message",
                );
            } else if pattern.contains("${{")
                || pattern
                    .chars()
                    .any(|c| c.is_control() && c != '\n' && c != '\r')
            {
                self.error(
                    cursor,
                    "GitHub would read `${{` as an expression",
                    "write another part of the message",
                );
            } else if pattern.contains(['\n', '\r']) {
                self.error(
                    cursor,
                    "a pattern is one line: only the subject of a message is looked at",
                    "write one line",
                );
            } else if concurrency == DeployConcurrency::Cancel
                && pattern.trim_end_matches('*').contains('*')
            {
                self.error(
                    cursor,
                    "with `concurrency = \"cancel\"`, GitHub has to know from the message alone that a push \
                     deploys nothing, and it knows only text and text with one `*` at its end",
                    "else the push would cancel the deployment before it",
                );
            }
        }
    }

    /// One variable that would come from two places.
    pub(super) fn sources(
        &mut self,
        section: &GithubSection,
        token_variable: &str,
        cursor: Cursor<'_>,
    ) {
        for variable in section.secrets.keys() {
            if section.vars.contains_key(variable) {
                self.error_at_key(
                    cursor.key("vars").key(variable),
                    format!("`{variable}` comes from a secret as well"),
                    "take it out of [github.secrets] or of [github.vars]",
                );
            }
        }
        for table in ["secrets", "vars"] {
            let cursor = cursor.key(table).key(token_variable);
            let sources: &BTreeMap<String, String> = match table {
                "secrets" => &section.secrets,
                _ => &section.vars,
            };
            if sources.contains_key(token_variable) {
                self.error_at_key(
                    cursor,
                    format!("`{token_variable}` is Fly's token, which plans and deployments read from different secrets"),
                    "name the secrets with `token` and `read_token` in [github]",
                );
            }
        }
    }

    /// The labels of a runner.
    pub(super) fn runner(
        &mut self,
        stated: Option<&OneOrMany<String>>,
        cursor: Cursor<'_>,
    ) -> Option<Vec<String>> {
        let labels = stated?.as_slice();
        for (index, label) in labels.iter().enumerate() {
            if label.trim().is_empty()
                || label.contains("${{")
                || label.chars().any(char::is_control)
            {
                self.error(
                    cursor.item(index),
                    format!("`{label}` cannot be the label of a runner"),
                    "write a label, such as `ubuntu-24.04` or `self-hosted`",
                );
            }
        }
        if labels.is_empty() {
            self.error(
                cursor,
                "a runner has at least one label",
                "such as `ubuntu-24.04`",
            );
        }
        Some(labels.to_vec())
    }

    /// The settings of the whole project.
    pub(super) fn workflows(&mut self, section: &GithubWorkflowsSection, cursor: Cursor<'_>) {
        if let Some(test) = &section.test
            && !is_reusable_workflow(test)
        {
            self.error(
                cursor.key("test"),
                format!("`{test}` cannot be called as a workflow"),
                "write ./.github/workflows/NAME.yml, or OWNER/REPOSITORY/.github/workflows/NAME.yml@COMMIT",
            );
        }
        if let Some(CronSetting::Cron(text)) = &section.drift
            && let Some(why) = cron::refusal(text)
        {
            self.error(
                cursor.key("drift"),
                why,
                "such as `17 5 * * *`: every day at 5:17 UTC",
            );
        }
        self.runner(section.runner.as_ref(), cursor.key("runner"));
        if let Some(name) = &section.plan_environment {
            self.environment_name(name, cursor.key("plan_environment"));
        }
        if section.environments == Some(false) && section.plan_environment.is_some() {
            self.error_at_key(
                cursor.key("plan_environment"),
                "`environments = false` says that GitHub's environments are not used",
                "take one of them out",
            );
        }
        if let Some(name) = &section.aws_plan_role {
            self.secret_name(name, cursor.key("aws_plan_role"));
        }
        if let Some(branch) = &section.default_branch {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            if branch.is_empty() || branch.starts_with('-') || !branch.chars().all(is_plain) {
                self.error(
                    cursor.key("default_branch"),
                    format!("`{branch}` is no branch"),
                    "write its name, such as `main`",
                );
            }
        }
        for (action, pin) in &section.pins {
            let commit = pin.split(' ').next().unwrap_or_default();
            if !is_commit(commit) || pin.chars().any(char::is_control) {
                self.error(
                    cursor.key("pins").key(action),
                    format!("`{pin}` is no commit"),
                    "write 40 hexadecimal digits, and the version as a comment: `3d3c… # v7.0.1`; a tag can be moved",
                );
            }
        }
    }

    /// How trimtab is installed.
    pub(super) fn install(
        &mut self,
        stated: Option<&InstallSection>,
        cursor: Cursor<'_>,
    ) -> Option<Install> {
        let section = stated?;
        let ways = [
            ("release", section.release.is_some()),
            ("cargo", section.cargo.is_some()),
            ("git", section.git.is_some()),
            ("container", section.container.is_some()),
            ("steps", section.steps.is_some()),
        ];
        let chosen: Vec<&str> = ways.iter().filter(|way| way.1).map(|way| way.0).collect();
        let [chosen] = chosen.as_slice() else {
            self.error(
                cursor,
                "trimtab is installed in exactly one way: `release`, `cargo`, `git`, `container` or `steps`",
                "write one of them",
            );
            return None;
        };
        for (key, belongs_to, is_stated) in [
            ("sha256", "release", section.sha256.is_some()),
            ("rev", "git", section.rev.is_some()),
        ] {
            if is_stated != (belongs_to == *chosen) {
                let cursor = if is_stated {
                    cursor.key(key)
                } else {
                    cursor.key(chosen)
                };
                self.error(
                    cursor,
                    format!("`{key}` belongs to `{belongs_to}`"),
                    "write both or none of them",
                );
            }
        }
        self.check_install_values(section, cursor);
        Some(match *chosen {
            "release" => Install::Release {
                url: section.release.clone().unwrap_or_default(),
                sha256: section.sha256.clone().unwrap_or_default(),
            },
            "cargo" => Install::Cargo(section.cargo.clone().unwrap_or_default()),
            "git" => Install::Git {
                url: section.git.clone().unwrap_or_default(),
                rev: section.rev.clone().unwrap_or_default(),
            },
            "container" => Install::Container(section.container.clone().unwrap_or_default()),
            _ => {
                let stated = section.steps.iter().flatten().enumerate();
                let cursor = cursor.key("steps");
                let steps = stated
                    .filter_map(|(index, step)| steps::lower_step(step, cursor.item(index), self));
                Install::Steps(steps.collect())
            }
        })
    }

    /// These values stand in a script, so nothing in them may mean something to the shell.
    fn check_install_values(&mut self, section: &InstallSection, cursor: Cursor<'_>) {
        type Row<'s> = (&'s str, &'s Option<String>, fn(&str) -> bool, &'s str);
        let address = "write an address that begins with https://, of letters, digits and `-._~:/%+=@`, without a user in front of the host";
        let rows: [Row<'_>; 6] = [
            ("release", &section.release, is_address, address),
            ("git", &section.git, is_address, address),
            (
                "cargo",
                &section.cargo,
                |text| text.split('.').count() >= 3 && is_plain(text, ".-+"),
                "write a whole version, such as `1.2.3`",
            ),
            (
                "sha256",
                &section.sha256,
                |text| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()),
                "write the 64 hexadecimal digits that `sha256sum` prints",
            ),
            (
                "rev",
                &section.rev,
                is_commit,
                "write the 40 hexadecimal digits of a commit",
            ),
            (
                "container",
                &section.container,
                |text| is_plain(text, "-._:/@"),
                "write a reference, such as `ghcr.io/acme/trimtab@sha256:…`",
            ),
        ];
        for (key, value, is_valid, help) in rows {
            if let Some(value) = value
                && !is_valid(value)
            {
                self.error(
                    cursor.key(key),
                    // Not repeated: an address can hold a password.
                    format!("this cannot be `{key}`"),
                    help,
                );
            }
        }
    }
}

/// Whether a text has only letters, digits and `more`, and is no option of a command.
fn is_plain(text: &str, more: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_allowed)
}

/// Whether a text is an address that a shell takes as it is.
fn is_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else {
        return false;
    };
    // Whoever reads the workflow would read the password of a user in front of the host.
    let has_user = rest.split('/').next().unwrap_or_default().contains('@');
    !has_user && is_plain(text, "-._~:/%+=@")
}

/// Whether a text is a name as variables of a shell have it.
fn is_identifier(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty()
        && text.chars().all(is_allowed)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether a text is a whole commit id.
fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether a text is what GitHub takes as a workflow to call. Those that trimtab writes cannot be called.
fn is_reusable_workflow(text: &str) -> bool {
    const FOLDER: &str = ".github/workflows/";
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_file = |file: &str| {
        let is_yaml = file.ends_with(".yml") || file.ends_with(".yaml");
        is_yaml && !file.contains('/') && file.chars().all(is_plain)
    };
    if let Some(file) = text
        .strip_prefix("./")
        .and_then(|path| path.strip_prefix(FOLDER))
    {
        return is_file(file) && !file.starts_with("trimtab-");
    }
    let Some((path, reference)) = text.split_once('@') else {
        return false;
    };
    let Some((repository, file)) = path.split_once(&format!("/{FOLDER}")) else {
        return false;
    };
    let parts: Vec<&str> = repository.split('/').collect();
    parts.len() == 2
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.chars().all(is_plain))
        && is_file(file)
        && !reference.is_empty()
        && reference.chars().all(is_plain)
}
