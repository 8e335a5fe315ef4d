//! The secrets of an app: set in one batched call, compared by fingerprint, never shown.

mod diff;
mod drive;
mod record;
mod spec;

pub use diff::{SecretsEdit, SetSecret, SetWhy};
pub use record::{Record, Recorded};
pub use spec::{SecretLive, SecretSpec, SecretsLive, SecretsSpec};

use crate::model::Named;

/// The kind `fly.secrets`.
#[derive(Clone, Copy, Debug)]
pub enum Secrets {}

impl Named for Secrets {
    const NAME: &'static str = "fly.secrets";
}
