//! The files in a repository: what is compared, what is written, and what is left alone.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use trimtab::{
    ops::{FileState, OperationError, WorkflowComparison, WorkflowRepository},
    workflows::{GeneratedFile, compared_text, generate, keep_pins},
};

use super::{PROJECTS, load_all, project};
use crate::support::copy_files;

/// A repository with the manifests of the reader's own example.
struct Repository {
    dir: tempfile::TempDir,
    folder: &'static str,
}

impl Repository {
    fn new() -> Self {
        Self::with_folder("environments")
    }

    fn with_folder(folder: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("environments");
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        copy_files(&source, &dir.path().join(folder));
        Self { dir, folder }
    }

    fn compare(&self) -> Result<(WorkflowRepository, WorkflowComparison), OperationError> {
        let environments = self.dir.path().join(self.folder);
        let repository = WorkflowRepository::find(&environments, self.dir.path())?;
        let comparison = repository.compare(&load_all(&environments))?;
        Ok((repository, comparison))
    }

    /// The state of each file, by its name.
    fn states(&self) -> BTreeMap<String, FileState> {
        let (_, comparison) = self.compare().unwrap();
        let files = comparison.files.into_iter();
        files
            .map(|file| (file.path.rsplit('/').next().unwrap().to_owned(), file.state))
            .collect()
    }

