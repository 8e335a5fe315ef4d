//! Which live machine is which slot of the manifest. A wrong match would change, or destroy, more than it has to.

use std::collections::{BTreeMap, BTreeSet};

use super::app_resources::name_in_app;
use crate::{
    kinds::fly::{
        machine::MachineSpec,
        workload::{WorkloadLive, config::MachineConfig, json_tree},
    },
    model::{Name, Ownership, ResourceMap},
};

/// Matches the machines of one app to its slots.
///
/// A machine that remembers its slot keeps it. The slots that are left take the machines that are left in the same group
/// and region, the most alike first. What remains has no slot, and gets a name of its own.
///
/// Of a machine and its successor one has the slot: the old one until the new one has taken over. Then the old one has a
/// name of its own, and so is planned to go.
pub(crate) fn assign(
    slots: &ResourceMap<&MachineSpec>,
    machines: Vec<WorkloadLive>,
) -> SlotAssignment {
    let mut assigned: ResourceMap<WorkloadLive> = ResourceMap::new();
    let Generations {
        active: there,
        waiting,
        retired,
    } = Generations::from_machines(machines);
    let mut rest = Vec::new();
    for machine in there {
        match machine
            .marked_name()
            .filter(|_| machine.ownership == Ownership::Ours)
        {
            Some(name)
                if fits(slots.get(&name).copied(), &machine) && !assigned.contains_key(&name) =>
            {
                assigned.insert(name, machine);
            }
            _ => rest.push(machine),
        }
    }
    let mut free: BTreeSet<&Name> = slots
        .keys()
        .filter(|name| !assigned.contains_key(*name))
        .collect();
    let mut groups: BTreeMap<(String, String), Vec<WorkloadLive>> = BTreeMap::new();
    for machine in rest {
        groups
            .entry((
                machine.process_group().to_owned(),
                machine.region.to_string(),
            ))
            .or_default()
            .push(machine);
    }
    for (_, mut machines) in groups {
        let here: Vec<&Name> = free
            .iter()
            .copied()
            .filter(|name| fits(slots.get(*name).copied(), &machines[0]))
            .collect();
        for name in here {
            let Some(best) = most_similar(slots[name], &machines) else {
                break;
            };
            assigned.insert(name.clone(), machines.remove(best));
            free.remove(name);
        }
        for machine in machines {
            assigned.insert(name_without_slot(&machine, &assigned, slots), machine);
        }
    }
    let gone = retired.iter().map(|machine| machine.id.clone()).collect();
    for machine in retired {
        assigned.insert(name_without_slot(&machine, &assigned, slots), machine);
    }
    SlotAssignment {
        machines: assigned,
        successors: waiting,
        retired: gone,
    }
}

/// The machines of an app by slot, and those that wait to take over.
pub(crate) struct SlotAssignment {
    pub(crate) machines: ResourceMap<WorkloadLive>,
    /// By the id of the machine whose place they are to take.
    pub(crate) successors: BTreeMap<String, WorkloadLive>,
    /// The ids of those whose successor has taken over.
    pub(crate) retired: BTreeSet<String>,
}

/// The generations of machines while one takes over from another.
struct Generations {
    /// Those that have their slots, the older ones first: where two claim one slot, the other is a clone.
    active: Vec<WorkloadLive>,
    /// Those that wait, by the id of the machine whose place they are to take.
    waiting: BTreeMap<String, WorkloadLive>,
    /// Those whose successor has taken over.
    retired: Vec<WorkloadLive>,
}

impl Generations {
    fn from_machines(machines: Vec<WorkloadLive>) -> Self {
        let machines = sort_by_age(machines);
        let ids: BTreeSet<String> = machines.iter().map(|machine| machine.id.clone()).collect();
        let mut next: BTreeMap<String, WorkloadLive> = BTreeMap::new();
        let mut first = Vec::new();
        let mut generations = Self {
            active: Vec::new(),
            waiting: BTreeMap::new(),
            retired: Vec::new(),
        };
        for machine in machines {
            match machine
                .predecessor_id()
                .filter(|old| ids.contains(*old))
                .map(str::to_owned)
            {
                None => first.push(machine),
                // Of two that claim one place, the other is a clone.
                Some(old) if next.contains_key(&old) => generations.active.push(machine),
                Some(old) => drop(next.insert(old, machine)),
            }
        }
        for machine in first {
            let mut line = vec![machine];
            while let Some(successor) = line.last().and_then(|last| next.remove(&last.id)) {
                line.push(successor);
            }
            generations.place_lineage(line);
        }
        // Machines that claim to succeed each other in a circle were marked by somebody else.
        generations.active.extend(next.into_values());
        generations
    }

    /// Places a line of machines of which each was to take the place of the one before. The first that is shown has the
    /// slot; when none is, a hand-over was cut off, and the last but one has it. Those before have retired.
    fn place_lineage(&mut self, mut line: Vec<WorkloadLive>) {
        let shown = line.iter().position(|machine| !machine.health.cordoned);
        let holder = shown.unwrap_or(line.len().saturating_sub(2));
        let mut later = line.split_off(holder).into_iter();
        self.retired.extend(line);
        let Some(machine) = later.next() else { return };
        if let Some(successor) = later.next() {
            self.waiting.insert(machine.id.clone(), successor);
        }
        self.active.push(machine);
        // A third generation that was begun before the second had taken over.
        self.active.extend(later);
    }
}

