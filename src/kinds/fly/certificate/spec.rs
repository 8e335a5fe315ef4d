//! The desired and the live state of a certificate.

use serde::Serialize;

use crate::{
    kinds::{References, fly::App},
    model::{Address, ResourceRef},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateSpec {
    /// The app that serves the host name.
    pub app: ResourceRef<App>,
    /// The host name, such as `example.com` or `*.example.com`.
    pub hostname: String,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateLive {
    /// The app that serves the host name.
    pub app: ResourceRef<App>,
    /// The host name.
    pub hostname: String,
    /// Whether the DNS records point to the app, so that Fly can issue the certificate.
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
