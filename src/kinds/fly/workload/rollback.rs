//! The way back: a machine as it was before, from what the platform keeps of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ConfigUpdate, MachineConfig, Workload, WorkloadEdit, WorkloadLive, diff, json_tree};
use crate::{
    kinds::Blocker,
    model::{DiffLine, Image, OwnershipMark},
};

/// A configuration that a machine had.
#[derive(Clone, Debug)]
pub struct PreviousConfig {
    /// As the platform kept it, metadata included.
    config: Value,
}

/// Marks that belong to one moment of a machine, and not to what it was.
const TRANSIENT_METADATA: [&str; 6] = [
    OwnershipMark::STARTING_KEY,
    OwnershipMark::SUCCEEDS_KEY,
    OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY,
    OwnershipMark::UNVERIFIED_KEY,
    OwnershipMark::SECRET_FINGERPRINTS_KEY,
    OwnershipMark::SECRETS_VERSION_KEY,
];

impl PreviousConfig {
    /// A configuration from a list of versions.
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self { config }
    }

    /// The configuration of a machine as it was seen, with the very image that it ran.
    #[must_use]
    pub fn from_live(live: &WorkloadLive) -> Self {
        let mut config = live.raw.clone();
        if let Some(image) = live.running_image() {
            config["image"] = image.as_str().into();
        }
        Self { config }
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
        all
    }
}

/// The update that takes a machine back; `None` when it is there already. `launch` says whether it may be restarted.
///
/// # Errors
/// When the configuration has a shape that we do not know.
pub fn rollback_edit(
    spec: &Workload,
    live: &WorkloadLive,
    earlier: &PreviousConfig,
    launch: bool,
) -> Result<Option<WorkloadEdit>, Blocker> {
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
    let lines = diff_lines(&config, live);
    if lines.is_empty() {
        return Ok(None);
    }
    let mut body = earlier.config.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("metadata");
        // A volume is attached for good, and who is stood by for is another machine's affair.
        for kept in ["mounts", "standbys"] {
            match live.raw.get(kept) {
                Some(there) => drop(body.insert(kept.to_owned(), there.clone())),
                None => drop(body.remove(kept)),
            }
        }
    }
    let launch = launch && (live.is_running() || live.is_start_unconfirmed());
    let spec = Workload {
        config,
        ..spec.clone()
    };
    let labels = Some(earlier.lasting_metadata());
    Ok(Some(WorkloadEdit::Update(Box::new(ConfigUpdate {
        spec,
        body,
        launch,
        lines,
        restored_metadata: labels,
    }))))
}

/// What differs between what a machine was and what it is.
fn diff_lines(earlier: &MachineConfig, live: &WorkloadLive) -> Vec<DiffLine> {
    let (mut wanted, mut there) = (earlier.clone(), live.config.clone());
    wanted.mounts.clear();
    there.mounts.clear();
    there.image = wanted
        .image
        .clone()
        .filter(|image| live.runs_image(image))
        .or_else(|| live.running_image());
    let lines = json_tree::diff(
        &diff::comparable_config(&wanted),
        &diff::comparable_config(&there),
    );
    lines.into_iter().map(diff::for_display).collect()
}
