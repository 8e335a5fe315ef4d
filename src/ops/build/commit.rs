//! The commit that an image is built from, which gives it its tag.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{BuildOptions, OperationError, group::BuildPaths};
use crate::ops::git::{self, GitError};

/// The commit of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BuildCommit {
    /// The id.
    pub(super) id: String,
    /// Whether files differ from it.
    pub(super) is_dirty: bool,
    /// The root of the checkout; `None` without git.
    pub(super) root: Option<PathBuf>,
}

/// Finds the commit that is checked out where the build's files are, or else the one that the pipeline names.
pub(super) fn find(
    paths: &BuildPaths,
    options: &BuildOptions,
) -> Result<BuildCommit, OperationError> {
    let head = git(&paths.context, &["rev-parse", "--show-toplevel", "HEAD"]);
    let known = head
        .as_deref()
        .ok()
        .and_then(|text| text.trim_end().rsplit_once('\n'));
    let checkout = known.filter(|(_, id)| is_commit_id(id));
    let root = checkout.and_then(|(root, _)| std::fs::canonicalize(root).ok());
    if let (Some((_, id)), Some(root)) = (checkout, root) {
        return Ok(BuildCommit {
            id: id.to_owned(),
            is_dirty: is_dirty(paths, &root, options)?,
            root: Some(root),
        });
    }
    // A pipeline may have checked out another commit than the one that it names, so git's other errors are errors.
    let has_no_checkout = head.as_ref().err().is_none_or(GitError::is_no_repository);
    match options
        .commit
        .as_deref()
        .filter(|id| is_commit_id(id) && has_no_checkout)
    {
        Some(id) => Ok(BuildCommit {
            id: id.to_owned(),
            is_dirty: false,
            root: None,
        }),
        None => Err(OperationError::invalid(
            format!(
                "cannot tell which commit {} is: {}",
                paths.context.display(),
                head.err()
                    .map_or_else(|| "it has no commit".to_owned(), |error| error.to_string())
            ),
            "an image is tagged with its commit: run it in a git checkout with a commit, or set GITHUB_SHA",
        )),
    }
}

/// Whether a file of the build differs from the commit.
fn is_dirty(
    paths: &BuildPaths,
    root: &Path,
    options: &BuildOptions,
) -> Result<bool, OperationError> {
    let untracked = if options.is_pipeline { "no" } else { "normal" };
    let untracked = format!("--untracked-files={untracked}");
    let mut args: Vec<&OsStr> = ["status", "--porcelain", &untracked, "--"]
        .map(OsStr::new)
        .to_vec();
    args.extend(paths.files_in(root).map(Path::as_os_str));
    match git(&paths.context, &args) {
        Ok(changes) => Ok(!changes.is_empty()),
        Err(reason) => Err(OperationError::invalid(
            format!("cannot tell whether files differ from their commit: {reason}"),
            "`git status` has to work in the folder that is built",
        )),
    }
}

/// Whether a text is the id of a commit, with SHA-1 or SHA-256.
fn is_commit_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Runs git in a folder. What it prints are ids and paths.
fn git(folder: &Path, args: &[impl AsRef<OsStr>]) -> Result<String, GitError> {
    let output = git::run(folder, args)?;
    String::from_utf8(output).map_err(|error| GitError::Failed(error.to_string()))
}
