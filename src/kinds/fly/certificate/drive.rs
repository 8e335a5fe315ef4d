//! The API calls of a certificate.

use super::{Certificate, CertificateLive, CertificateSpec};
use crate::{
    clouds::{CloudError, MachineStatus, fly::wire},
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
            dns_requirements: _,
        } = certificate;
        Self {
            app: app.clone(),
            hostname: hostname.clone(),
            configured: *configured,
        }
    }
}

/// What to tell the user to set at the provider of the domain: without these records Fly cannot issue the certificate.
fn dns_records(certificate: &wire::CertificateSummary) -> Vec<String> {
    let wire::CertificateSummary {
        hostname,
        configured: _,
        dns_requirements,
    } = certificate;
    let wire::DnsRequirements {
        a,
        aaaa,
        cname,
        acme_challenge,
    } = dns_requirements;
    let mut records: Vec<String> = a
        .iter()
        .map(|address| format!("{hostname} A {address}"))
        .chain(
            aaaa.iter()
                .map(|address| format!("{hostname} AAAA {address}")),
        )
        .collect();
    if !cname.is_empty() {
        records.push(format!("or instead of both: {hostname} CNAME {cname}"));
    }
    if !acme_challenge.name.is_empty() {
        let wire::AcmeChallenge { name, target } = acme_challenge;
        let need = match hostname.starts_with("*.") {
            true => "",
            false => "to have the certificate before the name points to Fly: ",
        };
        records.push(format!("{need}{name} CNAME {target}"));
    }
    if records.is_empty() {
        return records;
    }
    let heading = format!("set these DNS records for {hostname}:");
    std::iter::once(heading).chain(records).collect()
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
        let CertificateSpec {
            app,
            hostname,
            addresses: _,
        } = spec;
        let name = fly_app_name(world, app)?;
        match clouds.fly.create_certificate(name, hostname).await {
            Ok(created) => {
                if !created.configured {
                    let status = MachineStatus {
                        output: dns_records(&created),
                        ..MachineStatus::default()
                    };
                    clouds.progress.report_change(&mut None, status);
                }
                Ok(CertificateLive::from_wire(app, &created))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_to_set_are_told_for_a_name_and_for_a_wildcard() {
        let requirements = wire::DnsRequirements {
            a: vec!["66.241.125.8".to_owned()],
            aaaa: vec!["2a09:8280:1::9f:2c1e".to_owned()],
            cname: "twqm93h.shop.fly.dev".to_owned(),
            acme_challenge: wire::AcmeChallenge {
                name: "_acme-challenge.example.com".to_owned(),
                target: "example.com.twqm93h.flydns.net".to_owned(),
            },
        };
        let records = |hostname: &str| {
            let certificate = wire::CertificateSummary {
                hostname: hostname.to_owned(),
                configured: false,
                dns_requirements: requirements.clone(),
            };
            dns_records(&certificate)
        };
        assert_eq!(
            records("*.example.com"),
            [
                "set these DNS records for *.example.com:",
                "*.example.com A 66.241.125.8",
                "*.example.com AAAA 2a09:8280:1::9f:2c1e",
                "or instead of both: *.example.com CNAME twqm93h.shop.fly.dev",
                "_acme-challenge.example.com CNAME example.com.twqm93h.flydns.net",
            ]
        );
        // Other ways of validation exist for a name that is no wildcard.
        assert!(records("example.com")[4].starts_with("to have the certificate before"));
    }
}
