//! Compares a live machine with its desired state, and determines the API calls that reconcile it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    MachineConfig, Workload, WorkloadLive,
    display::for_display,
    image::is_same_image,
    json_tree, standby,
    unstated::{KeptSettings, complete_config},
};
use crate::{
    kinds::{Cost, DescribeEdit, Diff, DiffContext, Impact},
    model::{Address, DiffLine, DisplayValue, Ownership, OwnershipMark},
};

/// An in-place change of a machine: one API call.
#[derive(Clone, Debug)]
pub enum WorkloadEdit {
    /// `POST …/machines/{id}`: updates the configuration.
    Update(Box<ConfigUpdate>),
    /// `PUT …/metadata`: updates metadata, without a restart.
    Metadata {
        /// The metadata to set.
        labels: BTreeMap<String, String>,
        /// The diff lines.
        lines: Vec<DiffLine>,
    },
    /// No request: waits until a start succeeds that an earlier run did not see succeed. The next
    /// machine of a rollout waits for this as for an update, because the program may be crashing in
    /// between two observations.
    ConfirmStart(Box<Workload>),
    /// `POST …/uncordon`: Fly's proxy routes to the machine again.
    Uncordon {
        /// Whether a hand-over cordoned it and was interrupted. Otherwise somebody did by hand, which is a change outside.
        interrupted_hand_over: bool,
    },
    /// `DELETE …/machines/{id}`: deletes a successor that an earlier run created and that never
    /// took over.
    DiscardSuccessor {
        /// Fly's id of the successor.
        id: String,
    },
}

/// The payload of [`WorkloadEdit::Update`].
#[derive(Clone, Debug)]
pub struct ConfigUpdate {
    /// The desired state.
    pub spec: Workload,
    /// The configuration to send: the desired one, plus the unknown fields of the live one.
    pub body: Value,
    /// Whether to launch the new version. Fly then restarts the machine.
    pub launch: bool,
    /// The diff lines.
    pub lines: Vec<DiffLine>,
    /// The metadata of the earlier version that a rollback restores; `None` if the metadata follows
    /// from the spec.
    pub restored_metadata: Option<BTreeMap<String, String>>,
}

impl DescribeEdit for WorkloadEdit {
    fn lines(&self) -> Vec<DiffLine> {
        match self {
            Self::Update(update) => update.lines.clone(),
            Self::Metadata { labels: _, lines } => lines.clone(),
            Self::ConfirmStart(_) => vec![DiffLine::change("start", "unconfirmed", "confirmed")],
            Self::Uncordon { .. } => vec![DiffLine::change("cordoned", true, false)],
            Self::DiscardSuccessor { id } => {
                vec![
                    DiffLine::remove("successor", id.as_str())
                        .with_note("made by an earlier run, never took over"),
                ]
            }
        }
    }

    /// Only the start of the machine is outstanding; its configuration is up to date.
    fn completes_earlier_apply(&self) -> bool {
        match self {
            Self::Update(update) => update.lines.iter().all(|line| line.path == "start"),
            Self::Metadata { .. } => false,
            Self::ConfirmStart(_) | Self::DiscardSuccessor { .. } => true,
            Self::Uncordon {
                interrupted_hand_over,
            } => *interrupted_hand_over,
        }
    }

    /// A machine that is only updated for new secrets has not changed itself.
    fn follows_reference(&self) -> bool {
        matches!(self, Self::Update(update) if update.lines.iter().all(|line| line.path.starts_with("secrets.")))
    }

    fn impact(&self) -> Impact {
        match self {
            Self::Update(update) if update.launch => Impact::Restart,
            Self::Update(_) => Impact::Asleep,
            Self::Metadata { .. }
            | Self::ConfirmStart(_)
            | Self::Uncordon { .. }
            | Self::DiscardSuccessor { .. } => Impact::Quiet,
        }
    }

    fn starts_serving(&self) -> bool {
        matches!(self, Self::Uncordon { .. })
    }

    fn obeys_rollout_policy(&self) -> bool {
        matches!(self, Self::ConfirmStart(_)) || self.impact() == Impact::Restart
    }
}

/// Compares a live machine with its desired state.
///
/// The caller compares the volume, since it knows what the mount refers to. `launch` says whether
/// an update may restart a running machine; a cron machine is never started as a side effect.
#[must_use]
pub fn diff_workload(
    spec: &Workload,
    live: &WorkloadLive,
    context: &DiffContext<'_>,
    launch: bool,
) -> Diff<WorkloadEdit> {
    let mut lines = config_lines(spec, live);
    lines.extend(standby::diff_line(spec, live, context));
    lines.extend(secret_lines(spec, live, context));
    lines.extend(failed_start_line(live));
    let (labels, metadata_diff) = metadata_lines(spec, live);
    if !lines.is_empty() {
        // An update also writes the metadata, so its lines belong to the update.
        lines.extend(metadata_diff);
        let launch = launch && standby::starts_with_update(spec, live);
        let body = update_body(spec, live);
        let update = ConfigUpdate {
            spec: spec.clone().with_release(context),
            body,
            launch,
            lines,
            restored_metadata: None,
        };
        return Diff::Edit(vec![WorkloadEdit::Update(Box::new(update))]);
    }
    let mut edits = Vec::new();
    if !metadata_diff.is_empty() {
        edits.push(WorkloadEdit::Metadata {
            labels,
            lines: metadata_diff,
        });
    }
    if live.is_start_unconfirmed() {
        edits.push(WorkloadEdit::ConfirmStart(Box::new(spec.clone())));
    }
    if edits.is_empty() {
        Diff::Same
    } else {
        Diff::Edit(edits)
    }
}

