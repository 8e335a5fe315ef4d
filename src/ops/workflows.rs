//! `trimtab workflows`: compares the workflows in a repository with those that its manifests imply,
//! and writes them. Nothing outside `.github/workflows` is written, and no file without the mark.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use similar::TextDiff;

use super::OperationError;
use crate::{
    manifest::{LoadedEnvironment, syntax::bounded_read},
    workflows::{
        FILE_PREFIX, GeneratedFile, GithubNeeds, Mark, Project, compared_text,
        find_moving_references, generate, keep_pins, list_actions, workflows,
    },
};

/// The folder of workflows in a repository.
const WORKFLOWS: &str = ".github/workflows";

/// A repository, and the folder of its manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRepository {
    root: PathBuf,
    folder: String,
}

/// How a file differs from what the manifests imply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Not at all.
    UpToDate,
    /// Only in references that others can move, which is a difference, such as `actions/checkout@v7`.
    Unpinned(Vec<String>),
    /// It does not exist.
    Missing,
    /// In these lines, as a unified diff.
    Differs(String),
    /// No manifest asks for it any more.
    LeftOver,
    /// It is not trimtab's to write.
    NotOurs(String),
}

/// A file, and how it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowFile {
    /// Its path from the root of the repository.
    pub path: String,
    /// How it differs.
    pub state: FileState,
    /// What to write.
    text: Option<String>,
}

impl WorkflowFile {
    /// Whether `trimtab workflows` would change it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(
            self.state,
            FileState::Missing
                | FileState::Differs(_)
                | FileState::LeftOver
                | FileState::Unpinned(_)
        )
    }
}

/// The workflows of a project, and the files that are there.
#[derive(Clone, Debug, Default)]
pub struct WorkflowComparison {
    /// The files, sorted by name.
    pub files: Vec<WorkflowFile>,
    /// What GitHub has to have, by environment.
    pub needs: BTreeMap<String, GithubNeeds>,
    /// Whether a manifest says that GitHub deals with it.
    pub has_project: bool,
    /// The actions that the workflows use, as `name@reference`: those of the files, or of what is not written yet.
    pub actions: BTreeSet<String>,
}

