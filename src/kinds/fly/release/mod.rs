//! A release command: what an app runs once, on a machine of its own, before any of its machines changes. Migrations,
//! mostly.
//!
//! A release is everything that the machines of an app are started with: image, configuration, secrets. Its id is a hash
//! over that, so a run that goes on, a repair or another count of machines is the same release, and the command does not
//! run again.

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

/// The process group of a release command's machine, as flyctl calls it.
pub const RELEASE_COMMAND_GROUP: &str = "fly_app_release_command";
