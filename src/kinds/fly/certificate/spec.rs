//! The desired and the live state of a certificate.

use serde::Serialize;

use crate::{
    kinds::{
        References,
        fly::{App, Ip},
    },
    model::{Address, ResourceRef},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateSpec {
    /// The app that serves the host name.
    pub app: ResourceRef<App>,
    /// The host name, such as `example.com` or `*.example.com`.
    pub hostname: String,
    /// The app's addresses. The DNS records that a new certificate asks for name them, so they are assigned first.
    #[serde(skip)]
    pub addresses: Vec<ResourceRef<Ip>>,
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
        let Self {
            app,
            hostname: _,
            addresses,
        } = self;
        let addresses = addresses.iter().map(ResourceRef::address);
        std::iter::once(app.address()).chain(addresses).collect()
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
