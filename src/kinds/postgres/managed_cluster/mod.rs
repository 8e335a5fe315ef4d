//! A cluster that Fly manages. Its API creates clusters and cannot change them, and a cluster bears no mark, so one that exists under
//! its name is used, and none is ever deleted.

mod diff;
mod drive;
mod spec;

pub(crate) use drive::wait_until_ready;
pub use spec::{ManagedClusterLive, ManagedClusterSpec};

use crate::model::KindName;

/// The kind `postgres.managed_cluster`.
#[derive(Clone, Copy, Debug)]
pub enum ManagedCluster {}

impl KindName for ManagedCluster {
    const NAME: &'static str = "postgres.managed_cluster";
}
