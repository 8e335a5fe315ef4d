//! The clients of the Machines API of Fly.io (`/v1`): one that can only read, and one that can also
//! write.
//!
//! `plan`, `drift` and `status` hold a [`FlyReader`]; only operations that change something hold a
//! [`FlyWriter`].

mod command;
mod exit_diagnosis;
mod keyed_locks;
mod lease;
mod lease_holder;
mod list_checks;
mod logs;
mod managed_postgres;
mod postgres;
mod postgres_catalog;
mod read;
mod requests;
mod tokens;
mod wait;
pub mod wire;
mod write;
mod write_app_resources;

pub use lease::{AcquiredLease, Leases};
pub use lease_holder::LeaseHolder;
pub use managed_postgres::{
    ClusterEndpoints, CreateClusterRequest, Endpoint, ManagedPostgresCluster, NodeEndpoints,
};
pub use postgres_catalog::{CatalogDatabase, CatalogRole, CatalogSlot, PSQL, PostgresCatalog};
pub use read::FlyReader;
pub use requests::{CreateVolumeRequest, MachineRequest};
pub use tokens::CurrentToken;
pub use wait::WaitOutcome;
pub use write::FlyWriter;
