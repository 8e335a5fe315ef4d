//! The secrets of an app: set in one call, compared by fingerprint, never shown.

mod diff;
mod drive;
mod record;
mod spec;

pub(crate) use drive::generate::generate_password;

pub use diff::{SecretsEdit, SetReason, SetSecret};
pub use record::{RecordedSecret, SecretsRecord};
pub use spec::{SecretGenerator, SecretLive, SecretSpec, SecretsLive, SecretsSpec};

use crate::model::KindName;

/// The kind `fly.secrets`.
#[derive(Clone, Copy, Debug)]
pub enum Secrets {}

impl KindName for Secrets {
    const NAME: &'static str = "fly.secrets";
}
