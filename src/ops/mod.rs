//! The operations behind the commands. [`run()`] is the one that writes: it drives an environment to a [`Goal`]. Nothing here
//! knows a terminal; a [`Frontend`] shows what happens and asks the user.

pub mod build;
pub mod doctor;
mod environment_lock;
mod error;
mod frontend;
pub mod git;
mod goal;
mod identity;
mod images;
pub mod init;
pub mod permissions;
mod recovery;
mod reviewable;
mod rollback;
mod rollback_mark;
mod run;
mod workflows;
mod workspace;

pub use environment_lock::lock_location;
pub use error::OperationError;
pub use frontend::{ApplyJob, Event, Frontend};
pub use goal::Goal;
pub use identity::RunIdentity;
pub use rollback::previous_states;
pub use run::{Completion, RunOptions, run, run_from};
pub use workflows::{FileState, WorkflowComparison, WorkflowFile, WorkflowRepository};
pub use workspace::{Workspace, WorkspaceOptions, check_known_addresses};