    fn write(&self) {
        let (repository, comparison) = self.compare().unwrap();
        repository.write(&comparison).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(".github/workflows").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    fn edit_manifest(&self, name: &str, from: &str, to: &str) {
        let path = self.dir.path().join(self.folder).join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn error(&self) -> String {
        match self.compare() {
            Err(OperationError::Manifest(error)) => error.render(false, 200),
            Err(error) => error.to_string(),
            Ok(_) => panic!("nothing is wrong"),
        }
    }
}

const PLAN: &str = "trimtab-plan.yml";
const CHECKOUT: &str = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";
const MOVED: &str = "actions/checkout@0123456789abcdef0123456789abcdef01234567 # v8.0.0";

fn generated_files() -> Vec<GeneratedFile> {
    let projects = PROJECTS.iter();
    projects
        .flat_map(|(_, folder)| generate(&project(folder)))
        .collect()
}

#[test]
fn what_was_written_is_up_to_date() {
    let repository = Repository::new();
    let before = repository.states();
    assert_eq!(before.len(), 4);
    assert!(before.values().all(|state| *state == FileState::Missing));
    repository.write();
    let after = repository.states();
    assert!(
        after.values().all(|state| *state == FileState::UpToDate),
        "{after:?}"
    );
    let names = fs::read_dir(repository.path("")).unwrap();
    assert_eq!(names.count(), 4, "no temporary file is left");
}

/// What Dependabot and Renovate do: they change the commit and its comment, everywhere.
#[test]
fn moved_pin_is_no_difference_and_is_kept() {
    let repository = Repository::new();
    repository.write();
    for name in repository.states().keys() {
        repository.edit(name, CHECKOUT, MOVED);
    }
    let states = repository.states();
    assert!(
        states.values().all(|state| *state == FileState::UpToDate),
        "{states:?}"
    );
    // A change of the manifest that comes later does not bring the old pin back.
    repository.edit_manifest("_base.toml", "ci.yml", "tests.yml");
    repository.edit_manifest("staging.toml", "dispatch = true", "dispatch = false");
    let name = "trimtab-deploy-staging.yml";
    let FileState::Differs(diff) = &repository.states()[name] else {
        panic!("{:?}", repository.states());
    };
    assert!(
        !diff.contains("\n-      - uses: actions/checkout"),
        "{diff}"
    );
    assert!(diff.contains("-  workflow_dispatch:\n"), "{diff}");
    repository.write();
    assert!(repository.read(name).contains(MOVED));
    assert!(!repository.read(name).contains(CHECKOUT));
}

#[test]
fn every_pin_may_move_and_nothing_else() {
    for GeneratedFile { name, text } in generated_files() {
        let lines: Vec<&str> = text.lines().collect();
        let mut pins = 0;
        for (index, line) in lines.iter().enumerate() {
            let replaced = |new: &str| {
                let mut changed = lines.clone();
                changed[index] = new;
                changed.join("\n") + "\n"
            };
            let pinned = line.contains("uses: ") && line.contains('@');
            if let Some((head, _)) = line.split_once('@').filter(|_| pinned) {
                pins += 1;
                let new = replaced(&format!("{head}@{} # v99.1", "ab".repeat(20)));
                assert_eq!(compared_text(&new), compared_text(&text), "{name}: {line}");
                assert_eq!(
                    keep_pins(&text, &new).matches("# v99.1").count(),
                    1,
                    "{name}"
                );
            }
            if index > 0 {
                let renamed = line.replacen(|c: char| c.is_alphanumeric(), "Z", 1);
                for other in [
                    &format!(" {line}"),
                    &renamed,
                    &format!("{line} # more {{"),
                    "",
                ] {
                    // Behind a commit stands a comment already, which belongs to the pin.
                    let is_comment = pinned && other.ends_with('{');
                    if other != *line && !is_comment {
                        let new = replaced(other);
                        assert_ne!(compared_text(&new), compared_text(&text), "{name}: {other}");
                    }
                }
            }
        }
        assert!(pins > 0, "{name}");
        let shorter = text.strip_suffix('\n').unwrap();
        assert_ne!(compared_text(shorter), compared_text(&text), "{name}");
        assert_ne!(
            compared_text(&format!("{text}\n")),
            compared_text(&text),
            "{name}"
        );
    }
}

#[test]
fn ends_of_lines_and_the_version_are_not_compared() {
    for GeneratedFile { name, text } in generated_files() {
        let windows = text.replace('\n', "\r\n");
        assert_eq!(compared_text(&windows), compared_text(&text), "{name}");
        let version = format!("version {}.", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&version), "{name}");
        let newer = text.replace(&version, "version 12.3.4-rc.1+build.7.");
        assert_eq!(compared_text(&newer), compared_text(&text), "{name}");
        let without = text.replace(&format!(", {version}"), ".");
        assert_ne!(compared_text(&without), compared_text(&text), "{name}");
    }
}

#[test]
fn moving_reference_is_told_and_replaced() {
    let repository = Repository::new();
    repository.write();
    repository.edit(PLAN, CHECKOUT, "actions/checkout@v7");
    let moving = FileState::Unpinned(vec!["actions/checkout@v7".to_owned()]);
    assert_eq!(repository.states()[PLAN], moving);
    let (_, comparison) = repository.compare().unwrap();
    let stale: Vec<&str> = comparison
        .files
        .iter()
        .filter(|file| file.is_stale())
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(stale, [format!(".github/workflows/{PLAN}")]);
    repository.write();
    assert!(repository.read(PLAN).contains(CHECKOUT));
    assert_eq!(repository.states()[PLAN], FileState::UpToDate);
}

#[test]
fn pin_that_is_quoted_is_a_difference() {
    let repository = Repository::new();
    repository.write();
    repository.edit(
        PLAN,
        CHECKOUT,
        "'actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1'",
    );
    assert!(matches!(repository.states()[PLAN], FileState::Differs(_)));
}

#[test]
fn file_that_nobody_asks_for_is_removed() {
    let repository = Repository::new();
    repository.write();
    repository.edit_manifest(
        "_base.toml",
        "[github.workflows]",
        "[github.workflows]\ndrift = false",
    );
    let states = repository.states();
    assert_eq!(states["trimtab-drift.yml"], FileState::LeftOver);
    repository.write();
    assert!(!repository.path("trimtab-drift.yml").exists());
    assert_eq!(repository.states().len(), 3);
}

#[test]
fn file_without_the_mark_is_left_alone() {
    let repository = Repository::new();
    fs::create_dir_all(repository.path("")).unwrap();
    fs::write(repository.path(PLAN), "name: mine\n").unwrap();
    fs::write(repository.path("trimtab-old.yml"), "name: mine too\n").unwrap();
    fs::write(repository.path("ci.yml"), "name: ci\n").unwrap();
    let states = repository.states();
    assert!(matches!(states[PLAN], FileState::NotOurs(_)));
    assert!(!states.contains_key("trimtab-old.yml") && !states.contains_key("ci.yml"));
    repository.write();
    assert_eq!(repository.read(PLAN), "name: mine\n");
    assert_eq!(repository.read("trimtab-old.yml"), "name: mine too\n");
    assert_eq!(repository.read("ci.yml"), "name: ci\n");
    assert!(repository.path("trimtab-drift.yml").exists());
}

#[test]
fn links_are_not_followed() {
    let repository = Repository::new();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target.yml");
    fs::create_dir_all(repository.path("")).unwrap();
    repository.write();
    fs::rename(repository.path(PLAN), &target).unwrap();
    symlink(&target, repository.path(PLAN)).unwrap();
    fs::create_dir(repository.path("trimtab-folder.yml")).unwrap();
    repository.edit_manifest("staging.toml", "staging", "staging");
    assert!(matches!(repository.states()[PLAN], FileState::NotOurs(_)));
    repository.write();
    assert!(repository.path(PLAN).is_symlink());

    let linked = Repository::new();
    symlink(outside.path(), linked.dir.path().join(".github")).unwrap();
    fs::create_dir(outside.path().join("workflows")).unwrap();
    assert!(
        linked.error().contains("is a link to"),
        "{}",
        linked.error()
    );
}

/// Two folders of manifests in one repository: the files of one are not the other's.
#[test]
fn files_of_another_folder_are_left_alone() {
    let repository = Repository::with_folder("infra/envs");
    repository.write();
    let text = repository.read(PLAN);
    assert!(
        text.starts_with("# Generated by `trimtab workflows --environments infra/envs`, version ")
    );
    assert!(text.contains(
        "run: exec trimtab plan production staging --comment --environments infra/envs\n"
    ));
    assert!(text.contains("trimtab workflows --check --environments infra/envs\n"));
    assert_eq!(repository.states()[PLAN], FileState::UpToDate);

    let other = repository.dir.path().join("environments");
    fs::create_dir(&other).unwrap();
    copy_files(&repository.dir.path().join("infra/envs"), &other);
    let found = WorkflowRepository::find(&other, &other).unwrap();
    let comparison = found.compare(&load_all(&other)).unwrap();
    let is_foreign =
        |state: &FileState| matches!(state, FileState::NotOurs(why) if why.contains("infra/envs"));
    assert!(comparison.files.iter().all(|file| is_foreign(&file.state)));
    found.write(&comparison).unwrap();
    assert_eq!(repository.read(PLAN), text);
}

#[test]
fn manifests_that_contradict_each_other_are_told_with_both_places() {
    let repository = Repository::new();
    repository.edit_manifest(
        "staging.toml",
        "[github]",
        "[github.workflows]\ntest = \"./.github/workflows/other.yml\"\n\n[github]",
    );
    let error = repository.error();
    assert!(error.contains("staging.toml:"), "{error}");
    assert!(
        error.contains("_base.toml:68:1 says another value"),
        "{error}"
    );

    let repository = Repository::new();
    repository.edit_manifest(
        "production.toml",
        "FLY_API_TOKEN_PRODUCTION",
        "FLY_API_TOKEN_STAGING",
    );
    repository.edit_manifest(
        "production.toml",
        "tags = [",
        "read_token = \"OTHER\"\ntags = [",
    );
    let error = repository.error();
    assert!(
        error.contains("take `FLY_API_TOKEN_STAGING` from different places"),
        "{error}"
    );
    assert!(error.contains("staging.toml:"), "{error}");
}

#[test]
fn way_to_install_is_asked_for() {
    let repository = Repository::new();
    repository.edit_manifest("_base.toml", "install.release", "# install.release");
    repository.edit_manifest("_base.toml", "install.sha256", "# install.sha256");
    let error = repository.error();
    assert!(error.contains("production.toml:"), "{error}");
    assert!(
        error.contains("nothing says how the jobs on GitHub install trimtab"),
        "{error}"
    );
}

#[test]
fn needs_name_every_secret_once() {
    let (_, comparison) = Repository::new().compare().unwrap();
    let needs = comparison.needs;
    let names: Vec<&String> = needs.keys().collect();
    assert_eq!(names, ["production", "staging", "trimtab-plan"]);
    let secrets: Vec<&String> = needs["trimtab-plan"].secrets.iter().collect();
    assert_eq!(
        secrets,
        [
            "FLY_API_TOKEN_PRODUCTION_READ",
            "FLY_API_TOKEN_STAGING_READ"
        ]
    );
    assert!(needs["staging"].secrets.contains("HARBOR_SESSION_SECRET"));
}
