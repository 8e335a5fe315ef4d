//! The state folder: plain JSON files that a person can read. Changed files are replaced before the
//! response is sent.
//!
//! `world.json` holds organizations, tokens and rules, each `apps/NAME.json` one app;
//! `aws/state.rs` describes the `aws` folder. A file is written under a temporary name and renamed,
//! so a killed process leaves either the old or the new version. Nothing is synced to disk: the
//! state survives a crash of the process, not of the operating system.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::aws::AwsState;
use crate::github::GithubState;
use crate::running::SandboxSnapshot;
use crate::world::{App, SimulatedWorld};

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file system operation failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder has files of something else. The sandbox would hide them from git, and its secrets
    /// would lie among them.
    #[error(
        "{} is not empty and holds no sandbox; name a new or an empty folder",
        path.display()
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file does not have the structure that the sandbox writes.
    #[error("{} is not a state file of this sandbox; repair it, or remove the folder to start over", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The app in a file has another name than the file.
    #[error("{} describes the app `{name}`; rename the file or the app", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The name of the app in the file.
        name: String,
    },
}

/// The contents of `server.json`, which tells other processes how to reach this server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerFile {
    /// Base URL of the Fly APIs.
    pub url: String,
    /// Base URL of the AWS APIs.
    #[serde(default)]
    pub aws_url: String,
    /// Process id of the server.
    pub pid: u32,
    /// How many times faster than real time its clock runs.
    pub speed: f64,
    /// The token for administration endpoints that show or make secrets, new at each start.
    #[serde(default)]
    pub admin_token: String,
}

impl ServerFile {
    /// Base URL of GitHub's REST API.
    #[must_use]
    pub fn github_url(&self) -> String {
        format!("{}{}", self.url, crate::github::MOUNT)
    }
}

/// Where the state is kept: in a folder, or only in memory (`None`).
#[derive(Debug)]
pub(crate) struct StateStore(Option<StateFolder>);

/// An open, locked state folder.
#[derive(Debug)]
struct StateFolder {
    dir: PathBuf,
    /// Kept open for its file lock, which the operating system releases when the process ends.
    lock: File,
}

impl StateStore {
    /// Opens and locks a folder, creating it if necessary; `None` when another process has locked
    /// it. Without a folder, the state is only in memory.
    ///
    /// # Errors
    /// When a file system operation fails.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Option<Self>, StoreError> {
        let Some(dir) = dir else {
            return Ok(Some(Self(None)));
        };
        prepare_folder(dir)?;
        // The lock file is never removed: another process may be about to lock it.
        let path = dir.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self(Some(StateFolder {
                dir: dir.to_owned(),
                lock,
            })))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(io_error(&path)(source)),
        }
    }

    /// Reads the whole state. An empty folder gives an empty world with this seed; without a
    /// folder, the world is the snapshot's.
    ///
    /// # Errors
    /// When a file cannot be read, is malformed or has the wrong name; the error contains its path.
    pub(crate) fn load(
        &self,
        seed: u64,
        SandboxSnapshot(begun): SandboxSnapshot,
    ) -> Result<SimulatedWorld, StoreError> {
        let mut world = SimulatedWorld {
            global_dirty: true,
            ..SimulatedWorld::default()
        };
        world.global.seed = seed;
        let Some(StateFolder { dir, .. }) = &self.0 else {
            return Ok(begun.unwrap_or(world));
        };
        if let Some(root) = read_json(&dir.join("world.json"))? {
            world.global = root;
        }
        world.aws = AwsState::load(dir)?;
        world.github = GithubState::load(dir)?;
        let apps = dir.join("apps");
        for entry in fs::read_dir(&apps).map_err(io_error(&apps))? {
            let path = entry.map_err(io_error(&apps))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(app) = read_json::<App>(&path)? else {
                continue;
            };
            // Saving would write the app to another file, and leave two files that claim its name.
            if path
                .file_stem()
                .is_none_or(|stem| stem != app.name.as_str())
            {
                return Err(StoreError::Misnamed {
                    path,
                    name: app.name,
                });
            }
            world.apps.insert(app.name.clone(), app);
        }
        Ok(world)
    }

    /// Writes the files of everything that is marked as changed. What could not be written stays
    /// marked, so the next request tries again.
    ///
    /// # Errors
    /// When a file system operation fails; the response must then not be sent.
    pub(crate) fn save(&self, world: &mut SimulatedWorld) -> Result<(), StoreError> {
        let Some(StateFolder { dir, .. }) = &self.0 else {
            return Ok(());
        };
        if world.global_dirty {
            write_json(&dir.join("world.json"), &world.global)?;
            world.global_dirty = false;
        }
        // Each name is unmarked only after its file is written, so a failure keeps the rest marked.
        while let Some(name) = world.dirty_apps.first().cloned() {
            let path = dir.join("apps").join(format!("{name}.json"));
            match world.apps.get(&name) {
                Some(app) => write_json(&path, app)?,
                None => remove_file(&path)?,
            }
            world.dirty_apps.remove(&name);
        }
        world.aws.save(dir)?;
        world.github.save(dir)
    }

    /// Writes `server.json`, so that other processes find this server.
    ///
    /// # Errors
    /// When a file system operation fails.
    pub(crate) fn write_server_file(&self, server: &ServerFile) -> Result<(), StoreError> {
        self.0.as_ref().map_or(Ok(()), |folder| {
            write_json(&folder.dir.join("server.json"), server)
        })
    }

    /// Removes `server.json` and unlocks the folder.
    pub(crate) fn close(&self) {
        let Some(StateFolder { dir, lock }) = &self.0 else {
            return;
        };
        // A leftover `server.json` is harmless: only the lock decides whether a server is running.
        let _ = fs::remove_file(dir.join("server.json"));
        let _ = lock.unlock();
    }
}

