//! Lowers IP addresses and certificates.

use super::{app::AppContext, process_groups::GroupScoped, scalars};
use crate::manifest::lower::{Diagnostics, Lowered};
use crate::{
    kinds::fly::{
        Certificate, Ip,
        certificate::CertificateSpec,
        ip::{IpKind, IpSpec},
        workload::config::{MachinePort, MachineService},
    },
    manifest::{
        schema::{IpEntry, IpType},
        syntax::cursor::Cursor,
    },
    model::{Region, ResourceRef, resources_in_app},
};

/// Adds the IP addresses of an app: those of the manifest, or else those that `fly deploy` assigns
/// to an app with public services.
pub(crate) fn lower_ips(
    app: &AppContext<'_>,
    services: &[GroupScoped<MachineService>],
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let cursor = app.cursor.key("ips");
    let Some(entries) = &app.app.ips else {
        for kind in default_ip_kinds(services) {
            add_ip(app, (kind, None, false), app.cursor, lowered, diagnostics);
        }
        return;
    };
    for (index, entry) in entries.iter().enumerate() {
        let field = cursor.item(index);
        let (kind, region) = match entry {
            IpEntry::Kind(kind) => (*kind, None),
            IpEntry::Regional(entry) => match entry.kind {
                Some(kind) => (kind, entry.region.as_ref().map(scalars::to_region)),
                None => continue,
            },
        };
        let kind = lower_ip_kind(kind);
        if region.is_some() && matches!(kind, IpKind::SharedV4 | IpKind::PrivateV6) {
            let diagnostic = field
                .key("region")
                .diagnostic(format!("a `{kind}` address has no region"));
            diagnostics.error(diagnostic.with_help("only `v4` and `v6` can be in one region"));
        }
        add_ip(app, (kind, region, true), field, lowered, diagnostics);
    }
}

fn add_ip(
    app: &AppContext<'_>,
    (kind, region, declared): (IpKind, Option<Region>, bool),
    cursor: Cursor<'_>,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let mut parts = vec![kind.as_str()];
    parts.extend(region.as_ref().map(Region::as_str));
    let Some(name) = app.child_name(&parts, cursor, diagnostics) else {
        return;
    };
    if lowered.desired.fly_ip.contains_key(&name) {
        diagnostics.error(
            cursor
                .diagnostic(format!("`{}` is listed twice", parts.join(" in ")))
                .with_help("one address of each sort and region"),
        );
    }
    app.record_location::<Ip>(&name, cursor, lowered);
    lowered.desired.fly_ip.insert(
        name,
        IpSpec {
            app: app.app_ref(),
            kind,
            region,
            declared,
        },
    );
}

fn lower_ip_kind(ip: IpType) -> IpKind {
    match ip {
        IpType::SharedV4 => IpKind::SharedV4,
        IpType::V4 => IpKind::V4,
        IpType::V6 => IpKind::V6,
        IpType::PrivateV6 => IpKind::PrivateV6,
    }
}

/// The default addresses. A shared IPv4 only serves HTTP on 80 and HTTPS on 443; anything else
/// needs a dedicated one.
fn default_ip_kinds(services: &[GroupScoped<MachineService>]) -> Vec<IpKind> {
    let public: Vec<&MachineService> = services
        .iter()
        .map(|service| &service.value)
        .filter(|service| !service.ports.is_empty())
        .collect();
    if public.is_empty() {
        return Vec::new();
    }
    let shareable = public
        .iter()
        .all(|service| service.protocol == "tcp" && service.ports.iter().all(is_web_port));
    vec![
        if shareable {
            IpKind::SharedV4
        } else {
            IpKind::V4
        },
        IpKind::V6,
    ]
}

fn is_web_port(port: &MachinePort) -> bool {
    let handlers: Vec<&str> = port.handlers.iter().map(String::as_str).collect();
    match port.port {
        Some(80) => handlers == ["http"],
        Some(443) => handlers.len() == 2 && handlers.contains(&"http") && handlers.contains(&"tls"),
        _ => false,
    }
}

/// Checks that the app has an address under which the public reaches it, as the request needs that
/// verifies a rollout: it would fail after every rollout, and a good release would be rolled back.
pub(crate) fn check_public_address(
    app: &AppContext<'_>,
    services: &[GroupScoped<MachineService>],
    lowered: &Lowered,
    diagnostics: &mut Diagnostics,
) {
    let field = app.cursor.key("deploy").key("verify");
    let reached = |service: &GroupScoped<MachineService>| !service.value.ports.is_empty();
    if !services.iter().any(reached) {
        let diagnostic =
            field.diagnostic("no service of this app has a port, so nothing can be verified");
        diagnostics.error(diagnostic.with_help("give it one, set `host`, or leave `verify` out"));
        return;
    }
    let mut ips = resources_in_app(&lowered.desired.fly_ip, &app.name);
    if ips.all(|(_, ip)| ip.kind == IpKind::PrivateV6) {
        let diagnostic =
            field.diagnostic("this app has no public address, so nothing can be verified");
        diagnostics.error(
            diagnostic.with_help(
                "add \"shared_v4\" or \"v6\" to `ips`, set `host`, or leave `verify` out",
            ),
        );
    }
}

/// Adds the certificates of an app.
pub(crate) fn lower_certificates(
    app: &AppContext<'_>,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let addresses: Vec<ResourceRef<Ip>> = resources_in_app(&lowered.desired.fly_ip, &app.name)
        .map(|(name, _)| ResourceRef::new(name.clone()))
        .collect();
    for (index, hostname) in app.app.certificates.iter().enumerate() {
        let cursor = app.cursor.key("certificates").item(index);
        if !is_hostname(hostname) {
            let diagnostic = cursor.diagnostic(format!("`{hostname}` is not a host name"));
            diagnostics.error(diagnostic.with_help(hostname_help(hostname)));
            continue;
        }
        let mut others = lowered.desired.fly_certificate.values();
        if others.any(|other| other.hostname == *hostname) {
            diagnostics.error(
                cursor
                    .diagnostic(format!("`{hostname}` has a certificate already"))
                    .with_help("a host belongs to one app"),
            );
            continue;
        }
        if let Some(name) = app.child_name(&[hostname], cursor, diagnostics) {
            app.record_location::<Certificate>(&name, cursor, lowered);
            lowered.desired.fly_certificate.insert(
                name,
                CertificateSpec {
                    app: app.app_ref(),
                    hostname: hostname.clone(),
                    addresses: addresses.clone(),
                },
            );
        }
    }
}

/// Whether a text is a full host name in lower case, with `*.` in front for a wildcard.
fn is_hostname(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.contains('.') && host.split('.').all(label)
}

fn hostname_help(text: &str) -> String {
    if text.contains("://") || text.contains('/') {
        "leave out the scheme and the path: `example.com`".to_owned()
    } else if text.chars().any(|c| c.is_ascii_uppercase()) {
        format!("write it in lower case: `{}`", text.to_lowercase())
    } else {
        "write it in full: `example.com`, `www.example.com` or `*.example.com`".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in [
            "example.com",
            "*.example.com",
            "a-b.example.co.uk",
            "xn--bcher-kva.example",
        ] {
            assert!(is_hostname(good), "{good}");
        }
        for bad in [
            "example",
            "https://example.com",
            "Example.com",
            "-a.com",
            "a..com",
            "*.com.",
            "*",
        ] {
            assert!(!is_hostname(bad), "{bad}");
        }
    }
}
