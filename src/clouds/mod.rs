//! The clients of Fly.io, of image registries, of GitHub and of AWS, above one HTTP client with rate limits,
//! retries, timeouts and request ids. (AWS uses its own SDK.) Nothing here knows of resource kinds
//! or plans.

pub mod aws;
mod endpoint;
mod error;
pub mod fly;
pub mod github;
pub(crate) mod http;
mod http_errors;
mod in_flight;
mod pages;
mod probe;
mod progress;
mod rate_limiter;
mod registry;
mod request_counter;
mod url;

pub(crate) use error::format_error_chain;
pub use error::{CloudError, CloudProvider, ErrorKind};
pub use fly::LeaseHolder;
pub use http::{ApiClient, ClientConfig};
pub use probe::ProbeResponse;
pub use progress::{MachineStatus, ProgressSink};
pub use rate_limiter::{RateLimitedAction, RateLimiter};
pub use registry::RegistryClient;
pub use request_counter::{CrashMode, CrashPoint, RequestOrdinal};

/// The read-only clients of all clouds.
#[derive(Clone, Debug)]
pub struct CloudReaders {
    /// Fly.io.
    pub fly: fly::FlyReader,
    /// AWS; `None` if the manifest names no account.
    pub aws: Option<aws::AwsReader>,
}

impl From<fly::FlyReader> for CloudReaders {
    fn from(fly: fly::FlyReader) -> Self {
        Self { fly, aws: None }
    }
}
