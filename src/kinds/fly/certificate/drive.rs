//! The API calls of a certificate.

use super::{Certificate, CertificateLive, CertificateSpec};
use crate::{
    clouds::{CloudError, fly::wire},
    kinds::{
        CloudWriters, Drive, NoEdit, World,
        fly::{App, app::fly_app_name},
    },
    model::{Name, ResourceRef},
};

impl CertificateLive {
    /// Reads a certificate from the API.
    #[must_use]
    pub fn from_wire(app: &ResourceRef<App>, certificate: &wire::CertificateSummary) -> Self {
        let wire::CertificateSummary {
            hostname,
            configured,
        } = certificate;
        Self {
            app: app.clone(),
            hostname: hostname.clone(),
            configured: *configured,
        }
    }
}

impl Drive for Certificate {
    /// If the request fails, the certificate may exist from an earlier attempt, so it is looked up
    /// by host name.
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &CertificateSpec,
        world: &World,
    ) -> Result<CertificateLive, CloudError> {
        let CertificateSpec { app, hostname } = spec;
        let name = fly_app_name(world, app)?;
        match clouds.fly.create_certificate(name, hostname).await {
            Ok(created) => Ok(CertificateLive::from_wire(app, &created)),
            Err(error) => {
                let all = clouds.fly.list_certificates(name).await?;
                let existing = all
                    .iter()
                    .find(|certificate| certificate.hostname == *hostname);
                existing
                    .map(|existing| CertificateLive::from_wire(app, existing))
                    .ok_or(error)
            }
        }
    }

    async fn edit(
        _: &CloudWriters,
        _: &CertificateLive,
        edit: &NoEdit,
        _: &World,
    ) -> Result<CertificateLive, CloudError> {
        match *edit {}
    }

    async fn delete(
        clouds: &CloudWriters,
        live: &CertificateLive,
        world: &World,
    ) -> Result<(), CloudError> {
        let app = fly_app_name(world, &live.app)?;
        match clouds.fly.delete_certificate(app, &live.hostname).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
