//! How a new version comes out, as edges between steps. There is no second engine: a failed step stops what waits for
//! it, and so a bad version stops by itself.
//!
//! ```text
//! rolling     update i waits for update i − m, where m may be unavailable at once
//! canary      all others wait for the first
//! bluegreen   every new one is healthy → they take over, all at once → the old ones go
//! immediate   nothing waits
//! ```

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{Action, Because, Plan, Rollout, Step, order::gate};
use crate::{
    kinds::{AnyOp, Impact, Kind as _, fly::Machine},
    model::{Name, Strategy, Turns},
};

/// The steps of one lane, such as a process group.
#[derive(Debug, Default)]
pub(super) struct LaneSteps {
    /// Whether it is rolled out, so that others wait until it is healthy.
    pub(super) rolls: bool,
    /// How its members take turns.
    pub(super) turns: Turns,
    /// Members that are unavailable for a while: what restarts in place, and old and new ones of a replacement.
    pub(super) members: Vec<Member>,
    /// Updates of machines that sleep.
    pub(super) asleep: Vec<NodeIndex>,
    /// What begins to serve and takes nothing from what serves: creations, and what was hidden.
    pub(super) starts: Vec<NodeIndex>,
    /// New ones that come up beside old ones.
    pub(super) successors: Vec<NodeIndex>,
    /// The step in which all of them take over.
    pub(super) hand_over: Option<NodeIndex>,
    /// Old ones that go once their successors have taken over.
    pub(super) retired: Vec<NodeIndex>,
    /// What the manifest no longer asks for.
    pub(super) ends: Vec<NodeIndex>,
}

/// One member that is unavailable from the beginning of its first step to the end of its last.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    pub(super) first: NodeIndex,
    pub(super) last: NodeIndex,
    /// Whether it is unavailable already.
    pub(super) down: bool,
    /// Whether it refers to another member, and so comes after all that do not.
    pub(super) follows: bool,
}

impl LaneSteps {
    /// The members in the order of their turns: first what is down anyway, and then each region in turn, so that those
    /// that change together are not all in one place.
    pub(super) fn in_order(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.members.iter().collect();
        let split = |member: &Member| {
            let name = member.name.as_str();
            let (place, number) = name.rsplit_once('/').unwrap_or((name, ""));
            (place.to_owned(), number.parse::<u32>().unwrap_or(u32::MAX))
        };
        members.sort_by_cached_key(|member| (split(member), member.name.clone()));
        let class = |member: &Member| (member.follows, !member.down);
        let mut rank: BTreeMap<((bool, bool), String), usize> = BTreeMap::new();
        let mut keyed: Vec<((bool, bool), usize, &Member)> = Vec::with_capacity(members.len());
        for member in members {
            let place = rank.entry((class(member), split(member).0)).or_default();
            keyed.push((class(member), *place, member));
            *place += 1;
        }
        keyed.sort_by_key(|(class, rank, _)| (*class, *rank));
        keyed.into_iter().map(|(_, _, member)| member).collect()
    }

