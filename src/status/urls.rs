//! Where the public reaches the apps of an environment.

use crate::{
    kinds::{Desired, fly::ip::IpKind},
    model::Name,
};

/// The addresses of the apps that have a public address, by the app's key: the first of its own host names that is no wildcard, or
/// else its host name on `fly.dev`.
#[must_use]
pub fn public_urls(desired: &Desired) -> Vec<(Name, String)> {
    let is_public = |app: &Name| {
        desired
            .fly_ip
            .iter()
            .any(|(name, ip)| name.root() == *app && ip.kind != IpKind::PrivateV6)
    };
    let own_hostname = |app: &Name| {
        desired
            .fly_certificate
            .iter()
            .filter(|(name, _)| name.root() == *app)
            .map(|(_, certificate)| certificate.hostname.as_str())
            .find(|hostname| !hostname.starts_with('*'))
    };
    desired
        .fly_app
        .iter()
        .filter(|(app, _)| is_public(app))
        .map(|(app, spec)| {
            let url = match own_hostname(app) {
                Some(hostname) => format!("https://{hostname}"),
                None => format!("https://{}.fly.dev", spec.name),
            };
            (app.clone(), url)
        })
        .collect()
}