fn sort_by_age(mut machines: Vec<WorkloadLive>) -> Vec<WorkloadLive> {
    machines.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    machines
}

/// Whether a machine can be this slot at all: a machine never moves and never changes its group.
fn fits(slot: Option<&MachineSpec>, machine: &WorkloadLive) -> bool {
    slot.is_some_and(|slot| {
        slot.group == machine.process_group() && slot.workload.region == machine.region
    })
}

/// The machine that differs least from the slot; among equals the one with the lower id.
fn most_similar(slot: &MachineSpec, machines: &[WorkloadLive]) -> Option<usize> {
    let value = |config: &MachineConfig| serde_json::to_value(config).unwrap_or_default();
    let wanted = value(&slot.workload.config);
    let distance = |machine: &WorkloadLive| {
        let volume = slot.volume.is_some() == machine.config.mounts.is_empty();
        (
            volume,
            !machine.health.host_ok,
            json_tree::diff(&wanted, &value(&machine.config)).len(),
            machine.id.clone(),
        )
    };
    (0..machines.len()).min_by_key(|&at| distance(&machines[at]))
}

/// A name for a machine without a slot: its own mark's when that is free, else one that holds its id.
fn name_without_slot(
    machine: &WorkloadLive,
    taken: &ResourceMap<WorkloadLive>,
    slots: &ResourceMap<&MachineSpec>,
) -> Name {
    let marked = machine
        .marked_name()
        .filter(|_| machine.ownership == Ownership::Ours);
    let marked = marked.filter(|name| !taken.contains_key(name) && !slots.contains_key(name));
    let marked = marked.filter(|name| name.root() == *machine.app.name());
    marked.unwrap_or_else(|| {
        name_in_app(
            machine.app.name(),
            &[
                machine.process_group(),
                machine.region.as_str(),
                &machine.id,
            ],
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clouds::fly::wire,
        kinds::fly::App,
        model::{OwnershipMark, ResourceRef},
    };

    /// A machine by its id, whether it is hidden, and whose place it is to take.
    fn machine((id, hidden, succeeds): (&str, bool, &str)) -> WorkloadLive {
        let metadata = match succeeds {
            "" => serde_json::json!({}),
            old => serde_json::json!({ OwnershipMark::SUCCEEDS_KEY: old }),
        };
        let machine = wire::MachineResponse {
            id: id.to_owned(),
            created_at: id.to_owned(),
            cordoned: hidden,
            config: serde_json::json!({ "metadata": metadata }),
            ..wire::MachineResponse::default()
        };
        let mark = OwnershipMark {
            project: "p".into(),
            environment: "e".into(),
        };
        WorkloadLive::from_wire(
            &ResourceRef::<App>::new(Name::parse("web").unwrap()),
            &machine,
            &mark,
        )
        .unwrap()
    }

    /// Who has a slot, who waits, who has retired, with whoever comes first first.
    fn placed(machines: &[(&str, bool, &str)]) -> String {
        let Generations {
            active: there,
            waiting,
            retired,
        } = Generations::from_machines(machines.iter().copied().map(machine).collect());
        let ids = |all: &[WorkloadLive]| {
            all.iter()
                .map(|one| one.id.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let waiting: Vec<_> = waiting
            .iter()
            .map(|(old, new)| format!("{}>{old}", new.id))
            .collect();
        format!(
            "{} | {} | {}",
            ids(&there),
            waiting.join(" "),
            ids(&retired)
        )
    }

    #[test]
    fn one_generation_has_the_slot_wherever_a_hand_over_was_cut_off() {
        type Machines = &'static [(&'static str, bool, &'static str)];
        let cases: [(Machines, &str); 9] = [
            (&[("a", false, "")], "a |  | "),
            (&[("a", true, "")], "a |  | "),
            // A successor waits, both are hidden, it has taken over.
            (&[("a", false, ""), ("b", true, "a")], "a | b>a | "),
            (&[("a", true, ""), ("b", true, "a")], "a | b>a | "),
            (&[("a", true, ""), ("b", false, "a")], "b |  | a"),
            // The same once more, before the first had gone.
            (
                &[("a", true, ""), ("b", false, "a"), ("c", true, "b")],
                "b | c>b | a",
            ),
            (
                &[("a", true, ""), ("b", true, "a"), ("c", true, "b")],
                "b | c>b | a",
            ),
            (
                &[("a", true, ""), ("b", true, "a"), ("c", false, "b")],
                "c |  | a b",
            ),
            // Whom it succeeded is gone; a second that claims the same place is a clone.
            (
                &[("b", false, "a"), ("c", true, "b"), ("d", true, "b")],
                "d b | c>b | ",
            ),
        ];
        for (machines, expected) in cases {
            assert_eq!(placed(machines), expected, "{machines:?}");
        }
    }

    #[test]
    fn marks_in_a_circle_lose_no_machine() {
        assert_eq!(placed(&[("a", false, "b"), ("b", false, "a")]), "b a |  | ");
    }
}
