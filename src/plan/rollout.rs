//! The rollout strategies, expressed as edges between steps. There is no separate rollout engine: a failed step stops every
//! step that waits for it, and so a bad version stops by itself.
//!
//! ```text
//! rolling     update i waits until update i − m is healthy; m machines may be unavailable at once
//! canary      all others wait until the first is healthy, and then proceed as in rolling
//! bluegreen   all new machines healthy → traffic is switched, all at once → old machines are deleted
//! immediate   nothing waits
//! ```

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{Action, EdgeReason, GroupRollout, Plan, Step, order::add_barrier};
use crate::{
    kinds::Impact,
    model::{Name, RolloutPolicy, RolloutStrategy},
};

/// The steps of one rollout group, such as a process group, sorted by what they do to its capacity.
#[derive(Debug, Default)]
pub(super) struct GroupSteps {
    /// Whether other steps wait until the group is healthy. Volumes have groups too, but nothing waits for their health.
    pub(super) is_rollout: bool,
    /// In which order, and how many at once, the members change.
    pub(super) policy: RolloutPolicy,
    /// Members that are unavailable while they change: restarts in place, and replacements.
    pub(super) members: Vec<Member>,
    /// Updates of stopped machines.
    pub(super) asleep: Vec<NodeIndex>,
    /// Steps that add capacity and take none away: creations, and cordoned machines that serve again.
    pub(super) starts: Vec<NodeIndex>,
    /// Blue-green: creations of the new machines.
    pub(super) successors: Vec<NodeIndex>,
    /// Blue-green: the step that switches traffic to them.
    pub(super) hand_over: Option<NodeIndex>,
    /// Blue-green: deletions of the old machines.
    pub(super) retired: Vec<NodeIndex>,
    /// Deletions of machines that the manifest no longer asks for.
    pub(super) deletes: Vec<NodeIndex>,
}

/// A member that is unavailable from the start of its first step to the end of its last. A replacement has two steps, an
/// update one.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    pub(super) first: NodeIndex,
    pub(super) last: NodeIndex,
    /// Whether it is unavailable before the rollout.
    pub(super) is_down: bool,
    /// Whether it does not exist before.
    pub(super) is_new: bool,
    /// Whether it changes after the others, as the primary of a database cluster does.
    pub(super) changes_last: bool,
    /// Whether it refers to another member, as a standby machine does. It changes after all that do not.
    pub(super) follows_member: bool,
}

impl Member {
    /// A member that is up before the rollout and refers to no other.
    pub(super) fn new(name: &Name, first: NodeIndex, last: NodeIndex) -> Self {
        Self {
            name: name.clone(),
            first,
            last,
            is_down: false,
            is_new: false,
            changes_last: false,
            follows_member: false,
        }
    }
}

impl GroupSteps {
    /// The members in the order in which they change.
    ///
    /// Machines that are down come first, because changing them costs no capacity. The others alternate between regions, so
    /// that machines that change at the same time are not all in one region.
    pub(super) fn members_in_order(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.members.iter().collect();
        // `web/app/ewr/10` has the prefix `web/app/ewr` and the number 10; by number, 10 comes after 9.
        let split = |member: &Member| {
            let name = member.name.as_str();
            let (prefix, number) = name.rsplit_once('/').unwrap_or((name, ""));
            (prefix.to_owned(), number.parse::<u32>().unwrap_or(u32::MAX))
        };
        members.sort_by_cached_key(|member| (split(member), member.name.clone()));
        // Members that refer to others come after all others, even when they are down.
        let class = |member: &Member| {
            let Member {
                follows_member,
                changes_last,
                is_down,
                ..
            } = member;
            (*follows_member, *changes_last, !*is_down)
        };
        // Each member gets its rank within its region: all first machines come before all second ones.
        let mut next_ranks: BTreeMap<((bool, bool, bool), String), usize> = BTreeMap::new();
        let mut keyed: Vec<((bool, bool, bool), usize, &Member)> =
            Vec::with_capacity(members.len());
        for member in members {
            let rank = next_ranks
                .entry((class(member), split(member).0))
                .or_default();
            keyed.push((class(member), *rank, member));
            *rank += 1;
        }
        // The sort is stable: members of one rank stay in order of region.
        keyed.sort_by_key(|(class, rank, _)| (*class, *rank));
        keyed.into_iter().map(|(_, _, member)| member).collect()
    }

