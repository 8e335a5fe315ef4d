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

pub use lease::{Held, Leases};
pub use new::{NewMachine, NewVolume};
pub use read::Reader;
pub use wait::Waited;
pub use write::Writer;
