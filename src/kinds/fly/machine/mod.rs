//! A machine of a process group: one slot, counted from zero in each region.

mod diff;
mod drive;
mod spec;

pub use spec::{MachineLive, MachineSpec};

use crate::model::KindName;

/// The kind `fly.machine`.
#[derive(Clone, Copy, Debug)]
pub enum Machine {}

impl KindName for Machine {
    const NAME: &'static str = "fly.machine";
}
