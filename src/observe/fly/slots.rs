//! Assigns live machines to the machine slots of the manifest. A wrong assignment would change or
//! destroy more machines than necessary.

use std::collections::{BTreeMap, BTreeSet};

use super::app_resources::name_in_app;
use crate::{
    kinds::{
        World,
        fly::{
            machine::MachineSpec,
            workload::{WorkloadLive, config::MachineConfig, json_tree},
        },
    },
    model::{Name, Ownership, ResourceMap},
};

/// Assigns the machines of one app to its slots.
///
/// A machine whose metadata names a slot keeps that slot. The remaining slots get the remaining
/// machines of the same group and region, the most similar first. Machines without a slot get a
/// generated name, and so are planned for deletion.
///
/// Of a machine and its successor only one has the slot: the old machine until the new one has
/// taken over. Then the old one is retired and gets a generated name, and so is planned for
/// deletion.
pub(crate) fn assign(
    slots: &ResourceMap<&MachineSpec>,
    machines: Vec<WorkloadLive>,
) -> SlotAssignment {
    let mut assigned: ResourceMap<WorkloadLive> = ResourceMap::new();
    let Generations {
        active,
        waiting,
        retired,
    } = Generations::from_machines(machines);
    // First, machines keep the slot that their metadata names, so that an unchanged manifest moves
    // none. A copied mark names the same slot twice: the older machine comes first and wins.
    let mut remaining = Vec::new();
    for machine in active {
        match machine
            .marked_name()
            .filter(|_| machine.ownership == Ownership::Ours)
        {
            Some(name)
                if fits(slots.get(&name).copied(), &machine) && !assigned.contains_key(&name) =>
            {
                assigned.insert(name, machine);
            }
            _ => remaining.push(machine),
        }
    }
    // Then free slots take the remaining machines of their process group and region, for example
    // machines that flyctl created.
    let mut free_slots: BTreeSet<&Name> = slots
        .keys()
        .filter(|name| !assigned.contains_key(*name))
        .collect();
    let mut groups: BTreeMap<(String, String), Vec<WorkloadLive>> = BTreeMap::new();
    for machine in remaining {
        groups
            .entry((
                machine.process_group().to_owned(),
                machine.region.to_string(),
            ))
            .or_default()
            .push(machine);
    }
    for (_, mut machines) in groups {
        let candidates: Vec<&Name> = free_slots
            .iter()
            .copied()
            .filter(|name| fits(slots.get(*name).copied(), &machines[0]))
            .collect();
        for name in candidates {
            let Some(best) = most_similar(slots[name], &machines) else {
                break;
            };
            assigned.insert(name.clone(), machines.remove(best));
            free_slots.remove(name);
        }
        // More machines than slots: these are planned for deletion under a generated name.
        for machine in machines {
            assigned.insert(name_without_slot(&machine, &assigned, slots), machine);
        }
    }
    // Retired machines come last, so that they cannot take a slot from a machine in service.
    let retired_ids = retired.iter().map(|machine| machine.id.clone()).collect();
    for machine in retired {
        assigned.insert(name_without_slot(&machine, &assigned, slots), machine);
    }
    SlotAssignment {
        machines: assigned,
        successors: waiting,
        retired: retired_ids,
    }
}

/// A warning for each successor that has not taken over, because a run was interrupted.
pub(crate) fn waiting_successor_warnings(world: &World) -> Vec<String> {
    let machines = world.fly_machine.iter();
    let waiting = machines.filter_map(|(name, live)| Some((name, live.successor.as_ref()?)));
    waiting
        .map(|(name, successor)| {
            format!(
                "machine {} waits beside {name}, hidden, to take its place: a rollout stopped; apply goes on with it, or \
                 makes another when something else is asked for",
                successor.id
            )
        })
        .collect()
}

/// The machines of an app by slot, and their waiting successors.
pub(crate) struct SlotAssignment {
    pub(crate) machines: ResourceMap<WorkloadLive>,
    /// By the id of the machine that they will replace.
    pub(crate) successors: BTreeMap<String, WorkloadLive>,
    /// The ids of machines whose successor has taken over.
    pub(crate) retired: BTreeSet<String>,
}

/// The machines of an app by their role in a replacement.
struct Generations {
    /// The machines that can hold a slot, oldest first: if two claim one slot, the younger is a
    /// clone.
    active: Vec<WorkloadLive>,
    /// Successors that have not taken over, by the id of the machine that they will replace.
    waiting: BTreeMap<String, WorkloadLive>,
    /// Machines whose successor has taken over.
    retired: Vec<WorkloadLive>,
}

impl Generations {
    fn from_machines(machines: Vec<WorkloadLive>) -> Self {
        let machines = sort_by_age(machines);
        let ids: BTreeSet<String> = machines.iter().map(|machine| machine.id.clone()).collect();
        // Split the machines into heads of lineages and successors by predecessor. A predecessor that
        // no longer exists does not count.
        let mut successors_of: BTreeMap<String, WorkloadLive> = BTreeMap::new();
        let mut heads = Vec::new();
        let mut generations = Self {
            active: Vec::new(),
            waiting: BTreeMap::new(),
            retired: Vec::new(),
        };
        for machine in machines {
            match machine
                .predecessor_id()
                .filter(|predecessor| ids.contains(*predecessor))
                .map(str::to_owned)
            {
                None => heads.push(machine),
                // A second successor of the same machine is a clone of the first.
                Some(predecessor) if successors_of.contains_key(&predecessor) => {
                    generations.active.push(machine);
                }
                Some(predecessor) => drop(successors_of.insert(predecessor, machine)),
            }
        }
        // Follow each lineage from its head.
        for machine in heads {
            let mut lineage = vec![machine];
            while let Some(successor) = lineage
                .last()
                .and_then(|last| successors_of.remove(&last.id))
            {
                lineage.push(successor);
            }
            generations.place_lineage(lineage);
        }
        // A cycle of successors cannot come from trimtab, so treat these machines as independent.
        generations.active.extend(successors_of.into_values());
        generations
    }

