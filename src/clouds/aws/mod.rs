//! AWS (S3, IAM and STS) through the official SDK. [`AwsReader`] can only read; [`AwsWriter`] can
//! also write, so a function that takes a reader cannot change anything.
//!
//! ```text
//! clients.rs      credentials, endpoints, one client for each service and region
//! github.rs       credentials from the identity of a GitHub Actions job
//! interceptor.rs  sees every attempt: counts, logs, records the server's date
//! retry.rs        SDK errors to `CloudError`, and retries while a change spreads
//! read.rs         read operations of S3 and STS; "not found" is a value, not an error
//! read_sharing.rs settings of a bucket that let others in
//! read_iam.rs     read operations of IAM
//! s3.rs           write operations on buckets
//! s3_delete.rs    deleting a bucket, and whether it is empty
//! iam.rs          write operations on roles and identity providers
//! convert.rs      SDK values to ours and back
//! types.rs        what the read operations return
//! ```

mod clients;
mod convert;
mod github;
mod iam;
mod interceptor;
mod read;
mod read_iam;
mod read_sharing;
pub(crate) mod retry;
mod s3;
mod s3_delete;
pub mod types;

pub use clients::{AwsSettings, ServiceEndpoints, StaticCredentials};
pub use github::GitHubJob;
pub use iam::NewRole;
pub use read::AwsReader;
pub use s3::BucketRef;

/// A client that can read and write.
#[derive(Clone, Debug)]
pub struct AwsWriter(AwsReader);

impl AwsWriter {
    /// Makes a writer that shares the clients and credentials of `reader`.
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
