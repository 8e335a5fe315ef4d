//! A release command: a command that runs once, on a temporary machine, before any machine of the app changes. Mostly a database
//! migration.
//!
//! A release is everything that the machines of an app are started with: image, configuration, secrets. Its id is a hash of
//! them. A continued apply, a repair, or another number of machines is therefore the same release, and the command does not run
//! again.

mod diff;
mod drive;
mod id;
mod spec;

pub use diff::ReleaseEdit;
pub use id::{Release, desired_releases};
pub use spec::{LeftoverMachine, ReleaseLive, ReleaseSpec};

use crate::model::KindName;

/// The kind `fly.release`.
#[derive(Clone, Copy, Debug)]
pub enum ReleaseCommand {}

impl KindName for ReleaseCommand {
    const NAME: &'static str = "fly.release";
}

/// The process group of the temporary machine; the name is flyctl's.
pub const RELEASE_COMMAND_GROUP: &str = "fly_app_release_command";
