//! The way back: a machine as it was before, from what the platform keeps of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{MachineConfig, Update, Workload, WorkloadEdit, WorkloadLive, delta, tree};
use crate::{
    kinds::Refused,
    model::{Image, Line, Mark},
};

/// A configuration that a machine had.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// As the platform kept it, metadata included.
    config: Value,
}

/// Marks that belong to one moment of a machine, and not to what it was.
const PASSING: [&str; 6] = [
    Mark::STARTING,
    Mark::SUCCEEDS,
    Mark::RELEASED,
    Mark::UNVERIFIED,
    Mark::SECRETS,
    Mark::SECRETS_VERSION,
];

impl Earlier {
    /// A configuration from a list of versions.
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self { config }
    }

    /// The configuration of a machine as it was seen, with the very image that it ran.
    #[must_use]
    pub fn of(live: &WorkloadLive) -> Self {
        let mut config = live.raw.clone();
        if let Some(image) = live.running() {
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
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.get("metadata")?.get(key)?.as_str()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let all = self.config.get("metadata").cloned();
        let mut all: BTreeMap<String, String> = all
            .and_then(|all| serde_json::from_value(all).ok())
            .unwrap_or_default();
        all.retain(|key, _| !PASSING.contains(&key.as_str()));
        all
    }
}

/// The update that takes a machine back; `None` when it is there already. `launch` says whether it may be restarted.
///
/// # Errors
/// When the configuration has a shape that we do not know.
pub fn back(
    spec: &Workload,
    live: &WorkloadLive,
    earlier: &Earlier,
    launch: bool,
) -> Result<Option<WorkloadEdit>, Refused> {
    let mut config: MachineConfig =
        serde_json::from_value(earlier.config.clone()).map_err(|error| Refused {
            reason: format!(
                "the earlier configuration of machine {} cannot be read: {error}",
                live.id
            ),
            hint: "apply a manifest that says what it shall be".to_owned(),
        })?;
    config.verbatim.clear();
    config.guest.get_or_insert_default();
    let lines = lines(&config, live);
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
    let launch = launch && (live.runs() || live.is_unproven());
    let spec = Workload {
        config,
        ..spec.clone()
    };
    let labels = Some(earlier.labels());
    Ok(Some(WorkloadEdit::Update(Box::new(Update {
        spec,
        body,
        launch,
        lines,
        labels,
    }))))
}

/// What differs between what a machine was and what it is.
fn lines(earlier: &MachineConfig, live: &WorkloadLive) -> Vec<Line> {
    let (mut wanted, mut there) = (earlier.clone(), live.config.clone());
    wanted.mounts.clear();
    there.mounts.clear();
    there.image = wanted
        .image
        .clone()
        .filter(|image| live.runs_image(image))
        .or_else(|| live.running());
    let lines = tree::diff(&delta::comparable(&wanted), &delta::comparable(&there));
    lines.into_iter().map(delta::shown).collect()
}
