//! The wire: one HTTP path with pacing, retries, time limits and request ids, AWS's own SDK beside it, and narrow clients
//! above both. It knows no kind and no plan.

pub mod aws;
mod error;
pub mod fly;
mod gauge;
mod http;
mod pacing;
mod probe;
mod reach;
mod registry;
mod voice;

pub(crate) use error::chain;
pub use error::{Cloud, CloudError, Trouble};
pub use gauge::{Burnt, Fuse, Nth};
pub use http::{Http, Settings};
pub use pacing::{Action, Pacing};
pub use probe::Probe;
pub use registry::Registry;
pub use voice::{Sign, Voice};

use std::sync::Arc;

/// The clients of every cloud, with write access. Only `apply` holds one.
#[derive(Clone, Debug)]
pub struct Clouds {
    /// Fly.io.
    pub fly: fly::Writer,
    /// AWS, where the manifest names an account.
    pub aws: Option<aws::Writer>,
    /// The lock of the environment, where it has one. Whoever took it gives it back.
    pub lock: Option<Arc<aws::lock::Lease>>,
    /// Whom a long wait tells what it sees.
    pub voice: Voice,
}

impl Clouds {
    /// AWS.
    ///
    /// # Errors
    /// When there is no client: the manifest that the plan was made from names no account.
    pub fn aws(&self) -> Result<&aws::Writer, CloudError> {
        let none = || {
            CloudError::aws(
                "call AWS",
                Trouble::Refused,
                "the manifest names no account",
            )
        };
        self.aws.as_ref().ok_or_else(none)
    }
}

/// The clients of every cloud, without write access.
#[derive(Clone, Debug)]
pub struct Readers {
    /// Fly.io.
    pub fly: fly::Reader,
    /// AWS, where the manifest names an account.
    pub aws: Option<aws::Reader>,
}

impl From<fly::Reader> for Readers {
    fn from(fly: fly::Reader) -> Self {
        Self { fly, aws: None }
    }
}
