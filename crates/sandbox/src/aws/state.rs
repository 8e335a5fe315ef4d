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

use super::iam::Account;
use super::identity::{Issuer, Workflow};
use super::s3::Bucket;
use super::who::{Key, Session};
use crate::ids;
use crate::store::{StoreError, io_error, read, remove, write};
use crate::world::World;

/// The state of all accounts, and what this process adds to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cloud {
    pub(crate) root: Root,
    pub(crate) buckets: BTreeMap<String, Bucket>,
    /// Buckets to write (or, when gone, to remove) before the answer is sent.
    pub(crate) dirty: BTreeSet<String>,
    pub(crate) root_dirty: bool,
    pub(crate) contents: Contents,
    /// How old a bucket's configuration is when it is read, while a fault says so.
    pub(crate) stale_ms: i64,
    /// For how long IAM still shows what was removed, while a fault says so.
    pub(crate) lost_ms: i64,
}

/// What belongs to no bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Root {
    /// How many things were named so far; with the seed it makes the next identifier.
    pub(crate) drawn: u64,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// Who signs identity tokens, by issuer.
    pub(crate) issuers: BTreeMap<String, Issuer>,
    pub(crate) workflows: BTreeMap<String, Workflow>,
    /// The aliases under which keys of KMS were named so far, by the key's ARN.
    pub(crate) aliases: BTreeMap<String, BTreeSet<String>>,
}

/// The contents of objects, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    dir: PathBuf,
    /// Not on disk yet.
    fresh: BTreeMap<String, Bytes>,
    /// On disk, and no longer needed.
    stale: VecDeque<String>,
}

impl Contents {
    /// Keeps a content under a new name.
    pub(crate) fn put(&mut self, name: &str, content: Bytes) {
        self.fresh.insert(name.to_owned(), content);
    }

    /// Reads a content.
    pub(crate) fn get(&self, name: &str) -> io::Result<Bytes> {
        match self.fresh.get(name) {
            Some(content) => Ok(content.clone()),
            None => fs::read(self.dir.join(name)).map(Bytes::from),
        }
    }

    /// Lets go of a content.
    pub(crate) fn drop(&mut self, name: String) {
        if self.fresh.remove(&name).is_none() {
            self.stale.push_back(name);
        }
    }
}

impl Cloud {
    /// Reads everything; a folder without it is an empty cloud.
    ///
    /// # Errors
    /// When a file cannot be read or is not ours, with its name.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        let dir = dir.join("aws");
        let contents = Contents {
            dir: dir.join("content"),
            ..Contents::default()
        };
        let mut cloud = Self {
            contents,
            ..Self::default()
        };
        for folder in [&dir.join("buckets"), &cloud.contents.dir] {
            fs::create_dir_all(folder).map_err(io_error(folder))?;
        }
        cloud.root = read(&dir.join("accounts.json"))?.unwrap_or_default();
        let buckets = dir.join("buckets");
        for entry in fs::read_dir(&buckets).map_err(io_error(&buckets))? {
            let path = entry.map_err(io_error(&buckets))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(bucket) = read::<Bucket>(&path)? else {
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
        cloud.sweep()?;
        Ok(cloud)
    }

    /// Removes the contents that a killed process left behind.
    fn sweep(&self) -> Result<(), StoreError> {
        let named: BTreeSet<&str> = self.buckets.values().flat_map(Bucket::contents).collect();
        let dir = &self.contents.dir;
        for entry in fs::read_dir(dir).map_err(io_error(dir))? {
            let entry = entry.map_err(io_error(dir))?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| named.contains(name))
            {
                remove(&entry.path())?;
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
        while let Some((name, content)) = self.contents.fresh.first_key_value() {
            let path = self.contents.dir.join(name);
            fs::write(&path, content).map_err(io_error(&path))?;
            self.contents.fresh.pop_first();
        }
        if self.root_dirty {
            write(&dir.join("accounts.json"), &self.root)?;
            self.root_dirty = false;
        }
        while let Some(name) = self.dirty.first().cloned() {
            let path = dir.join("buckets").join(format!("{name}.json"));
            match self.buckets.get(&name) {
                Some(bucket) => write(&path, bucket)?,
                None => remove(&path)?,
            }
            self.dirty.remove(&name);
        }
        while let Some(name) = self.contents.stale.front() {
            remove(&self.contents.dir.join(name))?;
            self.contents.stale.pop_front();
        }
        Ok(())
    }

    /// The account, made if it is missing: any twelve digits are somebody's.
    pub(crate) fn account(&mut self, id: &str) -> &mut Account {
        self.root_dirty = true;
        self.root.accounts.entry(id.to_owned()).or_default()
    }
}

impl World {
    /// Draws the bytes of a new identifier in AWS. They have a counter of their own, so that asking for a key does not
    /// change what Fly's things are called.
    pub(crate) fn draw_aws(&mut self, what: &str) -> [u8; 32] {
        self.aws.root.drawn += 1;
        self.aws.root_dirty = true;
        ids::draw(&[
            "aws",
            &self.root.seed.to_string(),
            what,
            &self.aws.root.drawn.to_string(),
        ])
    }
}
