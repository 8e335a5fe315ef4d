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

pub use back::{PreviousConfig, rollback_edit};
pub use config::MachineConfig;
pub use delta::{ConfigUpdate, WorkloadEdit, diff_workload};
pub use history::VersionHistory;
pub use image::{default_image, running_app_image, with_default_image};
pub use live::{Health, ProcessExit, WorkloadLive};
pub use spec::Workload;
