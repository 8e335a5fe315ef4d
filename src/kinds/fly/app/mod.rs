//! An app: the container of everything else on Fly. Apps have no metadata, so the ownership mark is the name of a secret.

mod diff;
mod drive;
mod spec;
mod verify;

pub use diff::AppEdit;
pub(crate) use drive::fly_app_name;
pub use spec::{AppLive, AppSpec};
pub use verify::Verification;

use crate::model::KindName;

/// The kind `fly.app`.
#[derive(Clone, Copy, Debug)]
pub enum App {}

impl KindName for App {
    const NAME: &'static str = "fly.app";
}