    /// Tells every edge within the lane.
    /// What is early goes before everything else, and not last.
    pub(super) fn edges(
        &self,
        early: &BTreeSet<NodeIndex>,
        add: &mut impl FnMut(NodeIndex, NodeIndex, Because),
    ) {
        let members = self.in_order();
        let together = usize::try_from(self.turns.at_once).unwrap_or(1).max(1);
        let rolled = match self.turns.strategy {
            Strategy::Immediate => &[][..],
            Strategy::Canary => {
                let (first, others) = members.split_at(members.len().min(1));
                for (canary, other) in first
                    .iter()
                    .flat_map(|first| others.iter().map(move |o| (first, o)))
                {
                    add(canary.last, other.first, Because::Healthy);
                }
                // More machines with a version that is not proven would not be a trial.
                for canary in first.iter().filter(|canary| !canary.follows) {
                    self.starts
                        .iter()
                        .for_each(|start| add(canary.last, *start, Because::Healthy));
                }
                others
            }
            Strategy::Rolling | Strategy::BlueGreen => &members[..],
        };
        for (at, member) in rolled.iter().enumerate().skip(together) {
            add(rolled[at - together].last, member.first, Because::InTurn);
        }
        if self.turns.strategy != Strategy::Immediate {
            // A sleeper wakes up with the new version, so that is proven first.
            let leading = members.iter().rev().filter(|member| !member.follows);
            let last: Vec<NodeIndex> = leading.take(together).map(|member| member.last).collect();
            gate(&last, &self.asleep, Because::Healthy, add);
        }
        if let Some(hand_over) = self.hand_over {
            self.successors
                .iter()
                .for_each(|before| add(*before, hand_over, Because::Needs));
            self.retired
                .iter()
                .for_each(|after| add(hand_over, *after, Because::TakesOver));
            // What serves from its first moment would serve beside the old version.
            self.starts
                .iter()
                .for_each(|after| add(hand_over, *after, Because::Healthy));
        }
        let ends: Vec<NodeIndex> = self
            .ends
            .iter()
            .copied()
            .filter(|end| !early.contains(end))
            .collect();
        gate(
            &self.before_the_end(&members, together),
            &ends,
            Because::InTurn,
            add,
        );
    }

    /// What must be done before something goes: until then it serves.
    fn before_the_end(&self, members: &[&Member], together: usize) -> Vec<NodeIndex> {
        // Where nothing waits for its turn, every member is the last.
        let immediate = self.turns.strategy == Strategy::Immediate;
        let last = members
            .iter()
            .rev()
            .take(if immediate { members.len() } else { together });
        let last = last.map(|member| member.last);
        last.chain(self.starts.iter().chain(&self.asleep).copied())
            .chain(self.hand_over)
            .collect()
    }

    /// How the lane comes out, for whoever reads the plan; `None` when nothing in it changes.
    pub(super) fn told(&self) -> Option<Rollout> {
        let (successors, asleep) = (self.successors.len(), self.asleep.len());
        let members: Vec<Name> = self
            .in_order()
            .into_iter()
            .map(|member| member.name.clone())
            .collect();
        let any = !members.is_empty() || successors + asleep > 0;
        (self.rolls && any).then_some(Rollout {
            turns: self.turns,
            members,
            successors,
            asleep,
        })
    }

    /// The steps after which the lane serves what it shall serve.
    pub(super) fn outcome(&self) -> impl Iterator<Item = NodeIndex> {
        let members = self.members.iter().map(|member| member.last);
        let others = self
            .asleep
            .iter()
            .chain(&self.starts)
            .chain(&self.hand_over)
            .copied();
        members.chain(others)
    }
}

impl Plan {
    /// How the groups come out when only the steps that are left run.
    pub(super) fn rollouts_left(&self) -> BTreeMap<Name, Rollout> {
        let machines = || {
            self.steps()
                .filter(|step| matches!(step.op, AnyOp::FlyMachine(_)))
        };
        let names: BTreeSet<&Name> = machines().map(|step| step.address.name()).collect();
        let count = |lane: &Name, fits: &dyn Fn(&Step) -> bool| {
            let inside = |step: &&Step| Machine::lane(step.address.name()).as_ref() == Some(lane);
            machines().filter(|step| fits(step)).filter(inside).count()
        };
        let left = |(lane, rollout): (&Name, &Rollout)| {
            let mut rollout = rollout.clone();
            rollout.members.retain(|name| names.contains(name));
            rollout.successors = count(lane, &|step| step.action == Action::Succeed);
            rollout.asleep = count(lane, &|step| step.impact == Impact::Asleep);
            let any = !rollout.members.is_empty() || rollout.successors + rollout.asleep > 0;
            any.then(|| (lane.clone(), rollout))
        };
        self.rollouts.iter().filter_map(left).collect()
    }
}
