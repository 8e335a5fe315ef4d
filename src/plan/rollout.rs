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

use super::{Action, EdgeReason, GroupRollout, Plan, Step, order::add_barrier};
use crate::{
    kinds::{AnyOp, Impact, Kind as _, fly::Machine},
    model::{Name, RolloutPolicy, RolloutStrategy},
};

/// The steps of one lane, such as a process group.
#[derive(Debug, Default)]
pub(super) struct GroupSteps {
    /// Whether it is rolled out, so that others wait until it is healthy.
    pub(super) is_rollout: bool,
    /// How its members take turns.
    pub(super) policy: RolloutPolicy,
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
    pub(super) deletes: Vec<NodeIndex>,
}

/// One member that is unavailable from the beginning of its first step to the end of its last.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    pub(super) first: NodeIndex,
    pub(super) last: NodeIndex,
    /// Whether it is unavailable already.
    pub(super) is_down: bool,
    /// Whether it refers to another member, and so comes after all that do not.
    pub(super) follows_member: bool,
}

impl GroupSteps {
    /// The members in the order of their turns: first what is down anyway, and then each region in turn, so that those
    /// that change together are not all in one place.
    pub(super) fn members_in_order(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.members.iter().collect();
        let split = |member: &Member| {
            let name = member.name.as_str();
            let (place, number) = name.rsplit_once('/').unwrap_or((name, ""));
            (place.to_owned(), number.parse::<u32>().unwrap_or(u32::MAX))
        };
        members.sort_by_cached_key(|member| (split(member), member.name.clone()));
        let class = |member: &Member| (member.follows_member, !member.is_down);
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
    pub(super) fn add_edges(
        &self,
        early: &BTreeSet<NodeIndex>,
        add: &mut impl FnMut(NodeIndex, NodeIndex, EdgeReason),
    ) {
        let members = self.members_in_order();
        let together = usize::try_from(self.policy.at_once).unwrap_or(1).max(1);
        let rolled = match self.policy.strategy {
            RolloutStrategy::Immediate => &[][..],
            RolloutStrategy::Canary => {
                let (first, others) = members.split_at(members.len().min(1));
                for (canary, other) in first
                    .iter()
                    .flat_map(|first| others.iter().map(move |o| (first, o)))
                {
                    add(canary.last, other.first, EdgeReason::Healthy);
                }
                // More machines with a version that is not proven would not be a trial.
                for canary in first.iter().filter(|canary| !canary.follows_member) {
                    self.starts
                        .iter()
                        .for_each(|start| add(canary.last, *start, EdgeReason::Healthy));
                }
                others
            }
            RolloutStrategy::Rolling | RolloutStrategy::BlueGreen => &members[..],
        };
        for (at, member) in rolled.iter().enumerate().skip(together) {
            add(rolled[at - together].last, member.first, EdgeReason::InTurn);
        }
        if self.policy.strategy != RolloutStrategy::Immediate {
            // A sleeper wakes up with the new version, so that is proven first.
            let leading = members.iter().rev().filter(|member| !member.follows_member);
            let last: Vec<NodeIndex> = leading.take(together).map(|member| member.last).collect();
            add_barrier(&last, &self.asleep, EdgeReason::Healthy, add);
        }
        if let Some(hand_over) = self.hand_over {
            self.successors
                .iter()
                .for_each(|before| add(*before, hand_over, EdgeReason::Needs));
            self.retired
                .iter()
                .for_each(|after| add(hand_over, *after, EdgeReason::TakesOver));
            // What serves from its first moment would serve beside the old version.
            self.starts
                .iter()
                .for_each(|after| add(hand_over, *after, EdgeReason::Healthy));
        }
        let ends: Vec<NodeIndex> = self
            .deletes
            .iter()
            .copied()
            .filter(|end| !early.contains(end))
            .collect();
        add_barrier(
            &self.before_deletes(&members, together),
            &ends,
            EdgeReason::InTurn,
            add,
        );
    }

    /// What must be done before something goes: until then it serves.
    fn before_deletes(&self, members: &[&Member], together: usize) -> Vec<NodeIndex> {
        // Where nothing waits for its turn, every member is the last.
        let immediate = self.policy.strategy == RolloutStrategy::Immediate;
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
    pub(super) fn to_rollout(&self) -> Option<GroupRollout> {
        let (successors, asleep) = (self.successors.len(), self.asleep.len());
        let members: Vec<Name> = self
            .members_in_order()
            .into_iter()
            .map(|member| member.name.clone())
            .collect();
        let any = !members.is_empty() || successors + asleep > 0;
        (self.is_rollout && any).then_some(GroupRollout {
            turns: self.policy,
            members,
            successors,
            asleep,
        })
    }

    /// The steps after which the lane serves what it shall serve.
    pub(super) fn final_steps(&self) -> impl Iterator<Item = NodeIndex> {
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
    pub(super) fn remaining_rollouts(&self) -> BTreeMap<Name, GroupRollout> {
        let machines = || {
            self.steps()
                .filter(|step| matches!(step.op, AnyOp::FlyMachine(_)))
        };
        let names: BTreeSet<&Name> = machines().map(|step| step.address.name()).collect();
        let count = |lane: &Name, fits: &dyn Fn(&Step) -> bool| {
            let inside =
                |step: &&Step| Machine::rollout_group(step.address.name()).as_ref() == Some(lane);
            machines().filter(|step| fits(step)).filter(inside).count()
        };
        let left = |(lane, rollout): (&Name, &GroupRollout)| {
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
