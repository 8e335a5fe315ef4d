//! The kinds on Fly.io. All of them live inside an app, so the first segment of every name is the key of the app.

pub mod app;
pub mod certificate;
pub mod cron;
mod duplicates;
pub mod ip;
pub mod machine;
pub mod release;
pub mod secrets;
pub mod volume;
pub mod workload;

use super::RolloutGroup;
use crate::model::Name;

pub use app::App;
pub use certificate::Certificate;
pub use cron::Cron;
pub use ip::Ip;
pub use machine::Machine;
pub use release::{Release, ReleaseCommand};
pub use secrets::Secrets;
pub use volume::Volume;

/// The group of a slot: app and process group or volume, such as `web/app` for `web/app/ewr/0`.
fn slot_group(name: &Name) -> Option<RolloutGroup> {
    Name::parse(&name.segments().take(2).collect::<Vec<_>>().join("/")).ok()
}