impl WorkflowRepository {
    /// Finds the repository around the folder of the manifests: the nearest folder with `.git`. Without one it
    /// is `current`, if the manifests are in it, or else the folder around them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn find(environments: &Path, current: &Path) -> Result<Self, OperationError> {
        let unreadable = |error: std::io::Error| {
            OperationError::invalid(
                format!("cannot read {}: {error}", environments.display()),
                "run trimtab where the manifests are, or pass --environments DIR",
            )
        };
        let folder = std::fs::canonicalize(environments).map_err(unreadable)?;
        let current = std::fs::canonicalize(current).map_err(unreadable)?;
        let parent = folder.parent().unwrap_or(&folder).to_owned();
        let with_git = folder.ancestors().find(|dir| dir.join(".git").exists());
        let root = match with_git {
            Some(root) => root.to_owned(),
            None if folder.starts_with(&current) && folder != current => current,
            None => parent,
        };
        let below = folder.strip_prefix(&root).unwrap_or(&folder);
        let parts: Vec<String> = below
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let folder = match parts.join("/") {
            empty if empty.is_empty() => ".".to_owned(),
            folder => folder,
        };
        Ok(Self { root, folder })
    }

    /// Compares the files with what the manifests imply.
    ///
    /// # Errors
    /// When the manifests contradict each other, or a file cannot be read.
    pub fn compare(
        &self,
        manifests: &[LoadedEnvironment],
    ) -> Result<WorkflowComparison, OperationError> {
        let project = self.project(manifests)?;
        self.check_folder()?;
        let generated = project.as_ref().map(generate).unwrap_or_default();
        let mut files = Vec::new();
        let mut actions = BTreeSet::new();
        for file in &generated {
            files.push(self.compare_file(file)?);
            let existing = self.read(&file.name)?;
            actions.extend(list_actions(existing.as_ref().unwrap_or(&file.text)));
        }
        for name in self.present_files()? {
            let is_wanted = generated.iter().any(|file| file.name == name);
            let mark = match is_wanted {
                true => None,
                false => self.read(&name)?.as_deref().and_then(Mark::parse),
            };
            if mark.is_some_and(|mark| mark.folder() == self.folder) {
                files.push(WorkflowFile {
                    path: format!("{WORKFLOWS}/{name}"),
                    state: FileState::LeftOver,
                    text: None,
                });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let needs = project
            .as_ref()
            .map(|project| GithubNeeds::of(&workflows(project)));
        Ok(WorkflowComparison {
            files,
            needs: needs.unwrap_or_default(),
            has_project: project.is_some(),
            actions,
        })
    }

    /// The project that the manifests describe together; none when no manifest says that GitHub deals with it.
    ///
    /// # Errors
    /// When the manifests contradict each other.
    pub fn project(
        &self,
        manifests: &[LoadedEnvironment],
    ) -> Result<Option<Project>, OperationError> {
        Project::from_manifests(manifests, &self.folder).map_err(OperationError::Manifest)
    }

    /// The root of the repository.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn compare_file(&self, generated: &GeneratedFile) -> Result<WorkflowFile, OperationError> {
        let path = format!("{WORKFLOWS}/{}", generated.name);
        let file = |state, text: Option<String>| WorkflowFile {
            path: path.clone(),
            state,
            text,
        };
        let Some(existing) = self.read(&generated.name)? else {
            let text = Some(generated.text.clone());
            return Ok(match self.path_of(&generated.name).symlink_metadata() {
                Ok(_) => file(FileState::NotOurs("it is not a file".to_owned()), None),
                Err(_) => file(FileState::Missing, text),
            });
        };
        match Mark::parse(&existing) {
            None => {
                let why = "its first line is not trimtab's mark".to_owned();
                return Ok(file(FileState::NotOurs(why), None));
            }
            Some(mark) if mark.folder() != self.folder => {
                let why = format!("it belongs to the manifests in {}", mark.folder());
                return Ok(file(FileState::NotOurs(why), None));
            }
            Some(_) => {}
        }
        let wanted = keep_pins(&generated.text, &existing);
        if compared_text(&wanted) != compared_text(&existing) {
            let diff = unified_diff(&path, &existing.replace("\r\n", "\n"), &wanted);
            return Ok(file(FileState::Differs(diff), Some(wanted)));
        }
        let moving = find_moving_references(&wanted, &existing);
        Ok(if moving.is_empty() {
            file(FileState::UpToDate, None)
        } else {
            file(FileState::Unpinned(moving), Some(wanted))
        })
    }

    /// Writes and removes files, so that a new comparison finds no difference.
    ///
    /// # Errors
    /// When a file cannot be written or removed. Each file is whole at any time.
    pub fn write(&self, comparison: &WorkflowComparison) -> Result<(), OperationError> {
        let folder = self.root.join(WORKFLOWS);
        let failed = |path: &Path, error: &std::io::Error| {
            OperationError::invalid(
                format!("cannot write {}: {error}", path.display()),
                "the other files are as they were, or written already; run the same command again",
            )
        };
        for file in &comparison.files {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let path = folder.join(name);
            let done = match (&file.state, &file.text) {
                (FileState::LeftOver, _) => std::fs::remove_file(&path),
                (_, Some(text)) => {
                    std::fs::create_dir_all(&folder).and_then(|()| write_whole(&path, text))
                }
                (_, None) => Ok(()),
            };
            done.map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }

    /// Refuses a folder that a link leads out of the repository.
    fn check_folder(&self) -> Result<(), OperationError> {
        let workflows = self.root.join(WORKFLOWS);
        // Also the folder around it: where that is a link, the inner one may be made elsewhere.
        let folders = workflows
            .ancestors()
            .take_while(|folder| *folder != self.root);
        for folder in folders {
            match std::fs::canonicalize(folder) {
                Ok(real) if real != *folder => {
                    return Err(OperationError::invalid(
                        format!("{} is a link to {}", folder.display(), real.display()),
                        "make it a folder: workflows are only written inside the repository",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The names of the files that may be trimtab's.
    fn present_files(&self) -> Result<Vec<String>, OperationError> {
        let folder = self.root.join(WORKFLOWS);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(FILE_PREFIX) && name.ends_with(".yml") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The text of a file. A link, or what is no text, is none.
    fn read(&self, name: &str) -> Result<Option<String>, OperationError> {
        let path = self.path_of(name);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_file() => {}
            _ => return Ok(None),
        }
        match bounded_read::read_user_file(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(unreadable(&path, &error)),
        }
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(WORKFLOWS).join(name)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> OperationError {
    OperationError::invalid(
        format!("cannot read {}: {error}", path.display()),
        "give yourself the right to read it, and run the same command again",
    )
}

fn unified_diff(path: &str, existing: &str, wanted: &str) -> String {
    TextDiff::from_lines(existing, wanted)
        .unified_diff()
        .context_radius(3)
        .header(path, &format!("{path} (from the manifests)"))
        .to_string()
}

/// Writes a file so that it is either the old one or the new one.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.sync_all()
    });
    written
        .and_then(|()| std::fs::rename(&temporary, path))
        .inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}
