//! What a manifest says of a certificate, and what Fly reports.

use serde::Serialize;

use crate::{
    kinds::{Refers, fly::App},
    model::{Address, Ref},
};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateSpec {
    /// The app that serves it.
    pub app: Ref<App>,
    /// The host, such as `example.com` or `*.example.com`.
    pub hostname: String,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateLive {
    /// The app that serves it.
    pub app: Ref<App>,
    /// The host.
    pub hostname: String,
    /// Whether Fly finds it configured; until then DNS records are missing.
    pub configured: bool,
}

impl Refers for CertificateSpec {
    fn refs(&self) -> Vec<Address> {
        let Self { app, hostname: _ } = self;
        vec![app.address()]
    }
}

impl Refers for CertificateLive {
    fn refs(&self) -> Vec<Address> {
        let Self {
            app,
            hostname: _,
            configured: _,
        } = self;
        vec![app.address()]
    }
}
