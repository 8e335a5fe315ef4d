//! A machine as the API reports it, as a live record.

use serde_json::{Value, json};

use super::super::{Health, MachineConfig, ProcessExit, WorkloadLive, json_tree};
use crate::{
    clouds::{CloudError, ErrorKind, fly::wire},
    kinds::{
        fly::App,
        postgres::cluster::{NODE_LABEL, ROLE_CHECK},
    },
    model::{OwnershipMark, Region, ResourceRef},
};

impl WorkloadLive {
    /// Reads a machine from the API. A configuration that cannot be parsed is an error rather than
    /// empty: an update planned against an empty one would remove everything.
    ///
    /// # Errors
    /// When the configuration cannot be parsed.
    pub fn from_wire(
        app: &ResourceRef<App>,
        machine: &wire::MachineResponse,
        mark: &OwnershipMark,
    ) -> Result<Self, CloudError> {
        let host_ok = machine
            .host_status
            .as_deref()
            .is_none_or(|status| status == "ok");
        let raw = if machine.config.is_null() {
            &machine.incomplete_config
        } else {
            &machine.config
        };
        let raw = if raw.is_null() {
            json!({})
        } else {
            raw.clone()
        };
        let mut config: MachineConfig = serde_json::from_value(raw.clone()).map_err(|error| {
            let operation = format!(
                "read the configuration of machine {} of {}",
                machine.id,
                app.name()
            );
            CloudError::new(operation, ErrorKind::InvalidResponse, error.to_string())
        })?;
        config.verbatim.clear();
        config.guest.get_or_insert_default();
        let metadata = machine.metadata();
        let passing = machine
            .checks
            .iter()
            .filter(|check| check.status == "passing")
            .count();
        Ok(Self {
            app: app.clone(),
            id: machine.id.clone(),
            machine: machine.name.clone(),
            created: machine.created_at.clone(),
            region: Region::from_api(&machine.region),
            state: machine.state.clone(),
            version: machine.instance_id.clone(),
            unknown: unmanaged_paths(&raw, &config),
            config,
            raw,
            ownership: mark.ownership_of(&metadata),
            metadata,
            digest: machine
                .image_ref
                .digest
                .clone()
                .filter(|digest| !digest.is_empty()),
            health: Health {
                host_ok,
                cordoned: machine.cordoned,
                checks: (passing, machine.checks.len()),
                postgres_role: postgres_role(machine),
            },
            last_run: machine.events.iter().find_map(exit_from_event),
        })
    }
}

/// The role of a node of a Postgres cluster, while its check passes.
fn postgres_role(machine: &wire::MachineResponse) -> Option<String> {
    let mut checks = machine.checks.iter();
    let check = checks.find(|check| check.name == ROLE_CHECK && check.status == "passing");
    let is_node = machine.metadata().contains_key(NODE_LABEL);
    check
        .filter(|_| is_node)
        .map(|check| check.output.trim().to_owned())
}

/// The exit of a program, if the event is one.
fn exit_from_event(event: &wire::MachineEvent) -> Option<ProcessExit> {
    let exit = event.exit_event().filter(|_| event.kind == "exit")?;
    let flag = |key: &str| exit.get(key).and_then(Value::as_bool).unwrap_or(false);
    Some(ProcessExit {
        ended_at_ms: event.timestamp,
        exit_code: exit.get("exit_code").and_then(Value::as_i64),
        oom_killed: flag("oom_killed"),
        requested_stop: flag("requested_stop"),
    })
}

/// The paths of a configuration that trimtab does not manage and that Fly does not fill in by
/// itself.
fn unmanaged_paths(raw: &Value, config: &MachineConfig) -> Vec<String> {
    let known = serde_json::to_value(config).unwrap_or_default();
    let filled_in = |path: &str| {
        let mount = path.starts_with("mounts[")
            && (path.ends_with(".size_gb") || path.ends_with(".encrypted"));
        mount
            || path.starts_with("metadata")
            || path == "auto_destroy"
            || path.starts_with("services[") && path.ends_with(".force_instance_key")
    };
    json_tree::unknown_paths(raw, &known)
        .into_iter()
        .filter(|path| !filled_in(path))
        .collect()
}
