//! The stored state of the simulated AWS: `aws/accounts.json`, `aws/buckets/NAME.json`, and the
//! content of each object version in a file under `aws/content`.
//!
//! A content file is written before the bucket document that refers to it, and removed after the
//! document that no longer does. If the process is killed in between, an unreferenced file is left,
//! which the next start removes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use serde::{Deserialize, Serialize};

use super::caller::{RoleSession, StoredAccessKey};
use super::iam::AccountState;
use super::identity::{TokenIssuer, WorkflowRun};
use super::s3::BucketState;
use crate::ids;
use crate::store::{StoreError, create_private_dir, io_error, read_json, remove_file, write_json};
use crate::world::SimulatedWorld;

/// The state of all accounts and buckets, and which of it has yet to be written to disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct AwsState {
    pub(crate) global: GlobalState,
    pub(crate) buckets: BTreeMap<String, BucketState>,
    /// Buckets to write before the response is sent; a bucket that was deleted is removed from disk.
    pub(crate) dirty_buckets: BTreeSet<String>,
    pub(crate) global_dirty: bool,
    pub(crate) contents: ContentStore,
    /// How many milliseconds reads of a bucket's configuration lag behind. A fault sets it, else 0.
    pub(crate) config_lag_ms: i64,
    /// For how many milliseconds IAM still shows what was removed. A fault sets it, else 0.
    pub(crate) removal_lag_ms: i64,
}

/// Everything that does not belong to one bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GlobalState {
    /// How many identifiers were generated. With the seed of the world it determines the next one.
    pub(crate) drawn: u64,
    pub(crate) accounts: BTreeMap<String, AccountState>,
    pub(crate) keys: BTreeMap<String, StoredAccessKey>,
    pub(crate) sessions: BTreeMap<String, RoleSession>,
    /// The signing keys of identity token issuers, by issuer URL.
    pub(crate) issuers: BTreeMap<String, TokenIssuer>,
    pub(crate) workflows: BTreeMap<String, WorkflowRun>,
    /// The aliases that requests have used for a KMS key so far, by key ARN.
    pub(crate) aliases: BTreeMap<String, BTreeSet<String>>,
}

/// The contents of object versions and uploaded parts, by file name.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContentStore {
    dir: PathBuf,
    /// Contents that are not on disk yet.
    unsaved: BTreeMap<String, Bytes>,
    /// Files on disk that are no longer needed.
    pending_removal: VecDeque<String>,
}

impl ContentStore {
    /// Adds a content. `name` must be new.
    pub(crate) fn put(&mut self, name: &str, content: Bytes) {
        self.unsaved.insert(name.to_owned(), content);
    }

    /// Reads a content from memory or disk.
    pub(crate) fn get(&self, name: &str) -> io::Result<Bytes> {
        match self.unsaved.get(name) {
            Some(content) => Ok(content.clone()),
            None => fs::read(self.dir.join(name)).map(Bytes::from),
        }
    }

    /// Removes a content. Its file goes with the next [`AwsState::save`].
    pub(crate) fn remove(&mut self, name: String) {
        if self.unsaved.remove(&name).is_none() {
            self.pending_removal.push_back(name);
        }
    }
}

impl AwsState {
    /// Loads the state below `dir`. Without stored state the result is empty.
    ///
    /// # Errors
    /// Names the file that cannot be read or whose content does not match its name.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        let dir = dir.join("aws");
        let contents = ContentStore {
            dir: dir.join("content"),
            ..ContentStore::default()
        };
        let mut state = Self {
            contents,
            ..Self::default()
        };
        for folder in [&dir, &dir.join("buckets"), &state.contents.dir] {
            create_private_dir(folder)?;
        }
        state.global = read_json(&dir.join("accounts.json"))?.unwrap_or_default();
        let buckets = dir.join("buckets");
        for entry in fs::read_dir(&buckets).map_err(io_error(&buckets))? {
            let path = entry.map_err(io_error(&buckets))?.path();
            // A write that was interrupted can have left a temporary file.
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(bucket) = read_json::<BucketState>(&path)? else {
                continue;
            };
            if path
                .file_stem()
                .is_none_or(|stem| stem != bucket.name.as_str())
            {
                return Err(StoreError::Misnamed {
                    path,
                    name: bucket.name,
                });
            }
            state.buckets.insert(bucket.name.clone(), bucket);
        }
        state.remove_orphaned_contents()?;
        Ok(state)
    }

    /// Removes content files that no bucket refers to. A killed process can leave some.
    fn remove_orphaned_contents(&self) -> Result<(), StoreError> {
        let referenced: BTreeSet<&str> = self
            .buckets
            .values()
            .flat_map(BucketState::content_names)
            .collect();
        let dir = &self.contents.dir;
        for entry in fs::read_dir(dir).map_err(io_error(dir))? {
            let entry = entry.map_err(io_error(dir))?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| referenced.contains(name))
            {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes what a request changed. What could not be written stays marked, so that the next request
    /// retries it.
    ///
    /// # Errors
    /// The error of the file system. The successful response must then not be sent.
    pub(crate) fn save(&mut self, dir: &Path) -> Result<(), StoreError> {
        let dir = dir.join("aws");
        // Contents first: no bucket document may refer to a file that does not exist.
        while let Some((name, content)) = self.contents.unsaved.first_key_value() {
            let path = self.contents.dir.join(name);
            fs::write(&path, content).map_err(io_error(&path))?;
            self.contents.unsaved.pop_first();
        }
        if self.global_dirty {
            write_json(&dir.join("accounts.json"), &self.global)?;
            self.global_dirty = false;
        }
        while let Some(name) = self.dirty_buckets.first().cloned() {
            let path = dir.join("buckets").join(format!("{name}.json"));
            match self.buckets.get(&name) {
                Some(bucket) => write_json(&path, bucket)?,
                None => remove_file(&path)?,
            }
            self.dirty_buckets.remove(&name);
        }
        // Last, because until here the bucket documents on disk referred to these files.
        while let Some(name) = self.contents.pending_removal.front() {
            remove_file(&self.contents.dir.join(name))?;
            self.contents.pending_removal.pop_front();
        }
        Ok(())
    }

    /// The account with this id, to change it. Every id exists, so it is added on first use.
    pub(crate) fn account_mut(&mut self, id: &str) -> &mut AccountState {
        self.global_dirty = true;
        self.global.accounts.entry(id.to_owned()).or_default()
    }
}

impl SimulatedWorld {
    /// Generates the bytes of a new AWS identifier. The counter is separate from that of Fly identifiers,
    /// so that creating an access key does not change the ids of machines and volumes.
    pub(crate) fn draw_aws_bytes(&mut self, what: &str) -> [u8; 32] {
        self.aws.global.drawn += 1;
        self.aws.global_dirty = true;
        ids::derive_bytes(&[
            "aws",
            &self.global.seed.to_string(),
            what,
            &self.aws.global.drawn.to_string(),
        ])
    }
}