    /// Classifies a chain of machines, each the successor of the one before. The first machine that
    /// is not cordoned holds the slot. If all are cordoned, a hand-over was interrupted before the
    /// last machine took over, and the last but one holds it. The machines before the holder have
    /// retired.
    fn place_lineage(&mut self, mut lineage: Vec<WorkloadLive>) {
        // Fly routes requests to the first uncordoned machine, so that one is in service.
        let first_uncordoned = lineage.iter().position(|machine| !machine.health.cordoned);
        let holder = first_uncordoned.unwrap_or(lineage.len().saturating_sub(2));
        let mut later = lineage.split_off(holder).into_iter();
        self.retired.extend(lineage);
        let Some(machine) = later.next() else { return };
        if let Some(successor) = later.next() {
            self.waiting.insert(machine.id.clone(), successor);
        }
        self.active.push(machine);
        // A third generation, created before the second had taken over.
        self.active.extend(later);
    }
}

fn sort_by_age(mut machines: Vec<WorkloadLive>) -> Vec<WorkloadLive> {
    machines.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    machines
}

/// Whether a machine can fill a slot: a machine never changes its region or process group.
fn fits(slot: Option<&MachineSpec>, machine: &WorkloadLive) -> bool {
    slot.is_some_and(|slot| {
        slot.group == machine.process_group() && slot.workload.region == machine.region
    })
}

/// The index of the machine that differs least from the slot; the lowest id breaks ties.
fn most_similar(slot: &MachineSpec, machines: &[WorkloadLive]) -> Option<usize> {
    let to_json = |config: &MachineConfig| serde_json::to_value(config).unwrap_or_default();
    let desired = to_json(&slot.workload.config);
    let distance = |machine: &WorkloadLive| {
        let volume_mismatch = slot.volume.is_some() == machine.config.mounts.is_empty();
        // A missing or superfluous volume forces a replacement, so it weighs most.
        (
            volume_mismatch,
            !machine.health.host_ok,
            json_tree::diff(&desired, &to_json(&machine.config)).len(),
            machine.id.clone(),
        )
    };
    (0..machines.len()).min_by_key(|&index| distance(&machines[index]))
}

/// The name of a machine without a slot: the one in its metadata if that is free, else one that
/// contains its id.
fn name_without_slot(
    machine: &WorkloadLive,
    taken: &ResourceMap<WorkloadLive>,
    slots: &ResourceMap<&MachineSpec>,
) -> Name {
    let recorded = machine
        .marked_name()
        .filter(|_| machine.ownership == Ownership::Ours);
    let recorded = recorded.filter(|name| !taken.contains_key(name) && !slots.contains_key(name));
    let recorded = recorded.filter(|name| name.root() == *machine.app.name());
    recorded.unwrap_or_else(|| {
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

    /// A machine with this id, whether it is cordoned, and the id of its predecessor.
    fn machine((id, cordoned, succeeds): (&str, bool, &str)) -> WorkloadLive {
        let metadata = match succeeds {
            "" => serde_json::json!({}),
            predecessor => serde_json::json!({ OwnershipMark::SUCCEEDS_KEY: predecessor }),
        };
        let machine = wire::MachineResponse {
            id: id.to_owned(),
            created_at: id.to_owned(),
            cordoned,
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

    /// The ids of active, waiting and retired machines, oldest first.
    fn classify(machines: &[(&str, bool, &str)]) -> String {
        let Generations {
            active,
            waiting,
            retired,
        } = Generations::from_machines(machines.iter().copied().map(machine).collect());
        let ids = |machines: &[WorkloadLive]| {
            machines
                .iter()
                .map(|machine| machine.id.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let waiting: Vec<_> = waiting
            .iter()
            .map(|(predecessor, new)| format!("{}>{predecessor}", new.id))
            .collect();
        format!(
            "{} | {} | {}",
            ids(&active),
            waiting.join(" "),
            ids(&retired)
        )
    }

    #[test]
    fn interrupted_hand_over_leaves_one_machine_per_slot() {
        type Machines = &'static [(&'static str, bool, &'static str)];
        let cases: [(Machines, &str); 9] = [
            (&[("a", false, "")], "a |  | "),
            (&[("a", true, "")], "a |  | "),
            // A successor waits; both are cordoned; the successor has taken over.
            (&[("a", false, ""), ("b", true, "a")], "a | b>a | "),
            (&[("a", true, ""), ("b", true, "a")], "a | b>a | "),
            (&[("a", true, ""), ("b", false, "a")], "b |  | a"),
            // A second replacement before the first machine was deleted.
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
            // The predecessor is gone; a second successor of one machine is a clone.
            (
                &[("b", false, "a"), ("c", true, "b"), ("d", true, "b")],
                "d b | c>b | ",
            ),
        ];
        for (machines, expected) in cases {
            assert_eq!(classify(machines), expected, "{machines:?}");
        }
    }

    #[test]
    fn cyclic_predecessor_marks_lose_no_machine() {
        assert_eq!(
            classify(&[("a", false, "b"), ("b", false, "a")]),
            "b a |  | "
        );
    }
}
