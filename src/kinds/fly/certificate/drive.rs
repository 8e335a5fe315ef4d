//! The calls of a certificate.

use super::{Certificate, CertificateLive, CertificateSpec};
use crate::{
    clouds::{CloudError, Clouds, fly::wire},
    kinds::{
        Drive, Never, World,
        fly::{App, app::fly_name},
    },
    model::{Name, Ref},
};

impl CertificateLive {
    /// A certificate as Fly reports it.
    #[must_use]
    pub fn read(app: &Ref<App>, certificate: &wire::Certificate) -> Self {
        let wire::Certificate {
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
    /// A request that was answered or lost before is found again by its hostname.
    async fn create(
        clouds: &Clouds,
        _: &Name,
        spec: &CertificateSpec,
        world: &World,
    ) -> Result<CertificateLive, CloudError> {
        let CertificateSpec { app, hostname } = spec;
        let name = fly_name(world, app)?;
        match clouds.fly.create_certificate(name, hostname).await {
            Ok(made) => Ok(CertificateLive::read(app, &made)),
            Err(error) => {
                let all = clouds.fly.certificates(name).await?;
                let there = all
                    .iter()
                    .find(|certificate| certificate.hostname == *hostname);
                there
                    .map(|there| CertificateLive::read(app, there))
                    .ok_or(error)
            }
        }
    }

    async fn edit(
        _: &Clouds,
        _: &CertificateLive,
        edit: &Never,
        _: &World,
    ) -> Result<CertificateLive, CloudError> {
        match *edit {}
    }

    async fn delete(
        clouds: &Clouds,
        live: &CertificateLive,
        world: &World,
    ) -> Result<(), CloudError> {
        let app = fly_name(world, &live.app)?;
        match clouds.fly.delete_certificate(app, &live.hostname).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
