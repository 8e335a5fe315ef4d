//! The desired and the live state of a managed cluster.

use serde::Serialize;

use crate::{kinds::References, model::Address};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManagedClusterSpec {
    /// The name, by which it is found again.
    pub name: String,
    /// The slug of the organization.
    pub org: String,
    /// Where it is.
    pub region: String,
    /// The plan, such as `basic`.
    pub plan: String,
    /// The size of the disk in GB.
    pub disk_gb: u32,
    /// The major version.
    pub version: String,
    /// `session` or `transaction`.
    pub pool_mode: String,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct ManagedClusterLive {
    /// Fly's id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The state, such as `ready`.
    pub status: String,
    /// Where it is.
    pub region: String,
    /// The plan.
    pub plan: String,
    /// The size of the disk in GB, where Fly reports it.
    pub disk_gb: Option<u32>,
    /// The major version, where Fly reports it.
    pub version: String,
    /// Host and port of the connection pool; `None` until it is ready.
    pub pooler: Option<String>,
    /// Host and port of the server itself.
    pub direct: Option<String>,
    /// The names of its databases.
    pub databases: Vec<String>,
    /// The names of its users.
    pub users: Vec<String>,
}

impl References for ManagedClusterSpec {
    fn references(&self) -> Vec<Address> {
        Vec::new()
    }
}

impl References for ManagedClusterLive {
    fn references(&self) -> Vec<Address> {
        Vec::new()
    }
}
