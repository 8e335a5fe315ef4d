//! Everything that the calls of a step use: clients with write access, the lock of the environment, and the progress sink.

use std::sync::Arc;

use crate::{
    clouds::{CloudError, ErrorKind, ProgressSink, aws, fly},
    lock::LockLease,
};

/// The clients of every cloud, with write access. Only `apply` holds one.
#[derive(Clone, Debug)]
pub struct CloudWriters {
    /// The client of Fly.io.
    pub fly: fly::FlyWriter,
    /// The client of AWS, where the manifest names an account.
    pub aws: Option<aws::AwsWriter>,
    /// The lock of the environment, where it has one. The code that acquired it releases it.
    pub lock: Option<Arc<LockLease>>,
    /// Receives the machine status during long waits.
    pub progress: ProgressSink,
}

impl CloudWriters {
    /// The client of AWS.
    ///
    /// # Errors
    /// When there is no client: the manifest that the plan was made from names no account.
    pub fn aws(&self) -> Result<&aws::AwsWriter, CloudError> {
        let no_client = || {
            CloudError::new_aws(
                "call AWS",
                ErrorKind::Rejected,
                "the manifest names no account",
            )
        };
        self.aws.as_ref().ok_or_else(no_client)
    }
}
