//! What the imitation of AWS remembers: `aws/accounts.json`, `aws/buckets/NAME.json`, and one file for each content
//! under `aws/content`.
//!
//! A content is written before the bucket that names it, and removed after the bucket that no longer does. A process
//! that is killed in between leaves a file that nobody names, which the next start removes.

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
use crate::store::{StoreError, io_error, read_json, remove_file, write_json};
use crate::world::SimulatedWorld;

/// The state of all accounts, and what this process adds to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AwsState {
    pub(crate) global: GlobalState,
    pub(crate) buckets: BTreeMap<String, BucketState>,
    /// Buckets to write (or, when gone, to remove) before the answer is sent.
    pub(crate) dirty_buckets: BTreeSet<String>,
    pub(crate) global_dirty: bool,
    pub(crate) contents: ContentStore,
    /// How old a bucket's configuration is when it is read, while a fault says so.
    pub(crate) config_lag_ms: i64,
    /// For how long IAM still shows what was removed, while a fault says so.
    pub(crate) removal_lag_ms: i64,
}

/// What belongs to no bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GlobalState {
    /// How many things were named so far; with the seed it makes the next identifier.
    pub(crate) drawn: u64,
    pub(crate) accounts: BTreeMap<String, AccountState>,
    pub(crate) keys: BTreeMap<String, StoredAccessKey>,
    pub(crate) sessions: BTreeMap<String, RoleSession>,
    /// Who signs identity tokens, by issuer.
    pub(crate) issuers: BTreeMap<String, TokenIssuer>,
    pub(crate) workflows: BTreeMap<String, WorkflowRun>,
    /// The aliases under which keys of KMS were named so far, by the key's ARN.
    pub(crate) aliases: BTreeMap<String, BTreeSet<String>>,
}

/// The contents of objects, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContentStore {
    dir: PathBuf,
    /// Not on disk yet.
    unsaved: BTreeMap<String, Bytes>,
    /// On disk, and no longer needed.
    pending_removal: VecDeque<String>,
}

impl ContentStore {
    /// Keeps a content under a new name.
    pub(crate) fn put(&mut self, name: &str, content: Bytes) {
        self.unsaved.insert(name.to_owned(), content);
    }

    /// Reads a content.
    pub(crate) fn get(&self, name: &str) -> io::Result<Bytes> {
        match self.unsaved.get(name) {
            Some(content) => Ok(content.clone()),
            None => fs::read(self.dir.join(name)).map(Bytes::from),
        }
    }

    /// Lets go of a content.
    pub(crate) fn remove(&mut self, name: String) {
        if self.unsaved.remove(&name).is_none() {
            self.pending_removal.push_back(name);
        }
    }
}

impl AwsState {
    /// Reads everything; a folder without it is an empty cloud.
    ///
    /// # Errors
    /// When a file cannot be read or is not ours, with its name.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        let dir = dir.join("aws");
        let contents = ContentStore {
            dir: dir.join("content"),
            ..ContentStore::default()
        };
        let mut cloud = Self {
            contents,
            ..Self::default()
        };
        for folder in [&dir.join("buckets"), &cloud.contents.dir] {
            fs::create_dir_all(folder).map_err(io_error(folder))?;
        }
        cloud.global = read_json(&dir.join("accounts.json"))?.unwrap_or_default();
        let buckets = dir.join("buckets");
        for entry in fs::read_dir(&buckets).map_err(io_error(&buckets))? {
            let path = entry.map_err(io_error(&buckets))?.path();
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
            cloud.buckets.insert(bucket.name.clone(), bucket);
        }
        cloud.remove_orphaned_contents()?;
        Ok(cloud)
    }

    /// Removes the contents that a killed process left behind.
    fn remove_orphaned_contents(&self) -> Result<(), StoreError> {
        let named: BTreeSet<&str> = self
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
                .is_some_and(|name| named.contains(name))
            {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes what a request changed. What could not be written stays marked, so that the next request tries again.
    ///
    /// # Errors
    /// When the file system refuses; the answer must then not be sent.
    pub(crate) fn save(&mut self, dir: &Path) -> Result<(), StoreError> {
        let dir = dir.join("aws");
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
        while let Some(name) = self.contents.pending_removal.front() {
            remove_file(&self.contents.dir.join(name))?;
            self.contents.pending_removal.pop_front();
        }
        Ok(())
    }

    /// The account, made if it is missing: any twelve digits are somebody's.
    pub(crate) fn account_mut(&mut self, id: &str) -> &mut AccountState {
        self.global_dirty = true;
        self.global.accounts.entry(id.to_owned()).or_default()
    }
}

impl SimulatedWorld {
    /// Draws the bytes of a new identifier in AWS. They have a counter of their own, so that asking for a key does not
    /// change what Fly's things are called.
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
