//! Health checks, of services and of machines, with Fly's limits on their times.

use std::collections::BTreeMap;

use super::{
    process_groups::{GroupScoped, ProcessGroups},
    scalars,
};
use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::fly::workload::config::{CheckHeader, MachineCheck},
    manifest::{
        schema::{self, AppSection, CheckKind, CheckType, OneOrMany, Scheme},
        syntax::cursor::Cursor,
    },
    model::GoDuration,
};

/// The least and the most that Fly takes for a service's check; it clamps other values silently.
const SERVICE_CHECK_TIME_LIMITS: (GoDuration, GoDuration) =
    (GoDuration::from_secs(1), GoDuration::from_secs(60));

/// A check of a service.
pub(crate) fn lower_service_check(
    check: &schema::CheckSection,
    kind: &'static str,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> MachineCheck {
    let misplaced = [
        ("port", check.port.is_some()),
        ("kind", check.role.is_some()),
        ("processes", !check.processes.is_empty()),
    ];
    for (key, _) in misplaced.into_iter().filter(|(_, written)| *written) {
        let problem = at
            .key(key)
            .diagnostic(format!("`{key}` is for checks of the machine"));
        sink.error(problem.with_help(
            "a service's check uses the service's own port; others stand in [apps.KEY.checks.NAME]",
        ));
    }
    let stated = check.kind.map_or(kind, check_type_name);
    let mut out = lower_check(check, stated, at, sink);
    for (key, time) in [
        ("interval", &mut out.interval),
        ("timeout", &mut out.timeout),
    ] {
        *time = time.map(|time| clamp_service_check_time(time, at.key(key), sink));
    }
    out
}

fn clamp_service_check_time(
    time: GoDuration,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> GoDuration {
    let clamped = time.clamp(SERVICE_CHECK_TIME_LIMITS.0, SERVICE_CHECK_TIME_LIMITS.1);
    if clamped != time {
        sink.warn(at.diagnostic(format!(
            "Fly takes 1s to 60s here, and makes {time} {clamped}"
        )));
    }
    clamped
}

/// The checks of an app's machines.
pub(crate) fn lower_machine_checks(
    app: &AppSection,
    groups: &ProcessGroups,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> BTreeMap<String, GroupScoped<MachineCheck>> {
    let mut out = BTreeMap::new();
    for (name, check) in &app.checks {
        let spot = at.key("checks").key(name);
        groups.check_processes(&check.processes, spot, sink);
        let kind = check.kind.map(check_type_name);
        if kind.is_none() {
            sink.error(
                spot.diagnostic(format!("check `{name}` lacks `type`"))
                    .with_help("say `type = \"http\"` or `type = \"tcp\"`"),
            );
        }
        let mut made = lower_check(
            check,
            kind.unwrap_or(if check.path.is_some() { "http" } else { "tcp" }),
            spot,
            sink,
        );
        made.role = check.role.map(|role| check_kind_name(role).to_owned());
        made.port = check.port.or(app
            .http_service
            .as_ref()
            .and_then(|service| service.internal_port));
        if made.port.is_none() && app.http_service.is_none() {
            sink.error(
                spot.diagnostic(format!("check `{name}` lacks `port`"))
                    .with_help("there is no http_service whose port it could take"),
            );
        }
        made.method = made.method.map(|method| method.to_uppercase());
        check_machine_check_limits(&made, spot, sink);
        out.insert(
            name.clone(),
            GroupScoped {
                processes: check.processes.clone(),
                value: made,
            },
        );
    }
    out
}

/// What the platform refuses for a machine's check.
fn check_machine_check_limits(check: &MachineCheck, at: Cursor<'_>, sink: &mut Diagnostics) {
    if check
        .interval
        .is_some_and(|interval| interval < GoDuration::from_secs(2))
    {
        sink.error(
            at.key("interval")
                .diagnostic("Fly checks a machine at most every 2 seconds")
                .with_help("write `2s` or more"),
        );
    }
    if check
        .timeout
        .is_some_and(|timeout| timeout > GoDuration::from_secs(60))
    {
        sink.error(
            at.key("timeout")
                .diagnostic("a check may take 60 seconds at most")
                .with_help("write `60s` or less"),
        );
    }
}

/// What both sorts share.
fn lower_check(
    check: &schema::CheckSection,
    kind: &str,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> MachineCheck {
    let mut time = |key: &str, value| scalars::parse_duration(value, at.key(key), sink);
    let (interval, timeout, grace_period) = (
        time("interval", check.interval.as_ref()),
        time("timeout", check.timeout.as_ref()),
        time("grace_period", check.grace_period.as_ref()),
    );
    if kind == "tcp" {
        check_http_only_keys(check, at, sink);
    }
    if check
        .path
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        sink.error(at.key("path").diagnostic("a check's path begins with `/`"));
    }
    let values = |values: &OneOrMany<String>| values.as_slice().to_vec();
    let headers = check.headers.iter().map(|(name, value)| CheckHeader {
        name: name.clone(),
        values: values(value),
    });
    MachineCheck {
        kind: kind.to_owned(),
        role: None,
        port: None,
        interval,
        timeout,
        grace_period,
        method: check.method.clone(),
        path: check.path.clone(),
        protocol: check.protocol.map(|scheme| scheme_name(scheme).to_owned()),
        tls_skip_verify: check.tls_skip_verify,
        tls_server_name: check.tls_server_name.clone(),
        headers: headers.collect(),
    }
}

fn check_http_only_keys(check: &schema::CheckSection, at: Cursor<'_>, sink: &mut Diagnostics) {
    let written = [
        ("method", check.method.is_some()),
        ("path", check.path.is_some()),
        ("protocol", check.protocol.is_some()),
        ("headers", !check.headers.is_empty()),
    ];
    for (key, _) in written.into_iter().filter(|(_, written)| *written) {
        sink.error(
            at.key(key)
                .diagnostic(format!("a tcp check has no `{key}`"))
                .with_help("say `type = \"http\"`, or leave it out"),
        );
    }
}

fn check_type_name(kind: CheckType) -> &'static str {
    match kind {
        CheckType::Tcp => "tcp",
        CheckType::Http => "http",
    }
}

fn check_kind_name(role: CheckKind) -> &'static str {
    match role {
        CheckKind::Informational => "informational",
        CheckKind::Readiness => "readiness",
    }
}

fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}
