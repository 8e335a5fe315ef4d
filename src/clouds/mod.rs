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

pub(crate) use error::format_error_chain;
pub use error::{CloudError, CloudProvider, ErrorKind};
pub use gauge::{CrashMode, CrashPoint, RequestOrdinal};
pub use http::{ApiClient, ClientConfig};
pub use pacing::{RateLimitedAction, RateLimiter};
pub use probe::ProbeResponse;
pub use registry::RegistryClient;
pub use voice::{MachineStatus, ProgressSink};

use std::sync::Arc;

/// The clients of every cloud, with write access. Only `apply` holds one.
#[derive(Clone, Debug)]
pub struct CloudWriters {
    /// Fly.io.
    pub fly: fly::FlyWriter,
    /// AWS, where the manifest names an account.
    pub aws: Option<aws::AwsWriter>,
    /// The lock of the environment, where it has one. Whoever took it gives it back.
    pub lock: Option<Arc<aws::lock::LockLease>>,
    /// Whom a long wait tells what it sees.
    pub progress: ProgressSink,
}

impl CloudWriters {
    /// AWS.
    ///
    /// # Errors
    /// When there is no client: the manifest that the plan was made from names no account.
    pub fn aws(&self) -> Result<&aws::AwsWriter, CloudError> {
        let none = || {
            CloudError::new_aws(
                "call AWS",
                ErrorKind::Rejected,
                "the manifest names no account",
            )
        };
        self.aws.as_ref().ok_or_else(none)
    }
}

/// The clients of every cloud, without write access.
#[derive(Clone, Debug)]
pub struct CloudReaders {
    /// Fly.io.
    pub fly: fly::FlyReader,
    /// AWS, where the manifest names an account.
    pub aws: Option<aws::AwsReader>,
}

impl From<fly::FlyReader> for CloudReaders {
    fn from(fly: fly::FlyReader) -> Self {
        Self { fly, aws: None }
    }
}