/// The server of a folder, according to its `server.json`; the server may have ended since.
pub(crate) fn read_server_file(dir: &Path) -> Option<ServerFile> {
    read_json(&dir.join("server.json")).ok().flatten()
}

/// Adds the path to an I/O error.
pub(crate) fn io_error(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Reads a JSON file; `None` when it does not exist.
///
/// # Errors
/// When the file cannot be read or is malformed.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => {
            let value = serde_json::from_slice(&bytes);
            value.map(Some).map_err(|source| StoreError::Malformed {
                path: path.to_owned(),
                source,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path)(source)),
    }
}

/// Replaces a JSON file atomically.
///
/// # Errors
/// When a file system operation fails.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let malformed = |source| StoreError::Malformed {
        path: path.to_owned(),
        source,
    };
    let bytes = serde_json::to_vec_pretty(value).map_err(malformed)?;
    let temporary = path.with_extension("json.new");
    write_private(&temporary, &bytes).map_err(io_error(&temporary))?;
    fs::rename(&temporary, path).map_err(io_error(path))
}

/// Prepares the state folder. The state contains secrets in plain text, so what the sandbox creates is
/// unreadable for other users and excluded from git. A folder that exists keeps its own permissions.
///
/// # Errors
/// When a file system operation fails, or the folder holds something else.
fn prepare_folder(dir: &Path) -> Result<(), StoreError> {
    let is_sandbox = ["lock", "world.json", "apps"]
        .iter()
        .any(|name| dir.join(name).exists());
    if !is_sandbox && has_entries(dir).map_err(io_error(dir))? {
        return Err(StoreError::ForeignFolder {
            path: dir.to_owned(),
        });
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(io_error(parent))?;
    }
    create_private_dir(dir)?;
    create_private_dir(&dir.join("apps"))?;
    let ignore = dir.join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    fs::write(&ignore, "*\n").map_err(io_error(&ignore))
}

fn has_entries(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates a folder that only its user can enter, unless it exists.
///
/// # Errors
/// When a file system operation fails.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        result => result.map_err(io_error(dir)),
    }
}

/// Writes a file that only its user can read.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    io::Write::write_all(&mut options.open(path)?, bytes)
}

/// Removes a file, if it exists.
///
/// # Errors
/// When a file system operation fails.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}
