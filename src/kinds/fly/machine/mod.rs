//! A machine of a process group. Its name is a slot, numbered from zero in each region: `web/app/ewr/0`.

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
