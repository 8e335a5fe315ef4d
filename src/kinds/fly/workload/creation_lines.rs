//! The diff lines of a new machine: a summary. The JSON formats contain the whole configuration.

use serde_json::json;

use super::{
    Workload,
    config::{MachineGuest, MachineMount, MachinePort, MachineService},
};
use crate::model::DiffLine;

/// Environment variables that every machine gets, and that are not shown.
const COMMON_VARIABLES: [&str; 2] = ["FLY_PROCESS_GROUP", "PRIMARY_REGION"];

impl Workload {
    /// The diff lines of a new machine.
    #[must_use]
    pub fn creation_lines(&self) -> Vec<DiffLine> {
        let config = &self.config;
        let mut lines = vec![DiffLine::add("region", self.region.as_str())];
        lines.extend(
            config
                .image
                .as_ref()
                .map(|image| DiffLine::add("image", image.as_str())),
        );
        lines.extend(
            config
                .schedule
                .as_ref()
                .map(|schedule| DiffLine::add("schedule", schedule.as_str())),
        );
        lines.extend(
            config
                .guest
                .as_ref()
                .map(|guest| DiffLine::add("vm", describe_guest(guest))),
        );
        let process = [
            ("exec", &config.init.exec),
            ("entrypoint", &config.init.entrypoint),
            ("command", &config.init.cmd),
        ];
        let process = process.into_iter().filter(|(_, words)| !words.is_empty());
        lines.extend(process.map(|(path, words)| DiffLine::add(path, shell_words::join(words))));
        let env: Vec<&str> = config
            .env
            .keys()
            .map(String::as_str)
            .filter(|name| !COMMON_VARIABLES.contains(name))
            .collect();
        if !env.is_empty() {
            lines.push(DiffLine::add("env", env.join(", ")));
        }
        lines.extend(
            config
                .services
                .iter()
                .map(|service| DiffLine::add("service", describe_service(service))),
        );
        let checks: Vec<&str> = config.checks.keys().map(String::as_str).collect();
        if !checks.is_empty() {
            lines.push(DiffLine::add("checks", checks.join(", ")));
        }
        lines.extend(
            config
                .mounts
                .iter()
                .map(|mount| DiffLine::add("mount", describe_mount(mount))),
        );
        lines.extend(
            config
                .files
                .iter()
                .map(|file| DiffLine::add("file", file.guest_path.as_str())),
        );
        lines.extend(
            config
                .verbatim
                .keys()
                .map(|key| DiffLine::add(key.as_str(), json!("as in machine_config"))),
        );
        lines
    }
}

/// Formats a size by Fly's preset name, such as `shared-cpu-2x, 512mb`.
fn describe_guest(guest: &MachineGuest) -> String {
    match guest.cpu_kind.as_str() {
        "shared" => format!("shared-cpu-{}x, {}", guest.cpus, guest.memory_mb),
        kind => format!("{kind}-{}x, {}", guest.cpus, guest.memory_mb),
    }
}

/// Formats a service, such as `80, 443 → 8080/tcp`.
fn describe_service(service: &MachineService) -> String {
    let number = |port: Option<u16>| port.map(|port| port.to_string());
    let text = |port: &MachinePort| {
        let range = || {
            Some(format!(
                "{}-{}",
                number(port.start_port)?,
                number(port.end_port)?
            ))
        };
        number(port.port).or_else(range)
    };
    let ports: Vec<String> = service.ports.iter().filter_map(text).collect();
    let inside = format!("{}/{}", service.internal_port, service.protocol);
    if ports.is_empty() {
        inside
    } else {
        format!("{} → {inside}", ports.join(", "))
    }
}

/// Formats a mount, such as `data → /data`.
fn describe_mount(mount: &MachineMount) -> String {
    if mount.name.is_empty() {
        mount.path.clone()
    } else {
        format!("{} → {}", mount.name, mount.path)
    }
}
