//! A cron machine: a machine that Fly starts on a schedule. It runs the image of its app, and an update never starts it.

mod diff;
mod drive;
mod spec;

pub use spec::{CronLive, CronSpec};

use crate::model::KindName;

/// The kind `fly.cron`.
#[derive(Clone, Copy, Debug)]
pub enum Cron {}

impl KindName for Cron {
    const NAME: &'static str = "fly.cron";
}