/// The line for a machine whose last start failed: the same configuration is applied again. A healthy machine only needs its start
/// confirmed.
pub(super) fn failed_start_line(live: &WorkloadLive) -> Option<DiffLine> {
    (live.is_start_unconfirmed() && !live.is_healthy()).then(|| {
        DiffLine::change("start", "failed", "again").with_note("its last start did not succeed")
    })
}

/// The differences of the configuration itself.
fn config_lines(spec: &Workload, live: &WorkloadLive) -> Vec<DiffLine> {
    let mut desired = comparable_config(&complete_config(spec, live));
    let mut current = comparable_config(&live.config);
    if spec.standby_for.is_some() {
        standby::remove_env(&mut desired);
        standby::remove_env(&mut current);
    }
    if let (Some(current), Some(running)) = (current.as_object_mut(), live.running_image()) {
        let same = spec
            .config
            .image
            .clone()
            .filter(|desired| live.runs_image(desired));
        current.insert("image".to_owned(), json!(same.unwrap_or(running)));
    }
    let mut lines = json_tree::diff(&desired, &current);
    for line in lines
        .iter_mut()
        .filter(|line| line.path == "image" && live.has_tag_moved(spec))
    {
        line.note = Some("tag moved".to_owned());
    }
    let stated = lines
        .into_iter()
        .filter(|line| line.to.is_some() || !is_platform_default(&line.path));
    let mut lines: Vec<DiffLine> = stated.map(for_display).collect();
    for (key, desired) in &spec.config.verbatim {
        let live_value = live.raw.get(key).cloned().unwrap_or_default();
        if !contains_json(&live_value, desired) {
            lines.push(DiffLine::change(key.clone(), live_value, desired.clone()));
        }
    }
    lines
}

/// Whether Fly fills in this path if the manifest does not set it, so that a live value is not a
/// difference.
fn is_platform_default(path: &str) -> bool {
    path == "image"
        || path == "guest.persist_rootfs"
        || path.ends_with(".name") && path.starts_with("mounts[")
}

/// The configuration in the form in which it is compared: without the volume id, standbys and
/// verbatim parts, which are compared separately.
pub(super) fn comparable_config(config: &MachineConfig) -> Value {
    let mut config = config.clone();
    config.verbatim.clear();
    config.standbys.clear();
    for mount in &mut config.mounts {
        mount.volume.clear();
        mount.name.clear();
    }
    serde_json::to_value(&config).unwrap_or_default()
}

/// Whether `live` contains everything in `desired`. Fly may have added fields.
fn contains_json(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, desired)| {
            live.get(key).is_some_and(|live| match (live, desired) {
                (Value::String(live), Value::String(desired)) if key == "image" => {
                    is_same_image(live, desired)
                }
                _ => contains_json(live, desired),
            })
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live
                    .iter()
                    .zip(desired)
                    .all(|(live, desired)| contains_json(live, desired))
        }
        _ => live == desired,
    }
}

/// Secrets that the machine was not started with, or in another version.
fn secret_lines(spec: &Workload, live: &WorkloadLive, context: &DiffContext<'_>) -> Vec<DiffLine> {
    let Some(secrets) = &spec.secrets else {
        return removed_secret_lines(live);
    };
    let inside = |line: &DiffLine| {
        let mut line = line.clone();
        line.path = format!("secrets.{}", line.path);
        line
    };
    if let Some(lines) = context.changed.get(&secrets.address()) {
        return lines.iter().map(inside).collect();
    }
    let Some(now) = context.world.fly_secrets.get(secrets.name()) else {
        return Vec::new();
    };
    let (started_with, record) = (live.secrets_record(), now.record());
    let stale = record
        .0
        .iter()
        .filter(|(name, secret)| started_with.0.get(*name) != Some(*secret));
    let stale = stale.map(|(name, _)| {
        let had = started_with
            .0
            .contains_key(name)
            .then_some(DisplayValue::Sensitive);
        DiffLine::new(
            format!("secrets.{name}"),
            had,
            Some(DisplayValue::Sensitive),
        )
        .with_note("not yet in this machine")
    });
    let gone = started_with
        .0
        .keys()
        .filter(|name| !now.present.contains_key(*name));
    let gone = gone.map(|name| {
        DiffLine::new(
            format!("secrets.{name}"),
            Some(DisplayValue::Sensitive),
            None,
        )
        .with_note("still in this machine")
    });
    stale.chain(gone).collect()
}

