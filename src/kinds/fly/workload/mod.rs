//! What machines and cron machines share: a configuration, a place, and marks. The two kinds differ only in how they
//! are found and in what an update may do to what runs.

pub mod config;
mod creation_lines;
mod diff;
pub(crate) mod drive;
mod history;
mod image;
pub mod json_tree;
mod live;
mod rollback;
mod spec;

pub use config::MachineConfig;
pub use diff::{ConfigUpdate, WorkloadEdit, diff_workload};
pub use history::VersionHistory;
pub use image::{default_image, running_app_image, with_default_image};
pub use live::{Health, ProcessExit, WorkloadLive};
pub use rollback::{PreviousConfig, rollback_edit};
pub use spec::Workload;
