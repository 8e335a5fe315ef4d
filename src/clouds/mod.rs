//! The wire: one HTTP path with pacing, retries, time limits and request ids, AWS's own SDK beside it, and narrow clients
//! above both. It knows no kind and no plan.

pub mod aws;
mod endpoint;
mod error;
pub mod fly;
pub(crate) mod http;
mod probe;
mod progress;
mod rate_limiter;
mod registry;
mod request_counter;

pub(crate) use error::format_error_chain;
pub use error::{CloudError, CloudProvider, ErrorKind};
pub use http::{ApiClient, ClientConfig};
pub use probe::ProbeResponse;
pub use progress::{MachineStatus, ProgressSink};
pub use rate_limiter::{RateLimitedAction, RateLimiter};
pub use registry::RegistryClient;
pub use request_counter::{CrashMode, CrashPoint, RequestOrdinal};

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
