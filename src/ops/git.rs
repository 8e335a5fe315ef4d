//! Runs git for what a checkout tells: which commit it is, what its message says, and what git has.
//!
//! git gets none of the secrets of this process. Settings of the repository may come from a branch that nobody has reviewed, so
//! that they must not make git run a program, or fetch anything.

use std::{
    ffi::OsStr,
    io::ErrorKind,
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
/// Settings that win over those of the repository.
const SAFE_SETTINGS: [&str; 6] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "log.showSignature=false", // would print the signature before the message, and run `gpg.program`
    "protocol.allow=never",
];

/// Why git told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// It is not installed.
    #[error("git cannot be run: it is not installed")]
    NotInstalled,
    /// It could not be run.
    #[error("git cannot be run: {0}")]
    NotRun(String),
    /// It failed; the first line of what it said.
    #[error("git said: {0}")]
    Failed(String),
}

impl GitError {
    /// Whether there is nothing that git could tell of: no repository, or no git.
    #[must_use]
    pub fn is_no_repository(&self) -> bool {
        match self {
            Self::NotInstalled => true,
            Self::NotRun(_) => false,
            Self::Failed(said) => said.contains("not a git repository"),
        }
    }
}

/// Runs git in a folder, and returns what it prints.
///
/// # Errors
/// When it is not installed, or fails.
#[expect(
    clippy::disallowed_methods,
    reason = "another program inherits them; nothing here depends on them"
)]
pub fn run(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Result<Vec<u8>, GitError> {
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let output = Command::new("git")
        .env_clear()
        .envs(inherited)
        .envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"), // reading must not write
            ("GIT_TERMINAL_PROMPT", "0"),
        ])
        .args(SAFE_SETTINGS.iter().flat_map(|setting| ["-c", setting]))
        .arg("-C")
        .arg(folder)
        .arg("--no-pager")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => GitError::NotInstalled,
            _ => GitError::NotRun(error.to_string()),
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("nothing");
    Err(GitError::Failed(
        first.trim_start_matches("fatal: ").to_owned(),
    ))
}
