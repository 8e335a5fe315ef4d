//! Runs git for what a checkout tells: which commit it is, and what git has. It gets neither the secrets of this process nor what
//! the repository's own settings would make it run, since they may come from a branch that nobody has reviewed.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The variables that git needs: where programs are, and where the user's own configuration and the repository are.
const INHERITED: [&str; 6] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "GIT_CONFIG_GLOBAL",
    "GIT_DIR",
    "GIT_WORK_TREE",
];

/// git in a folder, without arguments of its own yet.
#[expect(
    clippy::disallowed_methods,
    reason = "another program inherits them; nothing here depends on them"
)]
pub(super) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        // A status must not write to the repository, nor ask anybody.
        .envs([("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0")])
        .args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .arg("-C")
        .arg(folder)
        .stdin(Stdio::null());
    command
}
