//! Compares a machine of a process group. Another volume needs a new machine; everything else changes in place, or by a
//! blue-green successor.

use super::{Machine, MachineLive, MachineSpec};
use crate::{
    kinds::{
        Blocker, Cause, Cost, DeletionRules, DescribeEdit, Diff, DiffContext, Kind, LeaseTarget,
        Op, OperationRules, Phase, References, RolloutGroup, RolloutRules, fly,
        fly::workload::{
            WorkloadEdit, WorkloadLive, diff_workload, postgres_node as node, with_default_image,
            with_group_guest,
        },
        postgres::cluster::NODE_LABEL,
    },
    model::{Address, DiffLine, DisplayValue, KindName as _, Name, RolloutPolicy, RolloutStrategy},
};

/// The volume that a machine is to mount.
enum WantedVolume<'a> {
    NoVolume,
    NotYetCreated,
    Id(&'a str),
}

fn wanted_volume<'a>(spec: &MachineSpec, context: &'a DiffContext<'_>) -> WantedVolume<'a> {
    match &spec.volume {
        None => WantedVolume::NoVolume,
        Some(volume) if context.removed.contains(&volume.address()) => WantedVolume::NotYetCreated,
        Some(volume) => context
            .world
            .fly_volume
            .get(volume.name())
            .map_or(WantedVolume::NotYetCreated, |live| {
                WantedVolume::Id(live.id.as_str())
            }),
    }
}

/// The line of the diff for a changed volume, which needs a new machine; `None` when the volume stays.
fn mount_line(
    spec: &MachineSpec,
    live: &MachineLive,
    context: &DiffContext<'_>,
) -> Option<DiffLine> {
    let current = live.volume.as_ref().map(|(id, _)| id.as_str());
    let to = match (wanted_volume(spec, context), current) {
        (WantedVolume::NoVolume, None) => return None,
        (WantedVolume::Id(id), Some(current)) if id == current => return None,
        (WantedVolume::NoVolume, Some(_)) => None,
        (WantedVolume::Id(id), _) => Some(DisplayValue::Value(id.into())),
        (WantedVolume::NotYetCreated, _) => Some(DisplayValue::KnownAfterApply),
    };
    let from = current.map(|id| DisplayValue::Value(id.into()));
    Some(
        DiffLine::new("mounts.volume", from, to)
            .with_note("a volume can only be attached when a machine is created")
            .forcing_replacement(),
    )
}

/// Whether a new version gets a successor beside the old machine. Only services have traffic to switch, and two machines cannot
/// mount one volume.
fn uses_blue_green(spec: &MachineSpec, live: &MachineLive) -> bool {
    let blue_green = spec.rollout_policy.strategy == RolloutStrategy::BlueGreen;
    blue_green
        && !spec.workload.config.services.is_empty()
        && spec.volume.is_none()
        && live.volume.is_none()
}

fn is_update(edit: &WorkloadEdit) -> bool {
    matches!(edit, WorkloadEdit::Update(_))
}

/// The expected duration of an operation, which depends mostly on how long the machine takes to become healthy.
fn op_cost(op: &Op<Machine>) -> Cost {
    match op {
        // A host takes about a second until it begins to boot a new machine.
        Op::Create(spec) | Op::CreateSuccessor(spec, _) => {
            Cost::creation(1 + spec.workload.estimated_start_secs())
        }
        Op::Edit(_, edits) => Cost {
            duration: edits.iter().map(WorkloadEdit::estimated_duration).sum(),
            is_create: false,
        },
        Op::Delete(_) | Op::Retire(_) | Op::HandOver(_) => Cost::change(2),
        Op::Verify(_) => Cost::CALL,
    }
}

