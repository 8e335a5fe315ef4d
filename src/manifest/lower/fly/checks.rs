//! Lowers health checks of services and of machines, with Fly's limits on their times.

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

/// The shortest and longest time that Fly accepts in a service's check; it silently clamps other
/// values, except for a grace period of zero.
const SERVICE_CHECK_TIME_LIMITS: (GoDuration, GoDuration) =
    (GoDuration::from_secs(1), GoDuration::from_secs(60));

/// Lowers a check of a service.
pub(crate) fn lower_service_check(
    check: &schema::CheckSection,
    kind: &'static str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineCheck {
    let misplaced = [
        ("port", check.port.is_some()),
        ("kind", check.role.is_some()),
        ("processes", !check.processes.is_empty()),
    ];
    for (key, _) in misplaced.into_iter().filter(|(_, written)| *written) {
        let diagnostic = cursor
            .key(key)
            .diagnostic(format!("`{key}` is for checks of the machine"));
        diagnostics.error(diagnostic.with_help(
            "a service's check uses the service's own port; other checks belong in [apps.KEY.checks.NAME]",
        ));
    }
    let stated = check.kind.map_or(kind, check_type_name);
    let mut out = lower_check(check, stated, cursor, diagnostics);
    for (key, time) in [
        ("interval", &mut out.interval),
        ("timeout", &mut out.timeout),
        ("grace_period", &mut out.grace_period),
    ] {
        *time = time.map(|time| clamp_service_check_time(key, time, cursor, diagnostics));
    }
    out
}

fn clamp_service_check_time(
    key: &str,
    time: GoDuration,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> GoDuration {
    if key == "grace_period" && time == GoDuration::from_secs(0) {
        return time;
    }
    let cursor = cursor.key(key);
    let clamped = time.clamp(SERVICE_CHECK_TIME_LIMITS.0, SERVICE_CHECK_TIME_LIMITS.1);
    // The reader of fly.toml has already warned of what it read.
    if clamped != time && !diagnostics.is_in_fly_toml(cursor.location()) {
        diagnostics.warn(cursor.diagnostic(format!(
            "Fly accepts 1s to 60s here, and changes {time} to {clamped}"
        )));
    }
    clamped
}

/// Lowers the checks of an app's machines.
pub(crate) fn lower_machine_checks(
    app: &AppSection,
    groups: &ProcessGroups,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, GroupScoped<MachineCheck>> {
    let mut out = BTreeMap::new();
    for (name, check) in &app.checks {
        let field = cursor.key("checks").key(name);
        groups.check_processes(&check.processes, field, diagnostics);
        let kind = check.kind.map(check_type_name);
        if kind.is_none() {
            diagnostics.error(
                field
                    .diagnostic(format!("check `{name}` lacks `type`"))
                    .with_help("set `type = \"http\"` or `type = \"tcp\"`"),
            );
        }
        let mut lowered = lower_check(
            check,
            kind.unwrap_or(if check.path.is_some() { "http" } else { "tcp" }),
            field,
            diagnostics,
        );
        lowered.role = check.role.map(|role| check_kind_name(role).to_owned());
        lowered.port = check
            .port
            .or_else(|| http_service_port(app, groups, name, check, field, diagnostics));
        lowered.method = lowered.method.map(|method| method.to_uppercase());
        check_machine_check_limits(&lowered, field, diagnostics);
        out.insert(
            name.clone(),
            GroupScoped {
                processes: check.processes.clone(),
                value: lowered,
            },
        );
    }
    out
}

/// The port of a check that states none: that of the HTTP service, which each of the check's groups
/// must have. A service of another group listens elsewhere.
fn http_service_port(
    app: &AppSection,
    groups: &ProcessGroups,
    name: &str,
    check: &schema::CheckSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<u16> {
    let mut report = |help: String| {
        let diagnostic = cursor.diagnostic(format!("check `{name}` lacks `port`"));
        diagnostics.error(diagnostic.with_help(help));
    };
    let Some(service) = &app.http_service else {
        report("there is no http_service to take the port from".to_owned());
        return None;
    };
    let mut without = groups
        .groups_for(&check.processes)
        .filter(|group| !groups.applies_to(&service.processes, group));
    if let Some(group) = without.next() {
        report(format!(
            "the http_service, whose port would be the default, does not belong to group `{group}`"
        ));
    }
    service.internal_port
}

/// Checks what the platform refuses in a machine's check.
fn check_machine_check_limits(
    check: &MachineCheck,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if check
        .interval
        .is_some_and(|interval| interval < GoDuration::from_secs(2))
    {
        diagnostics.error(
            cursor
                .key("interval")
                .diagnostic("Fly checks a machine at most every 2 seconds")
                .with_help("write `2s` or more"),
        );
    }
    if check
        .timeout
        .is_some_and(|timeout| timeout > GoDuration::from_secs(60))
    {
        diagnostics.error(
            cursor
                .key("timeout")
                .diagnostic("a check may take 60 seconds at most")
                .with_help("write `60s` or less"),
        );
    }
}

/// Lowers the keys that both types of check have.
fn lower_check(
    check: &schema::CheckSection,
    kind: &str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineCheck {
    let mut time = |key: &str, value| scalars::parse_duration(value, cursor.key(key), diagnostics);
    let (interval, timeout, grace_period) = (
        time("interval", check.interval.as_ref()),
        time("timeout", check.timeout.as_ref()),
        time("grace_period", check.grace_period.as_ref()),
    );
    if kind == "tcp" {
        check_http_only_keys(check, cursor, diagnostics);
    }
    if check
        .path
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        diagnostics.error(
            cursor
                .key("path")
                .diagnostic("a check's path begins with `/`"),
        );
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

fn check_http_only_keys(
    check: &schema::CheckSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let written = [
        ("method", check.method.is_some()),
        ("path", check.path.is_some()),
        ("protocol", check.protocol.is_some()),
        ("headers", !check.headers.is_empty()),
    ];
    for (key, _) in written.into_iter().filter(|(_, written)| *written) {
        diagnostics.refuse_in_manifest(
            cursor
                .key(key)
                .diagnostic(format!("a tcp check has no `{key}`"))
                .with_help("set `type = \"http\"`, or leave it out"),
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
