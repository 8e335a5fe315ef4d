//! What of a machine changes in place, and what only a new machine can give: another volume, or none.

use super::{Machine, MachineLive, MachineSpec};
use crate::{
    kinds::{
        Blocker, Cause, Cost, DescribeEdit, Diff, DiffContext, Kind, LeaseTarget, Op, Phase,
        References, RolloutGroup,
        fly::workload::{WorkloadEdit, WorkloadLive, diff_workload, with_default_image},
    },
    model::{Address, DiffLine, DisplayValue, Name, OwnershipMark, RolloutPolicy, RolloutStrategy},
};

/// The volume that a spec's mount comes to: known, still to be made, or none.
enum WantedVolume<'a> {
    NoVolume,
    NotYetCreated,
    Id(&'a str),
}

fn wanted_volume<'a>(spec: &MachineSpec, around: &'a DiffContext<'_>) -> WantedVolume<'a> {
    match &spec.volume {
        None => WantedVolume::NoVolume,
        Some(volume) if around.removed.contains(&volume.address()) => WantedVolume::NotYetCreated,
        Some(volume) => around
            .world
            .fly_volume
            .get(volume.name())
            .map_or(WantedVolume::NotYetCreated, |live| {
                WantedVolume::Id(live.id.as_str())
            }),
    }
}

/// The line that says why the mount needs a new machine.
fn mount_line(
    spec: &MachineSpec,
    live: &MachineLive,
    around: &DiffContext<'_>,
) -> Option<DiffLine> {
    let there = live.volume.as_ref().map(|(id, _)| id.as_str());
    let to = match (wanted_volume(spec, around), there) {
        (WantedVolume::NoVolume, None) => return None,
        (WantedVolume::Id(id), Some(there)) if id == there => return None,
        (WantedVolume::NoVolume, Some(_)) => None,
        (WantedVolume::Id(id), _) => Some(DisplayValue::Value(id.into())),
        (WantedVolume::NotYetCreated, _) => Some(DisplayValue::KnownAfterApply),
    };
    let from = there.map(|id| DisplayValue::Value(id.into()));
    Some(
        DiffLine::new("mounts.volume", from, to)
            .with_note("a volume is attached when a machine is made")
            .forcing_replacement(),
    )
}

/// Whether a new version comes up beside the old one. What nobody sends requests to cannot be handed over, and a volume
/// is held by one machine only.
fn uses_blue_green(spec: &MachineSpec, live: &MachineLive) -> bool {
    let blue_green = spec.turns.strategy == RolloutStrategy::BlueGreen;
    blue_green
        && !spec.workload.config.services.is_empty()
        && spec.volume.is_none()
        && live.volume.is_none()
}

fn is_update(edit: &WorkloadEdit) -> bool {
    matches!(edit, WorkloadEdit::Update(_))
}

/// How long a machine takes, by what its configuration says of its start.
fn op_cost(op: &Op<Machine>) -> Cost {
    let start = |spec: &MachineSpec| spec.workload.estimated_start_secs();
    match op {
        Op::Create(spec) | Op::CreateSuccessor(spec, _) => Cost {
            secs: 2 + start(spec),
            is_create: true,
        },
        Op::Edit(_, edits) => Cost {
            secs: edits.iter().map(WorkloadEdit::cost_secs).sum(),
            is_create: false,
        },
        Op::Delete(_) | Op::Retire(_) => Cost {
            secs: 3,
            is_create: false,
        },
        Op::HandOver(_) => Cost {
            secs: 2,
            is_create: false,
        },
        Op::Verify(_) => Cost::CALL,
    }
}

impl Kind for Machine {
    type Spec = MachineSpec;
    type Live = MachineLive;
    type Edit = WorkloadEdit;

    const PHASE: Phase = Phase::Rollout;

    fn diff(
        spec: &MachineSpec,
        live: &MachineLive,
        around: &DiffContext<'_>,
    ) -> Diff<WorkloadEdit> {
        let there = &live.workload;
        if let Some(line) = mount_line(spec, live, around) {
            return Diff::Replace(vec![line]);
        }
        let diff = diff_workload(&spec.workload, there, around, true);
        let mut edits = match diff {
            Diff::Edit(edits) if uses_blue_green(spec, live) && edits.iter().any(is_update) => {
                return Diff::Successor(edits.iter().flat_map(DescribeEdit::lines).collect());
            }
            Diff::Edit(edits) => edits,
            Diff::Same => Vec::new(),
            other => return other,
        };
        edits.extend(there.health.cordoned.then_some(WorkloadEdit::Uncordon));
        let discard = |green: &WorkloadLive| WorkloadEdit::DiscardSuccessor {
            id: green.id.clone(),
        };
        edits.extend(live.successor.as_deref().map(discard));
        if edits.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(edits)
        }
    }

    /// A new machine of an app that runs takes the image that runs, as scaling does.
    fn resolve_defaults(
        spec: &MachineSpec,
        around: &DiffContext<'_>,
    ) -> Result<MachineSpec, Blocker> {
        let workload = with_default_image(&spec.workload, around)?.with_release(around);
        Ok(MachineSpec {
            workload,
            ..spec.clone()
        })
    }

    fn creation_lines(spec: &MachineSpec, around: &DiffContext<'_>) -> Vec<DiffLine> {
        let mut lines = spec.workload.creation_lines();
        if spec.volume.is_some() {
            let volume = match wanted_volume(spec, around) {
                WantedVolume::Id(id) => DisplayValue::Value(id.into()),
                WantedVolume::NoVolume | WantedVolume::NotYetCreated => {
                    DisplayValue::KnownAfterApply
                }
            };
            lines.push(DiffLine::new("mounts.volume", None, Some(volume)));
        }
        lines
    }

    fn unavailable(live: &MachineLive) -> Option<Blocker> {
        live.workload.unavailable()
    }

    /// One whose last start nobody saw succeed (even if it runs now, its program may be crashing again and again), and one
    /// that should serve and does not.
    fn is_down(live: &MachineLive) -> bool {
        let there = &live.workload;
        there.is_start_unconfirmed() || there.is_running() && !there.is_healthy()
    }

    fn is_unverified(live: &MachineLive) -> bool {
        live.workload
            .metadata
            .contains_key(OwnershipMark::UNVERIFIED_KEY)
    }

    fn is_retired(live: &MachineLive) -> bool {
        live.retired
    }

    fn identity(live: &MachineLive) -> String {
        live.workload.id.clone()
    }

    fn describe(live: &MachineLive) -> String {
        let there = &live.workload;
        format!("{}, {}, {}", there.region, there.id, there.state)
    }

    fn lease_target(live: &MachineLive) -> Option<LeaseTarget> {
        Some(live.workload.lease_target())
    }

    fn cause(spec: &MachineSpec, live: &MachineLive) -> Cause {
        live.workload.cause(&spec.workload)
    }

    fn deleted_with(live: &MachineLive) -> Option<Address> {
        live.references().into_iter().next()
    }

    /// App and process group: `web/app` for `web/app/ewr/0`.
    fn rollout_group(name: &Name) -> Option<RolloutGroup> {
        Name::parse(&name.segments().take(2).collect::<Vec<_>>().join("/")).ok()
    }

    fn rollout_policy(spec: &MachineSpec) -> RolloutPolicy {
        spec.turns
    }

    fn cost(op: &Op<Self>) -> Cost {
        op_cost(op)
    }
}