/// Secrets that the machine was started with although its app no longer has any.
fn removed_secret_lines(live: &WorkloadLive) -> Vec<DiffLine> {
    let gone = |name: String| {
        DiffLine::new(
            format!("secrets.{name}"),
            Some(DisplayValue::Sensitive),
            None,
        )
        .with_note("still in this machine")
    };
    live.secrets_record().0.into_keys().map(gone).collect()
}

/// Metadata that is missing or differs from the desired one.
fn metadata_lines(
    spec: &Workload,
    live: &WorkloadLive,
) -> (BTreeMap<String, String>, Vec<DiffLine>) {
    let mut lines = Vec::new();
    let mut labels = BTreeMap::new();
    if live.ownership == Ownership::Unmarked {
        lines.push(DiffLine::add(
            "owner",
            format!("{}/{}", spec.mark.project, spec.mark.environment),
        ));
    }
    for (key, value) in &spec.labels {
        let live_value = live.metadata.get(key);
        if live_value != Some(value) && !key.starts_with(OwnershipMark::METADATA_PREFIX) {
            lines.push(DiffLine::change(
                format!("metadata.{key}"),
                json!(live_value),
                value.clone(),
            ));
        }
    }
    if live.metadata.get(OwnershipMark::NAME_KEY) != spec.labels.get(OwnershipMark::NAME_KEY)
        && live.ownership == Ownership::Ours
    {
        let name = |value: Option<&String>| json!(value);
        let (from, to) = (
            live.metadata.get(OwnershipMark::NAME_KEY),
            spec.labels.get(OwnershipMark::NAME_KEY),
        );
        lines.push(DiffLine::change("slot", name(from), name(to)));
    }
    if !lines.is_empty() {
        labels.extend(spec.base_metadata());
        labels.extend(KeptSettings::new(spec, &live.config).metadata_change(&live.metadata));
    }
    (labels, lines)
}

/// The configuration to send in an update: the desired one, merged with the unknown fields of the
/// live one.
pub(super) fn update_body(spec: &Workload, live: &WorkloadLive) -> Value {
    let mut desired = complete_config(spec, live);
    let known = &live.config;
    // The id of the machine that a standby replaces is set when it is known. Any other machine is none.
    if spec.standby_for.is_some() {
        desired.standbys.clone_from(&known.standbys);
    }
    // What the manifest does not set keeps its live value.
    desired.image = desired.image.or_else(|| live.running_image());
    for (mount, known_mount) in desired.mounts.iter_mut().zip(&known.mounts) {
        mount.volume.clone_from(&known_mount.volume);
    }
    let verbatim = std::mem::take(&mut desired.verbatim);
    let to_value = |config: &MachineConfig| serde_json::to_value(config).unwrap_or_default();
    let mut raw = live.raw.clone();
    if let Some(raw) = raw.as_object_mut() {
        raw.remove("metadata");
    }
    let mut body = json_tree::merge_unknown(&to_value(&desired), &raw, &to_value(known));
    if let Some(body) = body.as_object_mut() {
        body.extend(verbatim);
    }
    body
}

impl Workload {
    /// The machine's metadata without the record of its secrets.
    #[must_use]
    pub fn base_metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.labels.clone();
        metadata.insert(
            OwnershipMark::PROJECT_KEY.to_owned(),
            self.mark.project.clone(),
        );
        metadata.insert(
            OwnershipMark::ENVIRONMENT_KEY.to_owned(),
            self.mark.environment.clone(),
        );
        metadata.insert(
            OwnershipMark::APPLIED_HASH_KEY.to_owned(),
            self.applied_hash(),
        );
        metadata.extend(
            self.release
                .clone()
                .map(|release| (OwnershipMark::RELEASE_KEY.to_owned(), release)),
        );
        metadata
    }

    /// The configuration of a new machine, without its volume id.
    #[must_use]
    pub fn create_body(&self) -> Value {
        let mut config = self.config.clone();
        let verbatim = std::mem::take(&mut config.verbatim);
        let mut body = serde_json::to_value(&config).unwrap_or_default();
        if let Some(body) = body.as_object_mut() {
            body.extend(verbatim);
        }
        body
    }
}

impl WorkloadEdit {
    /// The estimated duration.
    pub(crate) fn estimated_duration(&self) -> Duration {
        let secs = match self {
            // First the old version stops. Most programs do within a second, though they have five
            // (`kill_timeout`). Then the new one starts.
            Self::Update(update) if update.launch => 1 + update.spec.estimated_start_secs(),
            Self::Update(_) => 1,
            Self::DiscardSuccessor { .. } => 2,
            Self::ConfirmStart(spec) => spec.estimated_start_secs(),
            Self::Metadata { .. } | Self::Uncordon { .. } => return Cost::CALL.duration,
        };
        Duration::from_secs(secs)
    }
}

impl ConfigUpdate {
    /// The address of the secrets that the machine must start with.
    #[must_use]
    pub fn secrets_address(&self) -> Option<Address> {
        self.spec
            .secrets
            .as_ref()
            .map(crate::model::ResourceRef::address)
    }
}
