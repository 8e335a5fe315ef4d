//! Services: `[http_service]` and `[[services]]` to what the proxy is told.

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

/// The services of an app, the HTTP service first.
pub(crate) fn lower_services(
    app: &AppSection,
    groups: &ProcessGroups,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<GroupScoped<MachineService>> {
    let mut out = Vec::new();
    if let Some(service) = &app.http_service {
        let spot = at.key("http_service");
        check_service_processes(&service.processes, groups, spot, sink);
        out.push(GroupScoped {
            processes: service.processes.clone(),
            value: lower_http_service(service, spot, sink),
        });
    }
    for (index, service) in app.services.iter().enumerate() {
        let spot = at.key("services").item(index);
        check_service_processes(&service.processes, groups, spot, sink);
        out.push(GroupScoped {
            processes: service.processes.clone(),
            value: lower_service(service, spot, sink),
        });
    }
    check_port_collisions(app, groups, &out, at, sink);
    out
}

/// With several groups a service must say whose it is, as flyctl demands it.
fn check_service_processes(
    processes: &[String],
    groups: &ProcessGroups,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    groups.check_processes(processes, at, sink);
    if processes.is_empty() && groups.commands.len() > 1 {
        let names: Vec<&str> = groups.commands.keys().map(String::as_str).collect();
        let problem = at.diagnostic("this service does not say which process group serves it");
        let example = format!(
            "say `processes = [\"{}\"]`; there are {}",
            groups.default_group(),
            names.join(", ")
        );
        sink.error(problem.with_help(example));
    }
}

fn lower_http_service(
    service: &HttpServiceSection,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
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
    check_autostart(
        autostop,
        service.auto_start_machines,
        service.min_machines_running,
        at,
        sink,
    );
    MachineService {
        protocol: "tcp".to_owned(),
        internal_port: service.internal_port.unwrap_or_default(),
        autostop,
        autostart: service.auto_start_machines,
        min_machines_running: service.min_machines_running,
        ports: vec![plain, secure],
        concurrency: lower_concurrency(service.concurrency.as_ref(), at.key("concurrency"), sink),
        checks: checks
            .map(|(i, check)| {
                checks::lower_service_check(check, "http", at.key("checks").item(i), sink)
            })
            .collect(),
    }
}

fn lower_service(
    service: &schema::ServiceSection,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> MachineService {
    let ports = service.ports.iter().enumerate();
    let ports = ports
        .map(|(i, port)| ports::lower_port(port, at.key("ports").item(i), sink))
        .collect();
    let mut made = Vec::new();
    for (key, kind, list) in [
        ("tcp_checks", "tcp", &service.tcp_checks),
        ("http_checks", "http", &service.http_checks),
    ] {
        for (index, check) in list.iter().enumerate() {
            made.push(checks::lower_service_check(
                check,
                kind,
                at.key(key).item(index),
                sink,
            ));
        }
    }
    if service.ports.is_empty() {
        sink.warn(
            at.diagnostic("this service has no ports, so nothing outside reaches it")
                .with_help("add `ports`"),
        );
    }
    let autostop = lower_autostop(service.auto_stop_machines);
    check_autostart(
        autostop,
        service.auto_start_machines,
        service.min_machines_running,
        at,
        sink,
    );
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
        concurrency: lower_concurrency(service.concurrency.as_ref(), at.key("concurrency"), sink),
        checks: made,
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

/// Machines that stop and never start again, and minimums that mean nothing.
fn check_autostart(
    stop: Autostop,
    start: Option<bool>,
    least: Option<u32>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    if stop != Autostop::Off && start == Some(false) {
        let problem = at
            .key("auto_start_machines")
            .diagnostic("idle machines stop, and no request starts them again");
        sink.warn(
            problem
                .with_help("say `auto_start_machines = true`, or `auto_stop_machines = \"off\"`"),
        );
    }
    if stop == Autostop::Off && least.is_some_and(|least| least > 0) {
        let problem = at
            .key("min_machines_running")
            .diagnostic("nothing stops machines here, so a minimum has no effect");
        sink.warn(problem.with_help("say `auto_stop_machines = \"stop\"` to let the others sleep"));
    }
}

fn lower_concurrency(
    value: Option<&schema::ConcurrencySection>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<MachineConcurrency> {
    let schema::ConcurrencySection {
        kind,
        soft_limit,
        hard_limit,
    } = value?;
    if let (Some(soft), Some(hard)) = (soft_limit, hard_limit)
        && soft > hard
    {
        let problem = at.key("soft_limit").diagnostic(format!(
            "the soft limit {soft} is above the hard limit {hard}"
        ));
        sink.error(problem.with_help(
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

/// Two services of one group on one public port.
fn check_port_collisions(
    app: &AppSection,
    groups: &ProcessGroups,
    services: &[GroupScoped<MachineService>],
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    let http = usize::from(app.http_service.is_some());
    let mut taken: Vec<(&str, u16)> = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let spot = match index.checked_sub(http) {
            Some(index) => at.key("services").item(index),
            None => at.key("http_service"),
        };
        let mut own: Vec<(&str, u16)> = Vec::new();
        for port in service.value.ports.iter().filter_map(|port| port.port) {
            let public = (service.value.protocol.as_str(), port);
            let same_group = groups.groups_for(&service.processes).next().is_some();
            if same_group && (taken.contains(&public) || own.contains(&public)) {
                let problem = spot.diagnostic(format!(
                    "port {port} ({}) is served twice",
                    service.value.protocol
                ));
                sink.warn(problem.with_help("one of the two services gets all connections"));
            }
            own.push(public);
        }
        taken.extend(own);
    }
}
