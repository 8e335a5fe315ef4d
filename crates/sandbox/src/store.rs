//! The state folder: plain JSON that a person can read, replaced file by file before an answer is sent.
//!
//! `world.json` holds organisations, tokens and rules; `apps/NAME.json` one application each; `aws` is described where
//! it is kept. A file is written beside
//! itself and renamed, so a killed process leaves the old one or the new one. Nothing is flushed to the disk itself:
//! the promise is to survive the death of a process, not of the machine.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::aws::AwsState;
use super::running::SandboxSnapshot;
use super::world::{App, SimulatedWorld};

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what the sandbox wrote.
    #[error("{} is not a state file of this sandbox; repair it, or remove the folder to start anew", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file says that it is another application's.
    #[error("{} describes the application `{name}`; rename one of the two", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The name inside.
        name: String,
    },
}

/// What `server.json` tells other processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerFile {
    /// Where the server listens.
    pub url: String,
    /// Where it imitates AWS.
    #[serde(default)]
    pub aws_url: String,
    /// Its process.
    pub pid: u32,
    /// Its time factor.
    pub speed: f64,
}

/// Where the state is kept: in a folder, or in memory alone.
#[derive(Debug)]
pub(crate) struct StateStore(Option<StateFolder>);

/// An open, locked state folder.
#[derive(Debug)]
struct StateFolder {
    dir: PathBuf,
    /// Held for its lock, which the system drops with the process.
    lock: File,
}

impl StateStore {
    /// Opens and locks a folder, making it if need be; `None` when another process serves it. Without a folder, nothing is
    /// kept.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Option<Self>, StoreError> {
        let Some(dir) = dir else {
            return Ok(Some(Self(None)));
        };
        let apps = dir.join("apps");
        fs::create_dir_all(&apps).map_err(io_error(&apps))?;
        restrict_access(dir).map_err(io_error(dir))?;
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

    /// Reads everything; an empty folder is an empty world with this seed, and no folder is what the snapshot holds.
    ///
    /// # Errors
    /// When a file cannot be read or is not ours, with its name.
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
        let apps = dir.join("apps");
        for entry in fs::read_dir(&apps).map_err(io_error(&apps))? {
            let path = entry.map_err(io_error(&apps))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(app) = read_json::<App>(&path)? else {
                continue;
            };
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

    /// Writes what a request changed. What could not be written stays marked, so that the next request tries again.
    ///
    /// # Errors
    /// When the file system refuses; the answer must then not be sent.
    pub(crate) fn save(&self, world: &mut SimulatedWorld) -> Result<(), StoreError> {
        let Some(StateFolder { dir, .. }) = &self.0 else {
            return Ok(());
        };
        if world.global_dirty {
            write_json(&dir.join("world.json"), &world.global)?;
            world.global_dirty = false;
        }
        while let Some(name) = world.dirty_apps.first().cloned() {
            let path = dir.join("apps").join(format!("{name}.json"));
            match world.apps.get(&name) {
                Some(app) => write_json(&path, app)?,
                None => remove_file(&path)?,
            }
            world.dirty_apps.remove(&name);
        }
        world.aws.save(dir)
    }

    /// Tells other processes where this server is.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write_server_file(&self, server: &ServerFile) -> Result<(), StoreError> {
        self.0.as_ref().map_or(Ok(()), |folder| {
            write_json(&folder.dir.join("server.json"), server)
        })
    }

    /// Takes the announcement back and frees the folder.
    pub(crate) fn close(&self) {
        let Some(StateFolder { dir, lock }) = &self.0 else {
            return;
        };
        // A stale announcement is harmless: the lock, not this file, says whether somebody serves.
        let _ = fs::remove_file(dir.join("server.json"));
        let _ = lock.unlock();
    }
}

/// Who serves a folder, according to its announcement.
pub(crate) fn read_server_file(dir: &Path) -> Option<ServerFile> {
    read_json(&dir.join("server.json")).ok().flatten()
}

/// Names the file that the system's complaint is about.
pub(crate) fn io_error(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Reads a file; none is no error.
///
/// # Errors
/// When it cannot be read or is not ours.
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

/// Replaces a file.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let malformed = |source| StoreError::Malformed {
        path: path.to_owned(),
        source,
    };
    let bytes = serde_json::to_vec_pretty(value).map_err(malformed)?;
    let beside = path.with_extension("json.new");
    fs::write(&beside, bytes).map_err(io_error(&beside))?;
    fs::rename(&beside, path).map_err(io_error(path))
}

/// The state holds secrets as they were set: nobody else may read it, and no repository shall take it in.
fn restrict_access(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    let ignore = dir.join(".gitignore");
    if ignore.exists() {
        Ok(())
    } else {
        fs::write(ignore, "*\n")
    }
}

/// Removes a file; none is no error.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}
