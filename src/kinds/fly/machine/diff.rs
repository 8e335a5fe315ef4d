//! What of a machine changes in place, and what only a new machine can give: another volume, or none.

use super::{Machine, MachineLive, MachineSpec};
use crate::{
    kinds::{
        Announce, Around, Cause, Diff, Kind, Lane, Leased, Op, Phase, Refers, Refused, Takes,
        fly::workload::{WorkloadEdit, WorkloadLive, compare, with_image},
    },
    model::{Address, Line, Mark, Name, Shown, Strategy, Turns},
};

/// The volume that a spec's mount comes to: known, still to be made, or none.
enum Wanted<'a> {
    Nothing,
    Unborn,
    Id(&'a str),
}

fn wanted<'a>(spec: &MachineSpec, around: &'a Around<'_>) -> Wanted<'a> {
    match &spec.volume {
        None => Wanted::Nothing,
        Some(volume) if around.gone.contains(&volume.address()) => Wanted::Unborn,
        Some(volume) => around
            .world
            .fly_volume
            .get(volume.name())
            .map_or(Wanted::Unborn, |live| Wanted::Id(live.id.as_str())),
    }
}

/// The line that says why the mount needs a new machine.
fn mount_line(spec: &MachineSpec, live: &MachineLive, around: &Around<'_>) -> Option<Line> {
    let there = live.volume.as_ref().map(|(id, _)| id.as_str());
    let to = match (wanted(spec, around), there) {
        (Wanted::Nothing, None) => return None,
        (Wanted::Id(id), Some(there)) if id == there => return None,
        (Wanted::Nothing, Some(_)) => None,
        (Wanted::Id(id), _) => Some(Shown::Value(id.into())),
        (Wanted::Unborn, _) => Some(Shown::KnownAfterApply),
    };
    let from = there.map(|id| Shown::Value(id.into()));
    Some(
        Line::new("mounts.volume", from, to)
            .with_note("a volume is attached when a machine is made")
            .forcing(),
    )
}

/// Whether a new version comes up beside the old one. What nobody sends requests to cannot be handed over, and a volume
/// is held by one machine only.
fn has_successors(spec: &MachineSpec, live: &MachineLive) -> bool {
    let blue_green = spec.turns.strategy == Strategy::BlueGreen;
    blue_green
        && !spec.workload.config.services.is_empty()
        && spec.volume.is_none()
        && live.volume.is_none()
}

fn is_update(edit: &WorkloadEdit) -> bool {
    matches!(edit, WorkloadEdit::Update(_))
}

/// How long a machine takes, by what its configuration says of its start.
fn takes(op: &Op<Machine>) -> Takes {
    let start = |spec: &MachineSpec| spec.workload.start_secs();
    match op {
        Op::Create(spec) | Op::Succeed(spec, _) => Takes {
            secs: 2 + start(spec),
            makes: true,
        },
        Op::Edit(_, edits) => Takes {
            secs: edits.iter().map(WorkloadEdit::secs).sum(),
            makes: false,
        },
        Op::Delete(_) | Op::Retire(_) => Takes {
            secs: 3,
            makes: false,
        },
        Op::HandOver(_) => Takes {
            secs: 2,
            makes: false,
        },
        Op::Prove(_) => Takes::A_CALL,
    }
}

impl Kind for Machine {
    type Spec = MachineSpec;
    type Live = MachineLive;
    type Edit = WorkloadEdit;

    const PHASE: Phase = Phase::Rollout;

    fn diff(spec: &MachineSpec, live: &MachineLive, around: &Around<'_>) -> Diff<WorkloadEdit> {
        let there = &live.workload;
        if let Some(line) = mount_line(spec, live, around) {
            return Diff::Replace(vec![line]);
        }
        let diff = compare(&spec.workload, there, around, true);
        let mut edits = match diff {
            Diff::Edit(edits) if has_successors(spec, live) && edits.iter().any(is_update) => {
                return Diff::Succeed(edits.iter().flat_map(Announce::lines).collect());
            }
            Diff::Edit(edits) => edits,
            Diff::Same => Vec::new(),
            other => return other,
        };
        edits.extend(there.health.cordoned.then_some(WorkloadEdit::Uncordon));
        let discard = |green: &WorkloadLive| WorkloadEdit::Discard {
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
    fn complete(spec: &MachineSpec, around: &Around<'_>) -> Result<MachineSpec, Refused> {
        let workload = with_image(&spec.workload, around)?.released(around);
        Ok(MachineSpec {
            workload,
            ..spec.clone()
        })
    }

    fn outline(spec: &MachineSpec, around: &Around<'_>) -> Vec<Line> {
        let mut lines = spec.workload.outline();
        if spec.volume.is_some() {
            let volume = match wanted(spec, around) {
                Wanted::Id(id) => Shown::Value(id.into()),
                Wanted::Nothing | Wanted::Unborn => Shown::KnownAfterApply,
            };
            lines.push(Line::new("mounts.volume", None, Some(volume)));
        }
        lines
    }

    fn held(live: &MachineLive) -> Option<Refused> {
        live.workload.held()
    }

    /// One whose last start nobody saw succeed (even if it runs now, its program may be crashing again and again), and one
    /// that should serve and does not.
    fn is_down(live: &MachineLive) -> bool {
        let there = &live.workload;
        there.is_unproven() || there.runs() && !there.is_well()
    }

    fn is_unverified(live: &MachineLive) -> bool {
        live.workload.metadata.contains_key(Mark::UNVERIFIED)
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

    fn lease(live: &MachineLive) -> Option<Leased> {
        Some(live.workload.lease())
    }

    fn cause(spec: &MachineSpec, live: &MachineLive) -> Cause {
        live.workload.cause(&spec.workload)
    }

    fn goes_with(live: &MachineLive) -> Option<Address> {
        live.refs().into_iter().next()
    }

    /// App and process group: `web/app` for `web/app/ewr/0`.
    fn lane(name: &Name) -> Option<Lane> {
        Name::parse(&name.parts().take(2).collect::<Vec<_>>().join("/")).ok()
    }

    fn turns(spec: &MachineSpec) -> Turns {
        spec.turns
    }

    fn takes(op: &Op<Self>) -> Takes {
        takes(op)
    }
}
