//! Lowers services: `[http_service]` and `[[services]]`.

use super::{
    checks, ports,
    process_groups::{GroupScoped, ProcessGroups},
};
use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::fly::workload::config::{Autostop, MachineConcurrency, MachinePort, MachineService},
    manifest::{
        schema::{
            self, AppSection, AutoStopMode, AutoStopSetting, ConcurrencyType, HttpServiceSection,
            Protocol,
        },
        syntax::cursor::Cursor,
    },
};

/// Lowers the services of an app, the HTTP service first.
pub(crate) fn lower_services(
    app: &AppSection,
    groups: &ProcessGroups,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<GroupScoped<MachineService>> {
    let mut out = Vec::new();
    if let Some(service) = &app.http_service {
        let field = cursor.key("http_service");
        check_service_processes(&service.processes, groups, field, diagnostics);
        out.push(GroupScoped {
            processes: service.processes.clone(),
            value: lower_http_service(service, field, diagnostics),
        });
    }
    for (index, service) in app.services.iter().enumerate() {
        let field = cursor.key("services").item(index);
        check_service_processes(&service.processes, groups, field, diagnostics);
        out.push(GroupScoped {
            processes: service.processes.clone(),
            value: lower_service(service, field, diagnostics),
        });
    }
    out
}

/// Checks that a service names its groups when there are several, as flyctl demands.
fn check_service_processes(
    processes: &[String],
    groups: &ProcessGroups,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    groups.check_processes(processes, cursor, diagnostics);
    if processes.is_empty() && groups.commands.len() > 1 {
        let names: Vec<&str> = groups.commands.keys().map(String::as_str).collect();
        let diagnostic = cursor.diagnostic("this service does not name its process group");
        let example = format!(
            "set `processes = [\"{}\"]`; there are {}",
            groups.default_group(),
            names.join(", ")
        );
        diagnostics.error(diagnostic.with_help(example));
    }
}

fn lower_http_service(
    service: &HttpServiceSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineService {
    let options = service.http_options.as_ref().map(ports::lower_http_options);
    let plain = MachinePort {
        port: Some(80),
        handlers: vec!["http".to_owned()],
        force_https: service.force_https.unwrap_or_default(),
        http_options: options.clone(),
        ..MachinePort::default()
    };
    let secure = MachinePort {
        port: Some(443),
        handlers: vec!["http".to_owned(), "tls".to_owned()],
        tls_options: service.tls_options.as_ref().map(ports::lower_tls_options),
        http_options: options,
        ..MachinePort::default()
    };
    let checks = service.checks.iter().enumerate();
    let autostop = lower_autostop(service.auto_stop_machines);
    check_autostart(autostop, service.auto_start_machines, cursor, diagnostics);
    MachineService {
        protocol: "tcp".to_owned(),
        internal_port: service.internal_port.unwrap_or_default(),
        autostop,
        autostart: service.auto_start_machines,
        min_machines_running: service.min_machines_running,
        ports: vec![plain, secure],
        concurrency: lower_concurrency(
            service.concurrency.as_ref(),
            cursor.key("concurrency"),
            diagnostics,
        ),
        checks: checks
            .map(|(i, check)| {
                checks::lower_service_check(
                    check,
                    "http",
                    cursor.key("checks").item(i),
                    diagnostics,
                )
            })
            .collect(),
    }
}

fn lower_service(
    service: &schema::ServiceSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineService {
    let ports = service.ports.iter().enumerate();
    let ports = ports
        .map(|(i, port)| ports::lower_port(port, cursor.key("ports").item(i), diagnostics))
        .collect();
    let mut service_checks = Vec::new();
    for (key, kind, list) in [
        ("tcp_checks", "tcp", &service.tcp_checks),
        ("http_checks", "http", &service.http_checks),
    ] {
        for (index, check) in list.iter().enumerate() {
            service_checks.push(checks::lower_service_check(
                check,
                kind,
                cursor.key(key).item(index),
                diagnostics,
            ));
        }
    }
    if service.ports.is_empty() {
        diagnostics.warn(
            cursor
                .diagnostic("this service has no ports, so nothing outside reaches it")
                .with_help("add `ports`"),
        );
    }
    let autostop = lower_autostop(service.auto_stop_machines);
    check_autostart(autostop, service.auto_start_machines, cursor, diagnostics);
    let protocol = match service.protocol {
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Tcp) | None => "tcp",
    };
    MachineService {
        protocol: protocol.to_owned(),
        internal_port: service.internal_port.unwrap_or_default(),
        autostop,
        autostart: service.auto_start_machines,
        min_machines_running: service.min_machines_running,
        ports,
        concurrency: lower_concurrency(
            service.concurrency.as_ref(),
            cursor.key("concurrency"),
            diagnostics,
        ),
        checks: service_checks,
    }
}

fn lower_autostop(value: Option<AutoStopSetting>) -> Autostop {
    match value {
        None | Some(AutoStopSetting::Flag(false) | AutoStopSetting::Word(AutoStopMode::Off)) => {
            Autostop::Off
        }
        Some(AutoStopSetting::Flag(true) | AutoStopSetting::Word(AutoStopMode::Stop)) => {
            Autostop::Stop
        }
        Some(AutoStopSetting::Word(AutoStopMode::Suspend)) => Autostop::Suspend,
    }
}

/// Warns of machines that stop and never start again.
fn check_autostart(
    stop: Autostop,
    start: Option<bool>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if stop != Autostop::Off && start == Some(false) {
        let diagnostic = cursor
            .key("auto_start_machines")
            .diagnostic("idle machines stop, and no request starts them again");
        diagnostics.warn(
            diagnostic
                .with_help("set `auto_start_machines = true`, or `auto_stop_machines = \"off\"`"),
        );
    }
}

fn lower_concurrency(
    value: Option<&schema::ConcurrencySection>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<MachineConcurrency> {
    let schema::ConcurrencySection {
        kind,
        soft_limit,
        hard_limit,
    } = value?;
    if let (Some(soft), Some(hard)) = (soft_limit, hard_limit)
        && soft > hard
    {
        let diagnostic = cursor.key("soft_limit").diagnostic(format!(
            "the soft limit {soft} is above the hard limit {hard}"
        ));
        diagnostics.refuse_in_manifest(diagnostic.with_help(
            "the proxy turns to other machines at the soft limit, and stops at the hard one",
        ));
    }
    let kind = kind.map_or("", |kind| match kind {
        ConcurrencyType::Connections => "connections",
        ConcurrencyType::Requests => "requests",
    });
    Some(MachineConcurrency {
        kind: kind.to_owned(),
        soft_limit: *soft_limit,
        hard_limit: *hard_limit,
    })
}
