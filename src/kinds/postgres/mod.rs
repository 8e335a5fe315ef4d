//! The kinds inside Postgres clusters. A cluster on Fly itself is an app with secrets, an address, volumes and machines; see
//! `manifest/lower/postgres`.

pub mod cluster;
pub mod database;
pub mod managed_cluster;
pub(crate) mod scram;
mod sql;

pub use database::Database;
pub(crate) use database::{KEY_PREFIX, PASSWORD_LINE};
pub use managed_cluster::ManagedCluster;
