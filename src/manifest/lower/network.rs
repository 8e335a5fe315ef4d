//! Addresses and certificates.

use super::{Lowered, Sink, app::AppScene, groups::Scoped, scalars};
use crate::{
    kinds::fly::{
        Certificate,
        certificate::CertificateSpec,
        ip::{IpKind, IpSpec},
        workload::config::{Port, Service},
    },
    manifest::{
        shape::{Ip, IpEntry},
        spot::Spot,
    },
    model::Region,
};

/// The addresses of an app: as stated, or as `fly deploy` gives them to an app that the public reaches.
pub(super) fn addresses(
    app: &AppScene<'_>,
    services: &[Scoped<Service>],
    out: &mut Lowered,
    sink: &mut Sink,
) {
    let at = app.at.key("ips");
    let Some(entries) = &app.app.ips else {
        for kind in defaults(services) {
            add(app, (kind, None, false), app.at, out, sink);
        }
        return;
    };
    for (index, entry) in entries.iter().enumerate() {
        let spot = at.item(index);
        let (kind, region) = match entry {
            IpEntry::Kind(kind) => (*kind, None),
            IpEntry::Regional(entry) => match entry.kind {
                Some(kind) => (kind, entry.region.as_ref().map(scalars::region)),
                None => continue,
            },
        };
        let kind = kind_of(kind);
        if region.is_some() && matches!(kind, IpKind::SharedV4 | IpKind::PrivateV6) {
            let problem = spot
                .key("region")
                .problem(format!("a `{kind}` address has no region"));
            sink.error(problem.help("only `v4` and `v6` can be in one region"));
        }
        add(app, (kind, region, true), spot, out, sink);
    }
}

fn add(
    app: &AppScene<'_>,
    (kind, region, stated): (IpKind, Option<Region>, bool),
    at: Spot<'_>,
    out: &mut Lowered,
    sink: &mut Sink,
) {
    let mut parts = vec![kind.as_str()];
    parts.extend(region.as_ref().map(Region::as_str));
    let Some(name) = app.child(&parts, at, sink) else {
        return;
    };
    if out.desired.fly_ip.contains_key(&name) {
        sink.error(
            at.problem(format!("`{}` stands here twice", parts.join(" in ")))
                .help("one address of each sort and region"),
        );
    }
    app.place::<crate::kinds::fly::Ip>(&name, at, out);
    out.desired.fly_ip.insert(
        name,
        IpSpec {
            app: app.reference(),
            kind,
            region,
            stated,
        },
    );
}

fn kind_of(ip: Ip) -> IpKind {
    match ip {
        Ip::SharedV4 => IpKind::SharedV4,
        Ip::V4 => IpKind::V4,
        Ip::V6 => IpKind::V6,
        Ip::PrivateV6 => IpKind::PrivateV6,
    }
}

/// Shared IPv4 serves HTTP on 80 and HTTPS on 443 only; anything else needs an address of its own.
fn defaults(services: &[Scoped<Service>]) -> Vec<IpKind> {
    let public: Vec<&Service> = services
        .iter()
        .map(|service| &service.value)
        .filter(|service| !service.ports.is_empty())
        .collect();
    if public.is_empty() {
        return Vec::new();
    }
    let shareable = public
        .iter()
        .all(|service| service.protocol == "tcp" && service.ports.iter().all(is_web));
    vec![
        if shareable {
            IpKind::SharedV4
        } else {
            IpKind::V4
        },
        IpKind::V6,
    ]
}

fn is_web(port: &Port) -> bool {
    let handlers: Vec<&str> = port.handlers.iter().map(String::as_str).collect();
    match port.port {
        Some(80) => handlers == ["http"],
        Some(443) => handlers.len() == 2 && handlers.contains(&"http") && handlers.contains(&"tls"),
        _ => false,
    }
}

/// The certificates of an app.
pub(super) fn certificates(app: &AppScene<'_>, out: &mut Lowered, sink: &mut Sink) {
    for (index, hostname) in app.app.certificates.iter().enumerate() {
        let at = app.at.key("certificates").item(index);
        if !is_hostname(hostname) {
            let problem = at.problem(format!("`{hostname}` is not a host name"));
            sink.error(problem.help(hostname_help(hostname)));
            continue;
        }
        let mut others = out.desired.fly_certificate.values();
        if others.any(|other| other.hostname == *hostname) {
            sink.error(
                at.problem(format!("`{hostname}` has a certificate already"))
                    .help("a host belongs to one app"),
            );
            continue;
        }
        if let Some(name) = app.child(&[hostname], at, sink) {
            app.place::<Certificate>(&name, at, out);
            out.desired.fly_certificate.insert(
                name,
                CertificateSpec {
                    app: app.reference(),
                    hostname: hostname.clone(),
                },
            );
        }
    }
}

/// A full host name in lower case, with `*.` before it for a wildcard.
fn is_hostname(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(fits)
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
