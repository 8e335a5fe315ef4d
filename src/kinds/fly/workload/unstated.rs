//! Settings that a manifest may leave open: the size, the restart policy, and whether a request starts a machine.
//!
//! They are kept from what runs, as by flyctl. Each apply records in the machine's metadata what it kept, so that a later run
//! sees a change by hand as drift.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    MachineConfig, Workload, WorkloadLive,
    config::{MachineGuest, MachineService},
};
use crate::{
    kinds::DiffContext,
    model::{Ownership, OwnershipMark, resources_in_app},
};

const GUEST: &str = "guest";
const RESTART: &str = "restart";

/// Fly's restart policy of a machine whose configuration has none (fly.io/docs/reference/configuration, `[[restart]]`).
const DEFAULT_RESTART_POLICY: &str = "on-failure";

/// The values of the settings that a manifest leaves open, by setting; `null` for one that Fly does not report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KeptSettings(BTreeMap<String, Value>);

impl KeptSettings {
    /// What `reported` says of the settings that `spec` leaves open.
    pub(super) fn new(spec: &Workload, reported: &MachineConfig) -> Self {
        let mut kept = BTreeMap::new();
        if !spec.guest_stated {
            kept.insert(GUEST.to_owned(), json!(reported.guest));
        }
        if spec.config.restart.is_none() {
            kept.insert(RESTART.to_owned(), json!(reported.restart));
        }
        for (key, service) in keyed_services(&spec.config) {
            if service.autostart.is_none() {
                let autostart = reported_autostart(&key, reported);
                kept.insert(key, json!(autostart));
            }
        }
        Self(kept)
    }

    /// What the last apply recorded; nothing when it was not ours.
    fn recorded(live: &WorkloadLive) -> Self {
        let text = live
            .metadata
            .get(OwnershipMark::KEPT_SETTINGS_KEY)
            .filter(|_| live.ownership == Ownership::Ours);
        let recorded = text.and_then(|text| serde_json::from_str(text).ok());
        Self(recorded.unwrap_or_default())
    }

    /// The recorded value of a setting, or else what runs. Where the last apply sent nothing, Fly may report its own default,
    /// which is no change by hand.
    fn value_or<T: DeserializeOwned>(
        &self,
        key: &str,
        running: Option<T>,
        is_default: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let Some(recorded) = self.0.get(key) else {
            return running;
        };
        match serde_json::from_value(recorded.clone()) {
            Ok(None) => running.filter(is_default),
            Ok(recorded) => recorded,
            Err(_) => running,
        }
    }

    /// The metadata to write so that it records exactly these, given what is there; an empty value removes the key. `None` when
    /// it records them already.
    pub(super) fn metadata_change(
        &self,
        current: &BTreeMap<String, String>,
    ) -> Option<(String, String)> {
        let text = match self.0.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&self.0).ok()?,
        };
        let recorded = current.get(OwnershipMark::KEPT_SETTINGS_KEY);
        let is_recorded = recorded.map_or("", String::as_str) == text;
        (!is_recorded).then(|| (OwnershipMark::KEPT_SETTINGS_KEY.to_owned(), text))
    }
}

/// The services of a configuration, each with the key of its `autostart`. Two services may have one port, so they are counted.
fn keyed_services(config: &MachineConfig) -> impl Iterator<Item = (String, &MachineService)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    config.services.iter().map(move |service| {
        let port = format!("{}/{}", service.internal_port, service.protocol);
        let count = seen.entry(port.clone()).or_default();
        *count += 1;
        let key = match *count {
            1 => format!("services[{port}].autostart"),
            number => format!("services[{port}#{number}].autostart"),
        };
        (key, service)
    })
}

fn reported_autostart(key: &str, reported: &MachineConfig) -> Option<bool> {
    keyed_services(reported)
        .find(|(other, _)| other == key)
        .and_then(|(_, service)| service.autostart)
}

/// The configuration that a machine is to have: that of the manifest, with what it leaves open as the last apply kept it, or else
/// as it runs.
pub(super) fn complete_config(spec: &Workload, live: &WorkloadLive) -> MachineConfig {
    let mut config = spec.config.clone();
    let recorded = KeptSettings::recorded(live);
    if !spec.guest_stated {
        let kept = recorded.value_or(GUEST, live.config.guest.clone(), |guest| {
            *guest == MachineGuest::default()
        });
        config.guest = with_stated_dedication(spec, kept);
    }
    if config.restart.is_none() {
        config.restart = recorded.value_or(RESTART, live.config.restart.clone(), |restart| {
            restart.policy == DEFAULT_RESTART_POLICY
        });
    }
    let keys: Vec<String> = keyed_services(&config).map(|(key, _)| key).collect();
    for (key, service) in keys.iter().zip(&mut config.services) {
        if service.autostart.is_none() {
            let running = reported_autostart(key, &live.config);
            service.autostart = recorded.value_or(key, running, |autostart| *autostart);
        }
    }
    config
}

/// A configuration in which what the manifest leaves open is open as well, so that a rollback records what it kept as an apply does.
pub(super) fn leave_open(mut config: MachineConfig, manifest: &MachineConfig) -> MachineConfig {
    if manifest.restart.is_none() {
        config.restart = None;
    }
    let keys: Vec<String> = keyed_services(&config).map(|(key, _)| key).collect();
    for (key, service) in keys.iter().zip(&mut config.services) {
        let stated = keyed_services(manifest).find(|(other, _)| other == key);
        if stated.is_some_and(|(_, stated)| stated.autostart.is_none()) {
            service.autostart = None;
        }
    }
    config
}

/// The same workload with the size of the first machine of its process group, where the manifest states none and one runs.
#[must_use]
pub fn with_group_guest(spec: &Workload, group: &str, context: &DiffContext<'_>) -> Workload {
    let mut machines = resources_in_app(&context.world.fly_machine, spec.app.name());
    let running = machines
        .find(|(_, live)| live.workload.process_group() == group)
        .and_then(|(_, live)| live.workload.config.guest.clone());
    with_unstated_guest(spec, running)
}

/// The same workload with the size of the app's machine that has the most memory, where the manifest states none and one runs. A
/// release command gets it, as with flyctl: a migration in less memory than its app has may not fit.
#[must_use]
pub fn with_largest_guest(spec: &Workload, context: &DiffContext<'_>) -> Workload {
    let largest = resources_in_app(&context.world.fly_machine, spec.app.name())
        .filter_map(|(_, live)| live.workload.config.guest.clone())
        .max_by_key(|guest| guest.memory_mb);
    with_unstated_guest(spec, largest)
}

fn with_unstated_guest(spec: &Workload, guest: Option<MachineGuest>) -> Workload {
    let mut spec = spec.clone();
    if !spec.guest_stated && guest.is_some() {
        spec.config.guest = with_stated_dedication(&spec, guest);
    }
    spec
}

/// A size that is kept, with the host dedication of the manifest. An app may state that without a size.
fn with_stated_dedication(spec: &Workload, kept: Option<MachineGuest>) -> Option<MachineGuest> {
    let stated = spec.config.guest.as_ref();
    let Some(dedication) = stated.and_then(|guest| guest.host_dedication_id.clone()) else {
        return kept;
    };
    let guest = kept.or_else(|| stated.cloned())?;
    Some(MachineGuest {
        host_dedication_id: Some(dedication),
        ..guest
    })
}
