//! AWS: S3, IAM and STS through the official SDK, as two clients: one that can only read, and one that can write as well.
//!
//! ```text
//! account.rs   credentials, endpoints, one client for each service and region
//! github.rs    credentials from the identity of a GitHub Actions job
//! watch.rs     what every attempt passes: count, log, the server's clock
//! again.rs     errors in our words, and what is tried again
//! read.rs      the reads; an answer "absent" is a value, not an error
//! s3.rs        the writes to a bucket, one after another
//! iam.rs       the writes to roles and identity providers
//! shape.rs     the SDK's values to ours and back
//! wire.rs      what the reads give
//! lock/        one run at a time: a lease on an object of S3
//! ```

mod clients;
mod convert;
mod github;
mod iam;
mod interceptor;
mod read;
pub(crate) mod retry;
mod s3;
pub mod types;

pub use clients::{AwsSettings, ServiceEndpoints, StaticCredentials};
pub use github::GitHubJob;
pub use iam::NewRole;
pub use read::AwsReader;
pub use s3::BucketRef;

/// A client that can write as well.
#[derive(Clone, Debug)]
pub struct AwsWriter(AwsReader);

impl AwsWriter {
    /// A writer with the credentials of a reader.
    #[must_use]
    pub fn new(reader: AwsReader) -> Self {
        Self(reader)
    }
}

impl std::ops::Deref for AwsWriter {
    type Target = AwsReader;

    fn deref(&self) -> &AwsReader {
        &self.0
    }
}
