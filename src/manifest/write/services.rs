//! Services and checks of live machines in the words of a manifest.

use serde_json::{Map, Value as Json, json};

use super::document::{Entry, Node};
use crate::kinds::fly::workload::config::{Autostop, MachineCheck, MachinePort, MachineService};

/// The services with the process groups that have them: the first as `http_service` where it is one, the others as `services`.
pub(super) fn entries(services: &[(&MachineService, Vec<String>)]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut others = services;
    if let Some(((service, groups), rest)) = services.split_first()
        && is_http_service(service)
    {
        let mut table = common(service, groups);
        let mut set = |key: &str, value: Json| drop(table.insert(key.to_owned(), value));
        if service.ports[0].force_https {
            set("force_https", json!(true));
        }
        if let Some(options) = &service.ports[0].http_options {
            set("http_options", json!(options));
        }
        if let Some(options) = &service.ports[1].tls_options {
            set("tls_options", json!(options));
        }
        let mut entry = object_entries(&Json::Object(table));
        entry.extend(checks("checks", service.checks.iter()));
        entries.push(Entry::table("http_service", entry));
        others = rest;
    }
    let tables = others.iter().map(|(service, groups)| {
        let mut table = common(service, groups);
        if service.protocol != "tcp" {
            table.insert("protocol".to_owned(), json!(service.protocol));
        }
        let mut entry = object_entries(&Json::Object(table));
        let ports = service
            .ports
            .iter()
            .map(|port| object_entries(&port_object(port)));
        entry.push(Entry::new("ports", Node::List(ports.collect())));
        for (key, kind) in [("tcp_checks", "tcp"), ("http_checks", "http")] {
            entry.extend(checks(
                key,
                service.checks.iter().filter(|check| check.kind == kind),
            ));
        }
        entry
    });
    entries.push(Entry::new("services", Node::List(tables.collect())));
    entries
}

/// Whether a service is what `[http_service]` becomes.
fn is_http_service(service: &MachineService) -> bool {
    let [plain, secure] = service.ports.as_slice() else {
        return false;
    };
    let options = |port: &MachinePort| json!(port.http_options);
    let is_plain = *plain
        == MachinePort {
            port: Some(80),
            handlers: vec!["http".to_owned()],
            force_https: plain.force_https,
            http_options: plain.http_options.clone(),
            ..MachinePort::default()
        };
    let is_secure = *secure
        == MachinePort {
            port: Some(443),
            handlers: vec!["http".to_owned(), "tls".to_owned()],
            http_options: secure.http_options.clone(),
            tls_options: secure.tls_options.clone(),
            ..MachinePort::default()
        };
    service.protocol == "tcp"
        && is_plain
        && is_secure
        && options(plain) == options(secure)
        && service.checks.iter().all(|check| check.kind == "http")
}

/// What both kinds of service have.
fn common(service: &MachineService, groups: &[String]) -> Map<String, Json> {
    let mut table = Map::new();
    let mut set = |key: &str, value: Json| drop(table.insert(key.to_owned(), value));
    set("internal_port", json!(service.internal_port));
    let autostop = match service.autostop {
        Autostop::Off => "off",
        Autostop::Stop => "stop",
        Autostop::Suspend => "suspend",
    };
    set("auto_stop_machines", json!(autostop));
    if let Some(autostart) = service.autostart {
        set("auto_start_machines", json!(autostart));
    }
    if let Some(count) = service.min_machines_running {
        set("min_machines_running", json!(count));
    }
    if let Some(concurrency) = &service.concurrency {
        set("concurrency", json!(concurrency));
    }
    if !groups.is_empty() {
        set("processes", json!(groups));
    }
    table
}

/// The keys of a port have the names of the Machines API.
fn port_object(port: &MachinePort) -> Json {
    json!(port)
}

/// Checks of a service.
fn checks<'a>(key: &str, checks: impl Iterator<Item = &'a MachineCheck>) -> Option<Entry> {
    let tables: Vec<Vec<Entry>> = checks
        .map(|check| {
            let mut object = check_object(check);
            object.remove("type");
            object_entries(&Json::Object(object))
        })
        .collect();
    (!tables.is_empty()).then(|| Entry::new(key, Node::List(tables)))
}

/// A check as a manifest has it.
pub(super) fn check_object(check: &MachineCheck) -> Map<String, Json> {
    let mut object = match json!(check) {
        Json::Object(object) => object,
        _ => Map::new(),
    };
    // The API has a list of headers, and a manifest a table.
    if !check.headers.is_empty() {
        let headers = check.headers.iter();
        let headers: Map<String, Json> = headers
            .map(|header| {
                let value = match header.values.as_slice() {
                    [one] => json!(one),
                    many => json!(many),
                };
                (header.name.clone(), value)
            })
            .collect();
        object.insert("headers".to_owned(), Json::Object(headers));
    }
    object
}

/// The keys that stand first in a table: what it is about.
const FIRST_KEYS: [&str; 10] = [
    "internal_port",
    "type",
    "port",
    "guest_path",
    "source",
    "destination",
    "size",
    "path",
    "method",
    "force_https",
];

/// The entries of an object.
pub(super) fn object_entries(object: &Json) -> Vec<Entry> {
    let mut entries: Vec<(&String, &Json)> = object.as_object().into_iter().flatten().collect();
    entries.sort_by_key(|(key, _)| {
        let place = FIRST_KEYS.iter().position(|first| first == key);
        place.unwrap_or(FIRST_KEYS.len())
    });
    entries
        .into_iter()
        .map(|(key, value)| Entry::value(key, value.clone()))
        .collect()
}
