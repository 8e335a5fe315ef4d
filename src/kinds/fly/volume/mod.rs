//! A volume: a disk pinned to one host in one region. It grows and never shrinks, and never moves.

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
