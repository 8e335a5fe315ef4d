//! Rollback: restores a machine to an earlier version of its configuration, from Fly's version
//! history.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    ConfigUpdate, MachineConfig, Workload, WorkloadEdit, WorkloadLive, diff, json_tree,
    unstated::leave_open,
};
use crate::{
    kinds::Blocker,
    model::{DiffLine, Image, OwnershipMark},
};

/// An earlier configuration of a machine.
#[derive(Clone, Debug)]
pub struct PreviousConfig {
    /// The configuration as Fly stored it, including metadata.
    config: Value,
    /// The mark of the rollback that restores it, if this machine bears it.
    rollback_mark: Option<String>,
}

/// Metadata keys that describe a temporary state or the current secrets, and so must not be
/// restored.
const TRANSIENT_METADATA: [&str; 7] = [
    OwnershipMark::STARTING_KEY,
    OwnershipMark::SUCCEEDS_KEY,
    OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY,
    OwnershipMark::UNVERIFIED_KEY,
    OwnershipMark::ROLLBACK_KEY,
    OwnershipMark::SECRET_FINGERPRINTS_KEY,
    OwnershipMark::SECRETS_VERSION_KEY,
];

impl PreviousConfig {
    /// A configuration from a machine's version list.
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self {
            config,
            rollback_mark: None,
        }
    }

    /// The current configuration of a machine, with the image pinned to the running digest.
    #[must_use]
    pub fn from_live(live: &WorkloadLive) -> Self {
        let mut config = live.raw.clone();
        if let Some(image) = live.running_image() {
            config["image"] = image.as_str().into();
        }
        Self::new(config)
    }

    /// The same configuration as a part of this release. A release that flyctl made stays flyctl's.
    #[must_use]
    pub(super) fn with_release(mut self, release: &str) -> Self {
        if let Some(marked) = self
            .config
            .get_mut("metadata")
            .and_then(|metadata| metadata.get_mut(OwnershipMark::RELEASE_KEY))
        {
            *marked = release.into();
        }
        self
    }

    /// The same configuration, restored by a rollback with this mark.
    #[must_use]
    pub fn with_rollback_mark(self, mark: String) -> Self {
        Self {
            rollback_mark: Some(mark),
            ..self
        }
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> Option<Image> {
        self.config
            .get("image")
            .and_then(Value::as_str)
            .map(Image::new)
    }

    /// A metadata value.
    #[must_use]
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        self.config.get("metadata")?.get(key)?.as_str()
    }

    fn lasting_metadata(&self) -> BTreeMap<String, String> {
        let all = self.config.get("metadata").cloned();
        let mut all: BTreeMap<String, String> = all
            .and_then(|all| serde_json::from_value(all).ok())
            .unwrap_or_default();
        all.retain(|key, _| !TRANSIENT_METADATA.contains(&key.as_str()));
        let mark = self.rollback_mark.clone();
        all.extend(mark.map(|mark| (OwnershipMark::ROLLBACK_KEY.to_owned(), mark)));
        all
    }
}

/// The update that restores an earlier configuration; `None` if the machine already has it.
/// `launch` says whether the update may restart the machine.
///
/// # Errors
/// When the earlier configuration cannot be parsed.
pub fn rollback_edit(
    spec: &Workload,
    live: &WorkloadLive,
    earlier: &PreviousConfig,
    launch: bool,
) -> Result<Option<WorkloadEdit>, Blocker> {
    let mut lines = diff_lines(&earlier_config(live, earlier)?, live);
    if launch {
        lines.extend(diff::failed_start_line(live));
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let mut body = earlier.config.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("metadata");
        // Keep the current volume and standby assignment: a volume cannot be detached, and the
        // standby refers to another machine.
        for key in ["mounts", "standbys"] {
            match live.raw.get(key) {
                Some(live) => drop(body.insert(key.to_owned(), live.clone())),
                None => drop(body.remove(key)),
            }
        }
    }
    let launch = launch && (live.is_running() || live.is_start_unconfirmed());
    let mut labels = earlier.lasting_metadata();
    // The configuration may be that of another machine of the group. Each machine keeps its own name.
    if let Some(name) = labels.get_mut(OwnershipMark::NAME_KEY) {
        let own = live.metadata.get(OwnershipMark::NAME_KEY);
        let own = own.or_else(|| spec.labels.get(OwnershipMark::NAME_KEY));
        name.clone_from(own.unwrap_or(&name.clone()));
    }
    Ok(Some(WorkloadEdit::Update(Box::new(ConfigUpdate {
        spec: restored_spec(spec, live, earlier)?,
        body,
        launch,
        lines,
        restored_metadata: Some(labels),
    }))))
}

/// What a rollback asks of a machine: the earlier configuration, and the rest as the manifest says.
///
/// # Errors
/// When the earlier configuration cannot be parsed.
pub fn restored_spec(
    spec: &Workload,
    live: &WorkloadLive,
    earlier: &PreviousConfig,
) -> Result<Workload, Blocker> {
    Ok(Workload {
        config: leave_open(earlier_config(live, earlier)?, &spec.config),
        ..spec.clone()
    })
}

fn earlier_config(live: &WorkloadLive, earlier: &PreviousConfig) -> Result<MachineConfig, Blocker> {
    let mut config: MachineConfig =
        serde_json::from_value(earlier.config.clone()).map_err(|error| Blocker {
            reason: format!(
                "the earlier configuration of machine {} cannot be read: {error}",
                live.id
            ),
            hint: "apply a manifest that says what it shall be".to_owned(),
        })?;
    config.verbatim.clear();
    config.guest.get_or_insert_default();
    Ok(config)
}

/// The differences between an earlier configuration and the current one.
fn diff_lines(earlier: &MachineConfig, live: &WorkloadLive) -> Vec<DiffLine> {
    let (mut desired, mut current) = (earlier.clone(), live.config.clone());
    desired.mounts.clear();
    current.mounts.clear();
    current.image = desired
        .image
        .clone()
        .filter(|image| live.runs_image(image))
        .or_else(|| live.running_image());
    let lines = json_tree::diff(
        &diff::comparable_config(&desired),
        &diff::comparable_config(&current),
    );
    lines.into_iter().map(super::display::for_display).collect()
}