    /// Adds all edges within the group.
    ///
    /// `early` holds the deletions that must run before the creations, see `early_deletes` in `order.rs`.
    pub(super) fn add_edges(
        &self,
        early: &BTreeSet<NodeIndex>,
        add: &mut impl FnMut(NodeIndex, NodeIndex, EdgeReason),
    ) {
        let members = self.members_in_order();
        let at_once = usize::try_from(self.policy.at_once).unwrap_or(1).max(1);
        let rolling = match self.policy.strategy {
            RolloutStrategy::Immediate => &[][..],
            RolloutStrategy::Canary => {
                let (first, others) = members.split_at(members.len().min(1));
                for (canary, other) in first
                    .iter()
                    .flat_map(|first| others.iter().map(move |o| (first, o)))
                {
                    add(canary.last, other.first, EdgeReason::Healthy);
                }
                // A canary tries the version on one machine, so additional machines must not start with it before. A canary
                // that follows another member is none: it changes late, and creations would wait for the whole group.
                for canary in first.iter().filter(|canary| !canary.follows_member) {
                    self.starts
                        .iter()
                        .for_each(|start| add(canary.last, *start, EdgeReason::Healthy));
                }
                others
            }
            RolloutStrategy::Rolling | RolloutStrategy::BlueGreen => &members[..],
        };
        // A sliding window: member i waits for member i − m, so that at most m are unavailable at any time, and a fast
        // machine does not wait for a slow one of the same batch.
        for (index, member) in rolling.iter().enumerate().skip(at_once) {
            add(
                rolling[index - at_once].last,
                member.first,
                EdgeReason::InTurn,
            );
        }
        if self.policy.strategy != RolloutStrategy::Immediate {
            // A stopped machine is updated without being started, and so without a check. The proxy may start it at any
            // time, so the version must have proven healthy on running machines first.
            let leading = members.iter().rev().filter(|member| !member.follows_member);
            let last: Vec<NodeIndex> = leading.take(at_once).map(|member| member.last).collect();
            add_barrier(&last, &self.asleep, EdgeReason::Healthy, add);
        }
        // Blue-green: traffic is switched once, when all new machines are healthy.
        if let Some(hand_over) = self.hand_over {
            self.successors
                .iter()
                .for_each(|before| add(*before, hand_over, EdgeReason::Needs));
            self.retired
                .iter()
                .for_each(|after| add(hand_over, *after, EdgeReason::TakesOver));
            // An additional machine serves as soon as it starts. Before the switch it would serve the new version beside
            // the old one.
            self.starts
                .iter()
                .for_each(|after| add(hand_over, *after, EdgeReason::Healthy));
        }
        // Surplus machines go last, so that they serve while the others restart.
        let deletes: Vec<NodeIndex> = self
            .deletes
            .iter()
            .copied()
            .filter(|end| !early.contains(end))
            .collect();
        add_barrier(
            &self.before_deletes(&members, at_once),
            &deletes,
            EdgeReason::InTurn,
            add,
        );
    }

    /// The steps that surplus machines wait for: the last of the members, everything that adds capacity, and the switch.
    fn before_deletes(&self, members: &[&Member], at_once: usize) -> Vec<NodeIndex> {
        // The last `at_once` members wait for all others by the sliding window. Without a window, all members count.
        let immediate = self.policy.strategy == RolloutStrategy::Immediate;
        let last = members
            .iter()
            .rev()
            .take(if immediate { members.len() } else { at_once });
        let last = last.map(|member| member.last);
        last.chain(self.starts.iter().chain(&self.asleep).copied())
            .chain(self.hand_over)
            .collect()
    }

    /// The rollout of this group as the plan reports it; `None` when no member changes.
    pub(super) fn to_rollout(&self) -> Option<GroupRollout> {
        let (successors, asleep) = (self.successors.len(), self.asleep.len());
        let members: Vec<Name> = self
            .members_in_order()
            .into_iter()
            .filter(|member| !member.is_new)
            .map(|member| member.name.clone())
            .collect();
        let any = !members.is_empty() || successors + asleep > 0;
        (self.is_rollout && any).then_some(GroupRollout {
            policy: self.policy,
            members,
            successors,
            asleep,
        })
    }

    /// The steps after which the group serves the new version with full capacity.
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
    /// The rollouts after [`Plan::only`] has removed steps.
    pub(super) fn remaining_rollouts(&self) -> BTreeMap<Name, GroupRollout> {
        let members = || self.steps().filter(|step| step.rollout_group.is_some());
        let names: BTreeSet<&Name> = members().map(|step| step.address.name()).collect();
        let count = |group: &Name, fits: &dyn Fn(&Step) -> bool| {
            let inside = |step: &&Step| step.rollout_group.as_ref() == Some(group);
            members().filter(|step| fits(step)).filter(inside).count()
        };
        let left = |(group, rollout): (&Name, &GroupRollout)| {
            let mut rollout = rollout.clone();
            rollout.members.retain(|name| names.contains(name));
            rollout.successors = count(group, &|step| step.action == Action::CreateSuccessor);
            rollout.asleep = count(group, &|step| step.impact == Impact::Asleep);
            let any = !rollout.members.is_empty() || rollout.successors + rollout.asleep > 0;
            any.then(|| (group.clone(), rollout))
        };
        self.rollouts.iter().filter_map(left).collect()
    }
}
