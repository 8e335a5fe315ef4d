//! The Machines API of Fly.io (`/v1`), as two clients: one that can only read, and one that can write as well.
//!
//! `plan`, `drift` and `status` hold a [`Reader`]; only `apply` and `destroy` hold a [`Writer`].

mod command;
mod exit_diagnosis;
mod keyed_locks;
mod lease;
mod logs;
mod read;
mod requests;
mod wait;
pub mod wire;
mod write;

pub use lease::{AcquiredLease, Leases};
pub use read::FlyReader;
pub use requests::{CreateVolumeRequest, MachineRequest};
pub use wait::WaitOutcome;
pub use write::FlyWriter;
