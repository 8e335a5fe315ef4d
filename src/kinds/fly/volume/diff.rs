//! Compares a volume. It can grow and change its snapshots; it cannot shrink, move, or change its encryption.

use serde_json::json;

use super::{Volume, VolumeLive, VolumeSpec};
use crate::{
    kinds::{
        Blocker, DataLoss, DeletionRules, DescribeEdit, Diff, DiffContext, Kind, RolloutGroup,
        RolloutRules, fly,
    },
    model::{Address, DiffLine, Gib, KindName as _, Name},
};

/// One call that changes a volume.
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeEdit {
    /// `PUT …/extend`. The machine may have to restart to see the new space.
    Extend {
        /// The present size.
        from: Gib,
        /// The new size.
        to: Gib,
        /// Whether a machine mounts it.
        attached: bool,
    },
    /// `PUT …/volumes/{id}`: the settings of snapshots.
    Snapshots {
        /// For how many days snapshots are kept, present and new, when they differ.
        retention: Option<(Option<u32>, u32)>,
        /// Whether daily snapshots are taken, present and new, when they differ.
        scheduled: Option<(Option<bool>, bool)>,
    },
}

impl DescribeEdit for VolumeEdit {
    /// Growing may restart the machine that mounts it, so the volumes of a group grow one after the other.
    fn obeys_rollout_policy(&self) -> bool {
        matches!(self, Self::Extend { attached: true, .. })
    }

    fn lines(&self) -> Vec<DiffLine> {
        match self {
            Self::Extend { from, to, attached } => {
                let line = DiffLine::change("size", from.to_string(), to.to_string());
                vec![if *attached {
                    line.with_note("Fly may ask for a restart of its machine")
                } else {
                    line
                }]
            }
            Self::Snapshots {
                retention,
                scheduled,
            } => {
                let days = retention
                    .map(|(from, to)| DiffLine::change("snapshot_retention", json!(from), to));
                let daily = scheduled
                    .map(|(from, to)| DiffLine::change("scheduled_snapshots", json!(from), to));
                days.into_iter().chain(daily).collect()
            }
        }
    }
}

impl Kind for Volume {
    type Spec = VolumeSpec;
    type Live = VolumeLive;
    type Edit = VolumeEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);

    fn diff(spec: &VolumeSpec, live: &VolumeLive, _: &DiffContext<'_>) -> Diff<VolumeEdit> {
        let VolumeSpec {
            app: _,
            volume: _,
            region: _,
            size,
            size_key: _,
            snapshot_retention,
            scheduled_snapshots,
            encrypted,
            auto_extends: _,
        } = spec;
        if let Some(encrypted) = encrypted.filter(|desired| *desired != live.encrypted) {
            let line = DiffLine::change("encrypted", live.encrypted, encrypted)
                .with_note("the encryption of a volume cannot be changed");
            return Diff::Replace(vec![line.forcing_replacement()]);
        }
        let extend = size.filter(|size| *size > live.size);
        let retention = snapshot_retention
            .filter(|days| Some(*days) != live.snapshot_retention)
            .map(|days| (live.snapshot_retention, days));
        let scheduled = scheduled_snapshots
            .filter(|desired| Some(*desired) != live.scheduled_snapshots)
            .map(|desired| (live.scheduled_snapshots, desired));
        let mut edits = Vec::new();
        edits.extend(extend.map(|to| VolumeEdit::Extend {
            from: live.size,
            to,
            attached: live.attached_machine.is_some(),
        }));
        if retention.is_some() || scheduled.is_some() {
            edits.push(VolumeEdit::Snapshots {
                retention,
                scheduled,
            });
        }
        if edits.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(edits)
        }
    }

    fn creation_lines(spec: &VolumeSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let size = spec.size.unwrap_or(VolumeSpec::DEFAULT_SIZE);
        let mut lines = vec![
            DiffLine::add("region", spec.region.as_str()),
            DiffLine::add("size", size.to_string()),
        ];
        lines.extend(
            spec.snapshot_retention
                .map(|days| DiffLine::add("snapshot_retention", days)),
        );
        lines.extend(
            spec.scheduled_snapshots
                .map(|desired| DiffLine::add("scheduled_snapshots", desired)),
        );
        lines
    }

    /// A volume that was extended by hand, or whose `size` in the manifest was lowered.
    fn manual_change(spec: &VolumeSpec, live: &VolumeLive) -> Option<Blocker> {
        let size = spec
            .size
            .filter(|size| *size < live.size && !spec.auto_extends)?;
        Some(Blocker {
            reason: format!(
                "volume {} ({}) is {} and cannot shrink to {size}",
                spec.volume, live.id, live.size
            ),
            hint: format!(
                "set {} = \"{}gb\", or create a smaller volume under another name and copy the data",
                spec.size_key, live.size.0
            ),
        })
    }

    fn unavailable(live: &VolumeLive) -> Option<Blocker> {
        (!live.host_ok).then(|| Blocker {
            reason: format!("the host of volume {} cannot be reached", live.id),
            hint: format!(
                "wait until Fly has repaired it, or give its data up with `fly volumes destroy {}` and apply again",
                live.id
            ),
        })
    }

    fn identity(live: &VolumeLive) -> String {
        live.id.clone()
    }

    fn describe(live: &VolumeLive) -> String {
        format!("{}, {}, {}", live.region, live.size, live.id)
    }
}

impl RolloutRules for Volume {
    /// A volume has no metadata for an ownership mark. After a lost answer, a new one is recognised by its name, its region, and
    /// its absence before, which works for one at a time.
    fn creates_serially(_: &VolumeSpec) -> bool {
        true
    }

    fn rollout_group(name: &Name) -> Option<RolloutGroup> {
        fly::slot_group(name)
    }
}

impl DeletionRules for Volume {
    const EXCLUSIVE: bool = true;

    fn data_loss(_: &VolumeLive) -> Option<DataLoss> {
        Some(DataLoss::Data)
    }

    fn recovery_hint(_: &VolumeLive) -> Option<String> {
        Some("copy what must be kept to another place first".to_owned())
    }

    fn deleted_with(live: &VolumeLive) -> Option<Address> {
        Some(live.app.address())
    }

    fn is_protected(live: &VolumeLive) -> bool {
        live.protected
    }
}
