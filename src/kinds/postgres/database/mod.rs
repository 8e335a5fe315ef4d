//! A database with a role of its own in a Postgres cluster, for one app.
//!
//! The role owns the database and nothing else. Its password is made here, and is only in the secret of the app: the server gets a
//! SCRAM verifier. What was applied is recorded in the metadata of the cluster's machines, so a plan needs no SQL and wakes no
//! database that sleeps. Since nobody can read a password back, a difference is repaired by a new one.

mod diff;
mod drive;
mod record;
mod spec;

pub use diff::DatabaseEdit;
pub(crate) use diff::PASSWORD_LINE;
pub(crate) use drive::is_primary;
pub use record::DatabaseRecord;
pub(crate) use record::KEY_PREFIX;
pub use spec::{ClusterRef, DatabaseFacts, DatabaseLive, DatabaseSpec, RoleFacts, UrlShape};

use crate::model::KindName;

/// The kind `postgres.database`.
#[derive(Clone, Copy, Debug)]
pub enum Database {}

impl KindName for Database {
    const NAME: &'static str = "postgres.database";
}
