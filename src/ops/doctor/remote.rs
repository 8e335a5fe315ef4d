//! Which repository on GitHub this is, from the configuration of git: a token is sent to its server only.

use std::path::{Path, PathBuf};

use crate::manifest::syntax::bounded_read;

/// A repository on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRepository {
    /// The host name of the server.
    pub host: String,
    /// `owner/name`.
    pub repository: String,
}

/// The repository that `origin` of the nearest repository around `folder` names.
#[must_use]
pub fn find_remote(folder: &Path) -> Option<RemoteRepository> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let git = folder
        .ancestors()
        .map(|dir| dir.join(".git"))
        .find(|git| git.exists())?;
    let config = bounded_read::read_user_file(&common_dir(&git)?.join("config")).ok()?;
    parse_url(&origin_url(&config)?)
}

/// The folder with the configuration. In a worktree or a submodule `.git` is a file that leads there.
fn common_dir(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = bounded_read::read_user_file(git).ok()?;
    let target = text.trim().strip_prefix("gitdir:")?.trim();
    let dir = git.parent()?.join(target);
    match bounded_read::read_user_file(&dir.join("commondir")) {
        Ok(common) => Some(dir.join(common.trim())),
        Err(_) => Some(dir),
    }
}

/// The `url` of `[remote "origin"]`.
fn origin_url(config: &str) -> Option<String> {
    let mut is_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            is_origin = line.replace(char::is_whitespace, "") == "[remote\"origin\"]";
        } else if is_origin
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("url")
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

/// `https://HOST/O/R.git`, `ssh://git@HOST:22/O/R.git` or `git@HOST:O/R.git`.
fn parse_url(url: &str) -> Option<RemoteRepository> {
    let (authority, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => url.split_once(':')?,
    };
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let (owner, name) = path.split_once('/')?;
    let is_plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    (is_plain(host) && is_plain(owner) && is_plain(name)).then(|| RemoteRepository {
        // GitHub's address for ssh over the port of https.
        host: match host.to_ascii_lowercase() {
            host if host == "ssh.github.com" => "github.com".to_owned(),
            host => host,
        },
        repository: format!("{owner}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_understood() {
        for url in [
            "https://github.com/acme/shop.git",
            "https://github.com/acme/shop",
            "https://user:pass@github.com/acme/shop.git",
            "git@github.com:acme/shop.git",
            "ssh://git@github.com/acme/shop.git",
            "ssh://git@ssh.github.com:443/acme/shop.git",
        ] {
            let found = parse_url(url).unwrap();
            assert_eq!(
                (found.host.as_str(), found.repository.as_str()),
                ("github.com", "acme/shop"),
                "{url}"
            );
        }
        assert_eq!(parse_url("../shop.git"), None);
        assert_eq!(parse_url("/srv/git/shop.git"), None);
        assert_eq!(parse_url("https://gitlab.com/group/sub/shop"), None);
    }

    #[test]
    fn only_origin_counts() {
        let config = "[core]\n\turl = no\n[remote \"fork\"]\n\turl = https://github.com/me/shop\n\
                      [remote \"origin\"]\n\tfetch = +refs/heads/*\n\turl = https://github.com/acme/shop\n";
        assert_eq!(
            origin_url(config).as_deref(),
            Some("https://github.com/acme/shop")
        );
        assert_eq!(origin_url("[remote \"fork\"]\nurl = x\n"), None);
    }

    #[test]
    fn a_worktree_leads_to_its_repository() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main/.git");
        let own = main.join("worktrees/topic");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(
            main.join("config"),
            "[remote \"origin\"]\nurl = git@github.com:acme/shop.git\n",
        )
        .unwrap();
        std::fs::write(own.join("commondir"), "../..\n").unwrap();
        let worktree = dir.path().join("topic/environments");
        std::fs::create_dir_all(&worktree).unwrap();
        let text = format!("gitdir: {}\n", own.display());
        std::fs::write(dir.path().join("topic/.git"), text).unwrap();
        assert_eq!(find_remote(&worktree).unwrap().repository, "acme/shop");
    }
}
