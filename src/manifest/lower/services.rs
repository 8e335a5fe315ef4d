//! Services: `[http_service]` and `[[services]]` to what the proxy is told.

use super::{
    Sink, checks,
    groups::{Groups, Scoped},
    ports,
};
use crate::{
    kinds::fly::workload::config::{Autostop, Concurrency, Port, Service},
    manifest::{
        shape::{self, App, AutoStop, AutoStopWord, HttpService, Limit, Protocol},
        spot::Spot,
    },
};

/// The services of an app, the HTTP service first.
pub(super) fn services(
    app: &App,
    groups: &Groups,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Vec<Scoped<Service>> {
    let mut out = Vec::new();
    if let Some(service) = &app.http_service {
        let spot = at.key("http_service");
        scope(&service.processes, groups, spot, sink);
        out.push(Scoped {
            processes: service.processes.clone(),
            value: http(service, spot, sink),
        });
    }
    for (index, service) in app.services.iter().enumerate() {
        let spot = at.key("services").item(index);
        scope(&service.processes, groups, spot, sink);
        out.push(Scoped {
            processes: service.processes.clone(),
            value: any(service, spot, sink),
        });
    }
    collisions(app, groups, &out, at, sink);
    out
}

/// With several groups a service must say whose it is, as flyctl demands it.
fn scope(processes: &[String], groups: &Groups, at: Spot<'_>, sink: &mut Sink) {
    groups.check(processes, at, sink);
    if processes.is_empty() && groups.commands.len() > 1 {
        let names: Vec<&str> = groups.commands.keys().map(String::as_str).collect();
        let problem = at.problem("this service does not say which process group serves it");
        let example = format!(
            "say `processes = [\"{}\"]`; there are {}",
            groups.default(),
            names.join(", ")
        );
        sink.error(problem.help(example));
    }
}

fn http(service: &HttpService, at: Spot<'_>, sink: &mut Sink) -> Service {
    let options = service.http_options.as_ref().map(ports::http_options);
    let plain = Port {
        port: Some(80),
        handlers: vec!["http".to_owned()],
        force_https: service.force_https.unwrap_or_default(),
        http_options: options.clone(),
        ..Port::default()
    };
    let secure = Port {
        port: Some(443),
        handlers: vec!["http".to_owned(), "tls".to_owned()],
        tls_options: service.tls_options.as_ref().map(ports::tls_options),
        http_options: options,
        ..Port::default()
    };
    let checks = service.checks.iter().enumerate();
    let autostop = autostop(service.auto_stop_machines);
    starts(
        autostop,
        service.auto_start_machines,
        service.min_machines_running,
        at,
        sink,
    );
    Service {
        protocol: "tcp".to_owned(),
        internal_port: service.internal_port.unwrap_or_default(),
        autostop,
        autostart: service.auto_start_machines,
        min_machines_running: service.min_machines_running,
        ports: vec![plain, secure],
        concurrency: concurrency(service.concurrency.as_ref(), at.key("concurrency"), sink),
        checks: checks
            .map(|(i, check)| checks::of_service(check, "http", at.key("checks").item(i), sink))
            .collect(),
    }
}

fn any(service: &shape::Service, at: Spot<'_>, sink: &mut Sink) -> Service {
    let ports = service.ports.iter().enumerate();
    let ports = ports
        .map(|(i, port)| ports::port(port, at.key("ports").item(i), sink))
        .collect();
    let mut made = Vec::new();
    for (key, kind, list) in [
        ("tcp_checks", "tcp", &service.tcp_checks),
        ("http_checks", "http", &service.http_checks),
    ] {
        for (index, check) in list.iter().enumerate() {
            made.push(checks::of_service(
                check,
                kind,
                at.key(key).item(index),
                sink,
            ));
        }
    }
    if service.ports.is_empty() {
        sink.warn(
            at.problem("this service has no ports, so nothing outside reaches it")
                .help("add `ports`"),
        );
    }
    let autostop = autostop(service.auto_stop_machines);
    starts(
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
    Service {
        protocol: protocol.to_owned(),
        internal_port: service.internal_port.unwrap_or_default(),
        autostop,
        autostart: service.auto_start_machines,
        min_machines_running: service.min_machines_running,
        ports,
        concurrency: concurrency(service.concurrency.as_ref(), at.key("concurrency"), sink),
        checks: made,
    }
}

fn autostop(value: Option<AutoStop>) -> Autostop {
    match value {
        None | Some(AutoStop::Flag(false) | AutoStop::Word(AutoStopWord::Off)) => Autostop::Off,
        Some(AutoStop::Flag(true) | AutoStop::Word(AutoStopWord::Stop)) => Autostop::Stop,
        Some(AutoStop::Word(AutoStopWord::Suspend)) => Autostop::Suspend,
    }
}

/// Machines that stop and never start again, and minimums that mean nothing.
fn starts(stop: Autostop, start: Option<bool>, least: Option<u32>, at: Spot<'_>, sink: &mut Sink) {
    if stop != Autostop::Off && start == Some(false) {
        let problem = at
            .key("auto_start_machines")
            .problem("idle machines stop, and no request starts them again");
        sink.warn(
            problem.help("say `auto_start_machines = true`, or `auto_stop_machines = \"off\"`"),
        );
    }
    if stop == Autostop::Off && least.is_some_and(|least| least > 0) {
        let problem = at
            .key("min_machines_running")
            .problem("nothing stops machines here, so a minimum has no effect");
        sink.warn(problem.help("say `auto_stop_machines = \"stop\"` to let the others sleep"));
    }
}

fn concurrency(
    value: Option<&shape::Concurrency>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Option<Concurrency> {
    let shape::Concurrency {
        kind,
        soft_limit,
        hard_limit,
    } = value?;
    if let (Some(soft), Some(hard)) = (soft_limit, hard_limit)
        && soft > hard
    {
        let problem = at.key("soft_limit").problem(format!(
            "the soft limit {soft} is above the hard limit {hard}"
        ));
        sink.error(problem.help(
            "the proxy turns to other machines at the soft limit, and stops at the hard one",
        ));
    }
    let kind = kind.map_or("", |kind| match kind {
        Limit::Connections => "connections",
        Limit::Requests => "requests",
    });
    Some(Concurrency {
        kind: kind.to_owned(),
        soft_limit: *soft_limit,
        hard_limit: *hard_limit,
    })
}

/// Two services of one group on one public port.
fn collisions(
    app: &App,
    groups: &Groups,
    services: &[Scoped<Service>],
    at: Spot<'_>,
    sink: &mut Sink,
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
            let same_group = groups.members(&service.processes).next().is_some();
            if same_group && (taken.contains(&public) || own.contains(&public)) {
                let problem = spot.problem(format!(
                    "port {port} ({}) is served twice",
                    service.value.protocol
                ));
                sink.warn(problem.help("one of the two services gets all connections"));
            }
            own.push(public);
        }
        taken.extend(own);
    }
}
