//! Why an operation stopped. The command line turns each into a message, a hint and an exit code.

use crate::{
    clouds::CloudError,
    lock::LockError,
    manifest::ManifestError,
    plan::{CycleError, Refusal},
};

/// What to do after a run that did not come to its end.
pub(super) const RUN_AGAIN: &str = "run the same command again: what was done is not done twice";

/// Why an operation stopped.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// A request to a cloud or a registry failed.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The environment lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The manifest asks for something that does not exist, such as an image.
    #[error("the manifest is not valid")]
    Manifest(ManifestError),
    /// The references of the manifest form a cycle.
    #[error(transparent)]
    Cycle(#[from] CycleError),
    /// The guard refused the plan. Nothing was changed.
    #[error("the plan is refused")]
    Refused(Vec<Refusal>),
    /// The request cannot be met as it was made.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: String,
    },
    /// The plan is not the one that was reviewed or confirmed. Nothing was changed.
    #[error("{message}")]
    PlanChanged {
        /// How the plans differ.
        message: String,
        /// What to do next.
        hint: String,
    },
    /// Some of the work was done, and the same command has to run again.
    #[error("{message}")]
    Incomplete {
        /// What is not done.
        message: String,
        /// What to do next.
        hint: String,
    },
}

impl OperationError {
    pub(super) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The user has asked the operation to end while it did not write.
    pub(super) fn interrupted() -> Self {
        Self::incomplete(
            "stopped by a signal while the live state was being read",
            RUN_AGAIN,
        )
    }

    pub(super) fn incomplete(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Incomplete {
            message: message.into(),
            hint: hint.into(),
        }
    }
}
