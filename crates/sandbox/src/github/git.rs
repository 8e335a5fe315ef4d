//! The history of a repository: refs, ancestry, and how a merge changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::state::{GithubCommit, GithubFile, GithubRepository};

/// How the branch of a pull request is brought to its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

impl GithubRepository {
    /// The commit that a branch, a tag, a full ref or a hash names. A hash may be cut after seven
    /// digits.
    pub(crate) fn resolve(&self, name: &str) -> Option<&GithubCommit> {
        let short = name.strip_prefix("refs/").unwrap_or(name);
        let pull = short
            .strip_prefix("pull/")
            .and_then(|rest| rest.split_once('/'))
            .and_then(|(number, side)| Some((self.pulls.get(&number.parse().ok()?)?, side)));
        let sha = match (
            short.strip_prefix("heads/"),
            short.strip_prefix("tags/"),
            pull,
        ) {
            (Some(branch), _, _) => self.branches.get(branch).cloned(),
            (_, Some(tag), _) => self.tags.get(tag).cloned(),
            (_, _, Some((pull, "head"))) => Some(pull.head_sha.clone()),
            (_, _, Some((pull, "merge"))) => pull.merge_commit_sha.clone(),
            _ => self
                .branches
                .get(name)
                .or_else(|| self.tags.get(name))
                .cloned(),
        };
        match sha {
            Some(sha) => self.commits.get(&sha),
            None if name.len() >= 7 => self
                .commits
                .range(name.to_owned()..)
                .next()
                .filter(|(sha, _)| sha.starts_with(name))
                .map(|(_, commit)| commit),
            None => None,
        }
    }

    /// A commit and everything before it.
    pub(crate) fn ancestors(&self, sha: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::from([sha.to_owned()]);
        while let Some(sha) = queue.pop_front() {
            if let Some(commit) = self.commits.get(&sha)
                && seen.insert(sha)
            {
                queue.extend(commit.parents.iter().cloned());
            }
        }
        seen
    }

    /// The commits that are in the history of `head` and not in that of `base`, the oldest first.
    pub(crate) fn commits_between(&self, base: &str, head: &str) -> Vec<&GithubCommit> {
        let known = self.ancestors(base);
        let mut added: Vec<&GithubCommit> = self
            .ancestors(head)
            .difference(&known)
            .filter_map(|sha| self.commits.get(sha))
            .collect();
        // A commit has more ancestors than each of its parents.
        added.sort_by_cached_key(|commit| (self.ancestors(&commit.sha).len(), commit.sha.clone()));
        added
    }

    /// The newest commit that both histories have.
    pub(crate) fn merge_base(&self, base: &str, head: &str) -> Option<&GithubCommit> {
        let known = self.ancestors(base);
        let common = self.ancestors(head);
        common
            .intersection(&known)
            .max_by_key(|sha| self.ancestors(sha).len())
            .and_then(|sha| self.commits.get(sha))
    }

    /// The files of `base` with the changes that `head` has since their common commit.
    fn merged_files(&self, base: &str, head: &str) -> BTreeMap<String, String> {
        let files = |sha: &str| self.commits.get(sha).map(|commit| &commit.files);
        let (Some(ours), Some(theirs)) = (files(base), files(head)) else {
            return BTreeMap::new();
        };
        let common = self.merge_base(base, head);
        let before = |path: &String| common.and_then(|commit| commit.files.get(path));
        let mut merged = ours.clone();
        for path in ours.keys().chain(theirs.keys()) {
            match theirs.get(path) {
                changed if changed == before(path) => {}
                Some(content) => drop(merged.insert(path.clone(), content.clone())),
                None => drop(merged.remove(path)),
            }
        }
        merged
    }
}

/// What a new commit consists of, besides its files.
#[derive(Clone, Debug)]
pub(crate) struct CommitDraft {
    pub(crate) parents: Vec<String>,
    pub(crate) message: String,
    pub(crate) author: String,
    pub(crate) now_ms: i64,
}

/// Adds a commit and returns its hash.
pub(crate) fn add_commit(
    file: &mut GithubFile,
    repository: u64,
    draft: CommitDraft,
    files: BTreeMap<String, String>,
) -> String {
    let sha = file.next_sha(repository);
    let commit = GithubCommit {
        sha: sha.clone(),
        parents: draft.parents,
        message: draft.message,
        author: draft.author,
        created_ms: draft.now_ms,
        files,
    };
    if let Some(repository) = file.repositories.get_mut(&repository) {
        repository.commits.insert(sha.clone(), commit);
    }
    sha
}

/// Adds the commit of a merge of `head` into `base` and returns its hash.
pub(crate) fn merge_commit(
    file: &mut GithubFile,
    repository: u64,
    (base, head): (&str, &str),
    draft: CommitDraft,
) -> String {
    let found = file.repositories.get(&repository);
    let files = found.map(|found| found.merged_files(base, head));
    add_commit(file, repository, draft, files.unwrap_or_default())
}

/// Copies the commits of a branch onto `base`. Returns the hashes of the copies, the oldest first.
pub(crate) fn rebase(
    file: &mut GithubFile,
    repository: u64,
    (base, head): (&str, &str),
    now_ms: i64,
) -> Vec<String> {
    let commits: Vec<GithubCommit> = file
        .repositories
        .get(&repository)
        .map(|found| found.commits_between(base, head))
        .unwrap_or_default()
        .into_iter()
        .cloned()
        .collect();
    let mut tip = base.to_owned();
    let mut copies = Vec::new();
    for commit in commits {
        let draft = CommitDraft {
            parents: vec![tip.clone()],
            message: commit.message,
            author: commit.author,
            now_ms,
        };
        tip = merge_commit(file, repository, (base, &commit.sha), draft);
        copies.push(tip.clone());
    }
    copies
}
