//! The kinds on Fly.io. Everything lives inside an app, so every name begins with the app's key in the manifest.

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

pub use app::App;
pub use certificate::Certificate;
pub use cron::Cron;
pub use ip::Ip;
pub use machine::Machine;
pub use release::{Release, ReleaseCommand};
pub use secrets::Secrets;
pub use volume::Volume;
