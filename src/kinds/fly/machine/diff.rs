//! What of a machine changes in place, and what only a new machine can give: another volume, or none.

use super::{Machine, MachineLive, MachineSpec};
use crate::{
    kinds::{
        Around, Cause, Diff, Kind, Lane, Refers, Refused,
        fly::workload::{WorkloadEdit, compare, with_image},
    },
    model::{Address, Line, Name, Shown},
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

impl Kind for Machine {
    type Spec = MachineSpec;
    type Live = MachineLive;
    type Edit = WorkloadEdit;

    fn diff(spec: &MachineSpec, live: &MachineLive, around: &Around<'_>) -> Diff<WorkloadEdit> {
        let there = &live.workload;
        if let Some(line) = mount_line(spec, live, around) {
            return Diff::Replace(vec![line]);
        }
        compare(&spec.workload, there, around, true)
    }

    /// A new machine of an app that runs takes the image that runs, as scaling does.
    fn complete(spec: &MachineSpec, around: &Around<'_>) -> Result<MachineSpec, Refused> {
        Ok(MachineSpec { workload: with_image(&spec.workload, around)?, ..spec.clone() })
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

    fn identity(live: &MachineLive) -> String {
        live.workload.id.clone()
    }

    fn describe(live: &MachineLive) -> String {
        let there = &live.workload;
        format!("{}, {}, {}", there.region, there.id, there.state)
    }

    fn cause(spec: &MachineSpec, live: &MachineLive) -> Cause {
        live.workload.cause(&spec.workload)
    }

    fn goes_with(live: &MachineLive) -> Option<Address> {
        live.refs().into_iter().next()
    }

    /// App and process group: `web/app` for `web/app/ewr/0`.
    fn lane(name: &Name) -> Option<Lane> {
        Some(name.parts().take(2).collect::<Vec<_>>().join("/"))
    }
}
