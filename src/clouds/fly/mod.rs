//! The Machines API of Fly.io (`/v1`), as two clients: one that can only read, and one that can write as well.
//!
//! `plan`, `drift` and `status` hold a [`Reader`]; only `apply` and `destroy` hold a [`Writer`].

mod fate;
mod job;
mod lease;
mod logs;
mod new;
mod read;
mod turns;
mod wait;
pub mod wire;
mod write;

pub use lease::{AcquiredLease, Leases};
pub use new::{CreateVolumeRequest, MachineRequest};
pub use read::FlyReader;
pub use wait::WaitOutcome;
pub use write::FlyWriter;
