//! What the calls of a step work with: the clients that can write, the lock of the environment, and the sink for progress.

use std::sync::Arc;

use crate::{
    clouds::{CloudError, ErrorKind, ProgressSink, aws, fly},
    lock::LockLease,
};

/// The clients of every cloud, with write access. Only `apply` holds one.
#[derive(Clone, Debug)]
pub struct CloudWriters {
    /// Fly.io.
    pub fly: fly::FlyWriter,
    /// AWS, where the manifest names an account.
    pub aws: Option<aws::AwsWriter>,
    /// The lock of the environment, where it has one. Whoever took it gives it back.
    pub lock: Option<Arc<LockLease>>,
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
