//! What machines, cron machines and release command machines share: a configuration, a region, and
//! metadata. The kinds differ only in how live machines are matched and in what an update may
//! restart.

pub mod config;
mod creation_lines;
mod diff;
mod display;
pub(crate) mod drive;
mod history;
mod image;
pub mod json_tree;
mod live;
pub mod postgres_node;
mod rollback;
mod spec;
mod standby;
mod unstated;

pub use config::MachineConfig;
pub use diff::{ConfigUpdate, WorkloadEdit, diff_workload};
pub use history::{ReleaseTimeline, RollbackTarget, VersionHistory};
pub use image::{
    container_images, default_image, keep_running_image, replace_container_images,
    running_app_image, with_default_image,
};
pub use live::{Health, ProcessExit, WorkloadLive};
pub use rollback::{PreviousConfig, restored_spec, rollback_edit};
pub use spec::Workload;
pub use unstated::{with_group_guest, with_largest_guest};
