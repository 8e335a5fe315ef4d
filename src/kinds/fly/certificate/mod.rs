//! A certificate: a hostname that Fly serves over TLS for an app.

mod diff;
mod drive;
mod spec;

pub use spec::{CertificateLive, CertificateSpec};

use crate::model::KindName;

/// The kind `fly.certificate`.
#[derive(Clone, Copy, Debug)]
pub enum Certificate {}

impl KindName for Certificate {
    const NAME: &'static str = "fly.certificate";
}
