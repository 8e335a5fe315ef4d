//! Health checks, of services and of machines, with Fly's limits on their times.

use std::collections::BTreeMap;

use super::{
    Sink,
    groups::{Groups, Scoped},
    scalars,
};
use crate::{
    kinds::fly::workload::config::{Check, Header},
    manifest::{
        shape::{self, App, CheckKind, CheckType, OneOrMany, Scheme},
        spot::Spot,
    },
    model::Span,
};

/// The least and the most that Fly takes for a service's check; it clamps other values silently.
const SERVICE_TIMES: (Span, Span) = (Span::from_secs(1), Span::from_secs(60));

/// A check of a service.
pub(super) fn of_service(
    check: &shape::Check,
    kind: &'static str,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Check {
    let misplaced = [
        ("port", check.port.is_some()),
        ("kind", check.role.is_some()),
        ("processes", !check.processes.is_empty()),
    ];
    for (key, _) in misplaced.into_iter().filter(|(_, written)| *written) {
        let problem = at
            .key(key)
            .problem(format!("`{key}` is for checks of the machine"));
        sink.error(problem.help(
            "a service's check uses the service's own port; others stand in [apps.KEY.checks.NAME]",
        ));
    }
    let stated = check.kind.map_or(kind, type_word);
    let mut out = common(check, stated, at, sink);
    for (key, time) in [
        ("interval", &mut out.interval),
        ("timeout", &mut out.timeout),
    ] {
        *time = time.map(|time| clamped(time, at.key(key), sink));
    }
    out
}

fn clamped(time: Span, at: Spot<'_>, sink: &mut Sink) -> Span {
    let clamped = time.clamp(SERVICE_TIMES.0, SERVICE_TIMES.1);
    if clamped != time {
        sink.warn(at.problem(format!(
            "Fly takes 1s to 60s here, and makes {time} {clamped}"
        )));
    }
    clamped
}

/// The checks of an app's machines.
pub(super) fn of_machines(
    app: &App,
    groups: &Groups,
    at: Spot<'_>,
    sink: &mut Sink,
) -> BTreeMap<String, Scoped<Check>> {
    let mut out = BTreeMap::new();
    for (name, check) in &app.checks {
        let spot = at.key("checks").key(name);
        groups.check(&check.processes, spot, sink);
        let kind = check.kind.map(type_word);
        if kind.is_none() {
            sink.error(
                spot.problem(format!("check `{name}` lacks `type`"))
                    .help("say `type = \"http\"` or `type = \"tcp\"`"),
            );
        }
        let mut made = common(
            check,
            kind.unwrap_or(if check.path.is_some() { "http" } else { "tcp" }),
            spot,
            sink,
        );
        made.role = check.role.map(|role| role_word(role).to_owned());
        made.port = check.port.or(app
            .http_service
            .as_ref()
            .and_then(|service| service.internal_port));
        if made.port.is_none() && app.http_service.is_none() {
            sink.error(
                spot.problem(format!("check `{name}` lacks `port`"))
                    .help("there is no http_service whose port it could take"),
            );
        }
        made.method = made.method.map(|method| method.to_uppercase());
        limits(&made, spot, sink);
        out.insert(
            name.clone(),
            Scoped {
                processes: check.processes.clone(),
                value: made,
            },
        );
    }
    out
}

/// What the platform refuses for a machine's check.
fn limits(check: &Check, at: Spot<'_>, sink: &mut Sink) {
    if check
        .interval
        .is_some_and(|interval| interval < Span::from_secs(2))
    {
        sink.error(
            at.key("interval")
                .problem("Fly checks a machine at most every 2 seconds")
                .help("write `2s` or more"),
        );
    }
    if check
        .timeout
        .is_some_and(|timeout| timeout > Span::from_secs(60))
    {
        sink.error(
            at.key("timeout")
                .problem("a check may take 60 seconds at most")
                .help("write `60s` or less"),
        );
    }
}

/// What both sorts share.
fn common(check: &shape::Check, kind: &str, at: Spot<'_>, sink: &mut Sink) -> Check {
    let mut time = |key: &str, value| scalars::span(value, at.key(key), sink);
    let (interval, timeout, grace_period) = (
        time("interval", check.interval.as_ref()),
        time("timeout", check.timeout.as_ref()),
        time("grace_period", check.grace_period.as_ref()),
    );
    if kind == "tcp" {
        http_only(check, at, sink);
    }
    if check
        .path
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        sink.error(at.key("path").problem("a check's path begins with `/`"));
    }
    let values = |values: &OneOrMany<String>| values.as_slice().to_vec();
    let headers = check.headers.iter().map(|(name, value)| Header {
        name: name.clone(),
        values: values(value),
    });
    Check {
        kind: kind.to_owned(),
        role: None,
        port: None,
        interval,
        timeout,
        grace_period,
        method: check.method.clone(),
        path: check.path.clone(),
        protocol: check.protocol.map(|scheme| scheme_word(scheme).to_owned()),
        tls_skip_verify: check.tls_skip_verify,
        tls_server_name: check.tls_server_name.clone(),
        headers: headers.collect(),
    }
}

fn http_only(check: &shape::Check, at: Spot<'_>, sink: &mut Sink) {
    let written = [
        ("method", check.method.is_some()),
        ("path", check.path.is_some()),
        ("protocol", check.protocol.is_some()),
        ("headers", !check.headers.is_empty()),
    ];
    for (key, _) in written.into_iter().filter(|(_, written)| *written) {
        sink.error(
            at.key(key)
                .problem(format!("a tcp check has no `{key}`"))
                .help("say `type = \"http\"`, or leave it out"),
        );
    }
}

fn type_word(kind: CheckType) -> &'static str {
    match kind {
        CheckType::Tcp => "tcp",
        CheckType::Http => "http",
    }
}

fn role_word(role: CheckKind) -> &'static str {
    match role {
        CheckKind::Informational => "informational",
        CheckKind::Readiness => "readiness",
    }
}

fn scheme_word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}
