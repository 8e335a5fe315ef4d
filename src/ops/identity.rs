//! Who runs this process: what others read on our leases and on the environment lock.

use super::OperationError;
use crate::lock::LockHolder;

/// Who runs this process, and where.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// The user, or the actor of the pipeline.
    pub user: String,
    /// The host name, where it is known.
    pub host: Option<String>,
    /// The URL of the pipeline run, where there is one.
    pub run_url: Option<String>,
}

impl RunIdentity {
    /// The description on a machine lease, such as `trimtab apply draft/staging by ci-bot, https://github.com/…/runs/7`.
    #[must_use]
    pub fn lease_description(&self, command: &str, environment: &str) -> String {
        let user = &self.user;
        match self.run_url.as_ref().or(self.host.as_ref()) {
            Some(place) => format!("trimtab {command} {environment} by {user}, {place}"),
            None => format!("trimtab {command} {environment} by {user}"),
        }
    }

    /// The holder to write into the environment lock. Its random nonce tells this run from any other.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn lock_holder(
        &self,
        command: &str,
        environment: &str,
    ) -> Result<LockHolder, OperationError> {
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| {
            OperationError::invalid(
                "the system gives no random numbers",
                "check that /dev/urandom is readable",
            )
        })?;
        Ok(LockHolder {
            nonce: nonce.iter().map(|byte| format!("{byte:02x}")).collect(),
            holder: self.user.clone(),
            host: self
                .host
                .clone()
                .unwrap_or_else(|| "an unnamed machine".to_owned()),
            pid: std::process::id(),
            run_url: self.run_url.clone(),
            command: format!("trimtab {command} {environment}"),
        })
    }
}
