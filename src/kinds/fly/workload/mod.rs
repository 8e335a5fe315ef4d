//! What machines and cron machines share: a configuration, a place, and marks. The two kinds differ only in how they
//! are found and in what an update may do to what runs.

mod back;
pub mod config;
mod delta;
pub(crate) mod drive;
mod history;
mod image;
mod live;
mod outline;
mod spec;
pub mod tree;

pub use back::{Earlier, back};
pub use config::MachineConfig;
pub use delta::{Update, WorkloadEdit, compare};
pub use history::History;
pub use image::{app_image, running, with_image};
pub use live::{Health, Run, WorkloadLive};
pub use spec::Workload;
