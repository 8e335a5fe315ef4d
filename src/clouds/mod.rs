//! The wire: one HTTP path with pacing, retries, time limits and request ids, and narrow clients above it. It knows
//! JSON and knows no kind and no plan.

pub mod aws;
mod error;
pub mod fly;
mod gauge;
mod http;
mod pacing;
mod probe;
mod registry;
mod voice;

pub(crate) use error::chain;
pub use error::{Cloud, CloudError, Trouble};
pub use gauge::{Burnt, Fuse};
pub use http::{Http, Settings};
pub use pacing::{Action, Pacing};
pub use probe::Probe;
pub use registry::Registry;
pub use voice::{Sign, Voice};

/// The clients of every cloud, with write access. Only `apply` holds one.
#[derive(Clone, Debug)]
pub struct Clouds {
    /// Fly.io.
    pub fly: fly::Writer,
    /// Whom a long wait tells what it sees.
    pub voice: Voice,
}
