//! A volume: a disk on one host in one region. It can grow, and can neither shrink nor move.

mod diff;
mod drive;
mod spec;

pub use diff::VolumeEdit;
pub use spec::{VolumeLive, VolumeSpec};

use crate::model::KindName;

/// The kind `fly.volume`.
#[derive(Clone, Copy, Debug)]
pub enum Volume {}

impl KindName for Volume {
    const NAME: &'static str = "fly.volume";
}