impl Kind for Machine {
    type Spec = MachineSpec;
    type Live = MachineLive;
    type Edit = WorkloadEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);

    fn diff(
        spec: &MachineSpec,
        live: &MachineLive,
        context: &DiffContext<'_>,
    ) -> Diff<WorkloadEdit> {
        let current = &live.workload;
        if let Some(line) = mount_line(spec, live, context) {
            return match node::is_node(current) {
                true => Diff::Blocked(node::volume_blocker(current)),
                false => Diff::Replace(vec![line]),
            };
        }
        if let Some(blocker) = node::version_blocker(&spec.workload, current) {
            return Diff::Blocked(blocker);
        }
        let diff = diff_workload(&spec.workload, current, context, true);
        let mut edits = match diff {
            Diff::Edit(edits) if uses_blue_green(spec, live) && edits.iter().any(is_update) => {
                return Diff::Successor(edits.iter().flat_map(DescribeEdit::lines).collect());
            }
            Diff::Edit(edits) => edits,
            Diff::Same => Vec::new(),
            other => return other,
        };
        // Traces of an interrupted blue-green rollout: the old machine is still cordoned, or a successor never took over.
        // Both are cordoned between the two halves of a hand-over, so a cordoned machine without a successor was cordoned by hand.
        let uncordon = WorkloadEdit::Uncordon {
            interrupted_hand_over: live.successor.is_some(),
        };
        edits.extend(current.health.cordoned.then_some(uncordon));
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

    /// Without an image in the manifest, a new machine gets the image that its app runs, as with `fly scale count`.
    fn resolve_defaults(
        spec: &MachineSpec,
        context: &DiffContext<'_>,
    ) -> Result<MachineSpec, Blocker> {
        let workload = with_default_image(&spec.workload, context)?.with_release(context);
        let workload = with_group_guest(&workload, &spec.group, context);
        Ok(MachineSpec {
            workload,
            ..spec.clone()
        })
    }

    fn creation_lines(spec: &MachineSpec, context: &DiffContext<'_>) -> Vec<DiffLine> {
        let mut lines = spec.workload.creation_lines();
        if spec.volume.is_some() {
            let volume = match wanted_volume(spec, context) {
                WantedVolume::Id(id) => DisplayValue::Value(id.into()),
                WantedVolume::NoVolume | WantedVolume::NotYetCreated => {
                    DisplayValue::KnownAfterApply
                }
            };
            lines.push(DiffLine::new("mounts.volume", None, Some(volume)));
        }
        lines
    }

    fn manual_change(spec: &MachineSpec, live: &MachineLive) -> Option<Blocker> {
        live.workload.stopped_by_hand(&spec.workload)
    }

    fn unavailable(live: &MachineLive) -> Option<Blocker> {
        live.workload.unavailable()
    }

    fn identity(live: &MachineLive) -> String {
        live.workload.id.clone()
    }

    fn describe(live: &MachineLive) -> String {
        let current = &live.workload;
        format!("{}, {}, {}", current.region, current.id, current.state)
    }

    fn cause(spec: &MachineSpec, live: &MachineLive) -> Cause {
        live.workload.cause(&spec.workload)
    }
}

impl RolloutRules for Machine {
    const PHASE: Phase = Phase::Rollout;

    /// A second node that starts before the first one has set up the cluster sets up another one.
    fn creates_serially(spec: &MachineSpec) -> bool {
        spec.workload.labels.contains_key(NODE_LABEL)
    }

    /// A machine is down when its last start was not confirmed (it may be running now, between two crashes), or when it runs
    /// and its checks fail.
    fn is_down(live: &MachineLive) -> bool {
        let current = &live.workload;
        current.is_start_unconfirmed() || current.is_running() && !current.is_healthy()
    }

    fn changes_last(live: &MachineLive) -> bool {
        node::is_primary(&live.workload)
    }

    fn is_unverified(live: &MachineLive) -> bool {
        live.workload.is_unverified()
    }

    fn is_retired(live: &MachineLive) -> bool {
        live.retired
    }

    /// App and process group: `web/app` for `web/app/ewr/0`.
    fn rollout_group(name: &Name) -> Option<RolloutGroup> {
        fly::slot_group(name)
    }

    fn rollout_policy(spec: &MachineSpec) -> RolloutPolicy {
        spec.rollout_policy
    }
}

impl DeletionRules for Machine {
    fn deleted_with(live: &MachineLive) -> Option<Address> {
        live.references().into_iter().next()
    }

    fn deletion_blocker(live: &MachineLive) -> Option<Blocker> {
        node::is_node(&live.workload).then(|| node::removal_blocker(&live.workload))
    }
}

impl OperationRules for Machine {
    fn lease_target(live: &MachineLive) -> Option<LeaseTarget> {
        Some(live.workload.lease_target())
    }

    fn cost(op: &Op<Self>) -> Cost {
        op_cost(op)
    }
}
