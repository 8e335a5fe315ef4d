//! Matches what an app has besides machines and volumes (secrets, IP addresses, certificates) to the
//! resources of the manifest.

use std::collections::BTreeMap;

use crate::{
    clouds::fly::wire,
    kinds::{
        DataLoss, Desired, UnmanagedResource,
        fly::{
            App, Certificate, Ip, Secrets,
            certificate::CertificateLive,
            ip::{IpLive, IpSpec},
            secrets::{SecretLive, SecretsLive, SecretsRecord},
        },
    },
    model::{Address, Name, OwnershipMark, ResourceMap, ResourceRef, resources_in_app},
};

/// Builds a resource name inside an app from parts that come from the API. Characters that a name
/// may not contain become `-`, and so does an empty part.
pub(crate) fn name_in_app(app: &Name, parts: &[&str]) -> Name {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    let sanitize = |part: &&str| match *part {
        "" | "." | ".." => "-".to_owned(),
        part => part
            .chars()
            .map(|c| if is_allowed(c) { c } else { '-' })
            .collect::<String>(),
    };
    let text = parts.iter().map(sanitize).collect::<Vec<_>>().join("/");
    app.child(&text).unwrap_or_else(|_| app.clone())
}

/// Joins an app's secrets with the fingerprints recorded in machine metadata. Secrets that neither
/// the manifest nor any record names are unmanaged.
pub(crate) fn match_secrets(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::AppSecret],
    records: &[SecretsRecord],
    has_machines: bool,
) -> (Option<SecretsLive>, Vec<UnmanagedResource>) {
    let spec = desired.fly_secrets.get(app.name());
    let mut present = BTreeMap::new();
    let mut unmanaged = Vec::new();
    for wire::AppSecret { name, digest } in live
        .iter()
        .filter(|secret| !OwnershipMark::is_label(&secret.name))
    {
        let recorded: Vec<_> = records
            .iter()
            .filter_map(|record| record.0.get(name))
            .collect();
        // Only a fingerprint that was recorded with the current digest belongs to the current value.
        let matching = recorded.iter().find(|recorded| recorded.digest == *digest);
        let is_known = !recorded.is_empty();
        let is_declared = spec.is_some_and(|spec| spec.declares(name));
        if !is_known && !is_declared {
            unmanaged.push(UnmanagedResource {
                description: format!("secret {name}"),
                container: app.address(),
                why: "the manifest has no secret of this name".to_owned(),
                // Fly returns no values, so the app may be the only place that has this one.
                data_loss: Some(DataLoss::Secret),
                address: Some(Address::new::<Secrets>(&name_in_app(app.name(), &[name]))),
                identity: String::new(),
            });
            continue;
        }
        let fingerprint = matching.map(|recorded| recorded.fingerprint.clone());
        present.insert(
            name.clone(),
            SecretLive {
                digest: digest.clone(),
                fingerprint,
                known: is_known,
            },
        );
    }
    let live = SecretsLive {
        app: app.clone(),
        present,
        version: None,
        has_machines,
    };
    (
        Some(live).filter(|live| {
            spec.is_some_and(|spec| spec.values.is_empty()) || !live.present.is_empty()
        }),
        unmanaged,
    )
}

/// Matches IP addresses. If the manifest does not list the app's addresses, those beyond the
/// default two are unmanaged.
pub(crate) fn match_ips(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::IpAssignment],
) -> (ResourceMap<IpLive>, Vec<UnmanagedResource>) {
    let specs: Vec<(&Name, &IpSpec)> = resources_in_app(&desired.fly_ip, app.name()).collect();
    // When the manifest lists addresses (or says that there are none), or the app is to be deleted,
    // all addresses are managed.
    let is_exclusive = desired
        .fly_app
        .get(app.name())
        .is_none_or(|spec| spec.ips_stated);
    // Prefer the older of two matching addresses, since DNS records may point to it. Lists are
    // unordered.
    let mut live: Vec<&wire::IpAssignment> = live.iter().filter(|ip| !ip.egress).collect();
    live.sort_by(|a, b| (&a.created_at, &a.ip).cmp(&(&b.created_at, &b.ip)));
    let mut remaining: Vec<IpLive> = live
        .into_iter()
        .map(|ip| IpLive::from_wire(app, ip))
        .collect();
    let mut assigned = ResourceMap::new();
    for (name, spec) in specs {
        if let Some(index) = remaining.iter().position(|ip| ip.satisfies(spec)) {
            assigned.insert(name.clone(), remaining.remove(index));
        }
    }
    let mut unmanaged = Vec::new();
    for ip in remaining {
        let name = name_in_app(app.name(), &[ip.kind.as_str(), &ip.address]);
        if is_exclusive {
            assigned.insert(name, ip);
        } else {
            unmanaged.push(UnmanagedResource {
                description: format!("IP address {} ({})", ip.address, ip.kind),
                container: app.address(),
                why: "the manifest says nothing of this address".to_owned(),
                data_loss: ip.kind.lost_with_app(),
                address: Some(Address::new::<Ip>(&name)),
                identity: ip.address,
            });
        }
    }
    (assigned, unmanaged)
}

/// Matches certificates. One that the manifest does not name is unmanaged: certificates carry no
/// ownership mark, and it may be a customer's domain.
pub(crate) fn match_certificates(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::CertificateSummary],
) -> (ResourceMap<CertificateLive>, Vec<UnmanagedResource>) {
    let mut assigned = ResourceMap::new();
    let mut unmanaged = Vec::new();
    for certificate in live {
        let live = CertificateLive::from_wire(app, certificate);
        let name = name_in_app(app.name(), &[&live.hostname]);
        if desired.fly_certificate.contains_key(&name) || !desired.fly_app.contains_key(app.name())
        {
            assigned.insert(name, live);
        } else {
            unmanaged.push(UnmanagedResource {
                description: format!("certificate {}", live.hostname),
                container: app.address(),
                why: "the manifest does not name it".to_owned(),
                data_loss: None,
                address: Some(Address::new::<Certificate>(&name)),
                identity: String::new(),
            });
        }
    }
    (assigned, unmanaged)
}
