//! What a manifest says of a certificate, and what Fly reports.

use serde::Serialize;

use crate::{
    kinds::{References, fly::App},
    model::{Address, ResourceRef},
};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateSpec {
    /// The app that serves it.
    pub app: ResourceRef<App>,
    /// The host, such as `example.com` or `*.example.com`.
    pub hostname: String,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateLive {
    /// The app that serves it.
    pub app: ResourceRef<App>,
    /// The host.
    pub hostname: String,
    /// Whether Fly finds it configured; until then DNS records are missing.
    pub configured: bool,
}

impl References for CertificateSpec {
    fn references(&self) -> Vec<Address> {
        let Self { app, hostname: _ } = self;
        vec![app.address()]
    }
}

impl References for CertificateLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            hostname: _,
            configured: _,
        } = self;
        vec![app.address()]
    }
}
