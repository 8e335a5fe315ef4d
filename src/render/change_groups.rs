//! Groups changes for display: the identical change of several machines of one process group is shown once. Also
//! counts changes for the summaries.

use std::collections::BTreeMap;

use crate::{
    kinds::{DataLoss, Impact, Phase},
    model::{DiffLine, DisplayValue},
    plan::{Action, Change, Plan, Refusal, Verb},
};

use super::wording;

/// One change, or the same change of several machines of one process group.
pub(super) struct ChangeGroup {
    /// Never empty. Members differ in their address and live object, but not in what happens to them.
    members: Vec<Change>,
    /// The diff lines, which all members share.
    pub(super) lines: Vec<DiffLine>,
}

/// Groups all changes of a plan: first those that lose data, then in the order of the plan, which is by danger.
pub(super) fn group_changes(plan: &Plan) -> Vec<ChangeGroup> {
    let mut index_by_key: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<ChangeGroup> = Vec::new();
    for change in plan.changes() {
        let Some(key) = group_key(&change) else {
            groups.push(ChangeGroup::new(change));
            continue;
        };
        match index_by_key
            .get(&key)
            .and_then(|&index| groups.get_mut(index))
        {
            Some(group) => group.merge(change),
            None => {
                index_by_key.insert(key, groups.len());
                groups.push(ChangeGroup::new(change));
            }
        }
    }
    // The sort is stable, so apart from data loss the order of the plan stays.
    groups.sort_by_key(|group| !group.loses_data());
    groups
}

/// What two changes must have in common to be grouped. `None` for a change that is always shown alone: one that loses
/// data, is protected, deletes other resources as well, or is not of a slot such as `web/app/ewr/0`.
fn group_key(change: &Change) -> Option<String> {
    let segments: Vec<&str> = change.address.name().segments().collect();
    // A data loss must be visible with its own address.
    let shown_alone =
        change.data_loss.is_some() || change.protected || !change.takes_along.is_empty();
    if shown_alone || segments.len() < 4 {
        return None;
    }
    let lines = serde_json::to_string(&lines_without_region(change)).ok()?;
    let outcome = (change.verb, change.impact, change.cause);
    Some(format!(
        "{} {:?} {outcome:?} {lines}",
        change.address.kind(),
        &segments[..2]
    ))
}

/// The diff lines of a creation without the region, which the address names already. With it, machines in different
/// regions could never be grouped.
fn lines_without_region(change: &Change) -> Vec<&DiffLine> {
    let is_redundant = |line: &DiffLine| {
        let region = match &line.to {
            Some(DisplayValue::Value(value)) if line.path == "region" && line.from.is_none() => {
                value.as_str()
            }
            _ => None,
        };
        region.is_some_and(|region| change.address.name().segments().any(|part| part == region))
    };
    change
        .lines
        .iter()
        .filter(|line| !is_redundant(line))
        .collect()
}

/// The remark on a machine that is updated but not started.
pub(super) const NOT_STARTED: &str = "not started";

impl ChangeGroup {
    fn new(change: Change) -> Self {
        Self {
            lines: change.lines.clone(),
            members: vec![change],
        }
    }

    fn merge(&mut self, change: Change) {
        self.lines = lines_without_region(&change).into_iter().cloned().collect();
        self.members.push(change);
    }

    pub(super) fn members(&self) -> &[Change] {
        &self.members
    }

    pub(super) fn verb(&self) -> Verb {
        self.members
            .first()
            .map_or(Verb::Update, |change| change.verb)
    }

    /// The effect on running machines.
    pub(super) fn impact(&self) -> Impact {
        self.members
            .first()
            .map_or(Impact::Quiet, |change| change.impact)
    }

    /// The address of the only member, or the common prefix and the number: `fly.machine/web/app ×3`. The prefix is a
    /// valid argument of `--only`.
    pub(super) fn address(&self) -> String {
        match self.members.as_slice() {
            [] => String::new(),
            [change] => change.address.to_string(),
            [first, ..] => {
                let prefix: Vec<&str> = first.address.name().segments().take(2).collect();
                let kind = first.address.kind();
                format!("{kind}/{} ×{}", prefix.join("/"), self.members.len())
            }
        }
    }

    /// A short description of the live object, or the slots of several members: `ewr/0, ewr/1`.
    pub(super) fn description(&self) -> String {
        match self.members.as_slice() {
            [change] => change.description.clone(),
            many => {
                let slot = |change: &Change| {
                    let parts: Vec<&str> = change.address.name().segments().skip(2).collect();
                    parts.join("/")
                };
                wording::join_limited(&many.iter().map(slot).collect::<Vec<_>>(), 6)
            }
        }
    }

    /// Remarks for the line of this group, the most serious first.
    pub(super) fn remarks(&self, refusals: &[Refusal]) -> Vec<&'static str> {
        let first = self.members.first();
        let mut remarks = Vec::new();
        remarks.extend(self.is_refused(refusals).then_some("BLOCKED"));
        remarks.extend(self.is_protected().then_some("protected"));
        remarks.extend(self.data_loss().map(DataLoss::consequence));
        remarks.extend(first.and_then(|change| wording::cause_remark(change.cause)));
        remarks.extend((self.impact() == Impact::Asleep).then_some(NOT_STARTED));
        remarks
    }

    /// What deleting the object itself loses irrecoverably.
    pub(super) fn data_loss(&self) -> Option<DataLoss> {
        self.members.iter().find_map(|change| change.data_loss)
    }

    /// Whether deleting the object, or something that is deleted with it, loses anything irrecoverably.
    pub(super) fn loses_data(&self) -> bool {
        let cascade_loses = |change: &Change| {
            change
                .takes_along
                .iter()
                .any(|deletion| deletion.data_loss.is_some())
        };
        self.data_loss().is_some() || self.members.iter().any(cascade_loses)
    }

    fn is_protected(&self) -> bool {
        let removes = matches!(self.verb(), Verb::Destroy | Verb::Replace);
        removes && self.members.iter().any(|change| change.protected)
    }

    /// Whether a refusal names a member, or something that is deleted with it.
    pub(super) fn is_refused(&self, refusals: &[Refusal]) -> bool {
        // The guard only refuses removals. A creation at the address of a refused removal is not itself refused.
        if !matches!(self.verb(), Verb::Destroy | Verb::Replace) {
            return false;
        }
        let is_named = |change: &Change| {
            refusals
                .iter()
                .filter_map(|refusal| refusal.address.as_ref())
                .any(|address| {
                    *address == change.address
                        || change
                            .takes_along
                            .iter()
                            .any(|deletion| deletion.address == *address)
                })
        };
        self.members.iter().any(is_named)
    }
}

/// The number of changes of each kind in a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangeCounts {
    pub(super) add: usize,
    pub(super) change: usize,
    pub(super) replace: usize,
    pub(super) destroy: usize,
    /// Resources that are deleted with the one that contains them, in addition to `destroy`.
    pub(super) cascaded: usize,
    /// Machines that restart or are superseded, including those in `successors`.
    pub(super) restart: usize,
    /// Machines that are removed only after a successor has taken over.
    pub(super) successors: usize,
    /// Whether the machines that take over are the old ones: no step creates a successor.
    pub(super) is_rollback: bool,
    /// Release commands.
    pub(super) run: usize,
    pub(super) blocked: usize,
    pub(super) unchanged: usize,
}

impl ChangeCounts {
    /// Counts the changes of a plan.
    pub(super) fn from_plan(plan: &Plan) -> Self {
        let mut counts = Self {
            cascaded: plan.cascade_deletes.len(),
            blocked: plan.blocked.len(),
            unchanged: plan.unchanged.values().sum(),
            is_rollback: !plan
                .steps()
                .any(|step| step.action == Action::CreateSuccessor),
            ..Self::default()
        };
        for change in plan.changes() {
            match change.verb {
                Verb::Create => counts.add += 1,
                Verb::Restart | Verb::Update | Verb::Succeed => counts.change += 1,
                Verb::Run => counts.run += 1,
                Verb::Replace => counts.replace += 1,
                Verb::Destroy => counts.destroy += 1,
            }
            let is_machine = change.phase == Phase::Rollout;
            // A machine that is replaced or superseded is down or new afterwards as well, whatever its impact.
            counts.restart += usize::from(
                change.impact == Impact::Restart
                    || is_machine && matches!(change.verb, Verb::Replace | Verb::Succeed),
            );
            counts.successors += usize::from(change.verb == Verb::Succeed);
        }
        counts
    }

    /// `1 to add, 2 to change, 1 to replace, 1 to destroy`, in the order that Terraform uses.
    pub(super) fn summary(&self) -> String {
        let mut parts = vec![
            format!("{} to add", self.add),
            format!("{} to change", self.change),
        ];
        parts.extend((self.replace > 0).then(|| format!("{} to replace", self.replace)));
        let note = match self.cascaded {
            0 => String::new(),
            number => format!(" ({number} together with what contains them)"),
        };
        parts.push(format!("{} to destroy{note}", self.destroy + self.cascaded));
        parts.extend((self.run > 0).then(|| format!("{} to run", self.run)));
        parts.extend((self.blocked > 0).then(|| format!("{} blocked", self.blocked)));
        parts.join(", ")
    }

    /// `2 machines restart, 1 gives way to a new one.`; `None` when no machine restarts or is superseded.
    pub(super) fn restart_sentence(&self) -> Option<String> {
        let count_with_verb = |number: usize, verb: &str| {
            let counted =
                wording::format_count(u64::try_from(number).unwrap_or(u64::MAX), "machine");
            format!("{counted} {}", wording::inflect_verb(number, verb))
        };
        let replacement = match (self.is_rollback, self.successors) {
            (true, _) => "the old ones",
            (false, 1) => "a new one",
            (false, _) => "new ones",
        };
        match (self.restart - self.successors, self.successors) {
            (0, 0) => None,
            (number, 0) => Some(format!("{}.", count_with_verb(number, "restart"))),
            (0, number) => Some(format!(
                "{} way to {replacement}.",
                count_with_verb(number, "give")
            )),
            (restart, successors) => {
                let give = wording::inflect_verb(successors, "give");
                Some(format!(
                    "{}, {successors} {give} way to {replacement}.",
                    count_with_verb(restart, "restart")
                ))
            }
        }
    }

    /// Whether any step would run. `cascaded` needs no check: it is never above 0 alone.
    pub(super) fn has_changes(&self) -> bool {
        self.add + self.change + self.replace + self.destroy + self.run > 0
    }
}

/// Refusals with one reason and one hint. A missing image concerns every machine that would run it, and is one mistake.
pub(super) struct RefusalGroup {
    reason: String,
    pub(super) hint: String,
    /// The resources, unless the reason names them.
    addresses: Vec<String>,
}

impl RefusalGroup {
    /// How many resources are named.
    const MAX_NAMED: usize = 3;

    /// The resources that the reason does not name: `fly.machine/web/app/iad/0 and 6 more`.
    pub(super) fn subject(&self) -> Option<String> {
        (!self.addresses.is_empty())
            .then(|| wording::join_limited(&self.addresses, Self::MAX_NAMED))
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

/// Groups refusals, in the order of the first of each group.
pub(super) fn group_refusals(refusals: &[Refusal]) -> Vec<RefusalGroup> {
    let mut groups: Vec<RefusalGroup> = Vec::new();
    for Refusal {
        address,
        reason,
        hint,
    } in refusals
    {
        let address = address.as_ref().map(ToString::to_string);
        let address = address.filter(|address| !reason.contains(address.as_str()));
        let same = groups
            .iter_mut()
            .find(|group| group.reason == *reason && group.hint == *hint);
        match same {
            Some(group) => group.addresses.extend(address),
            None => groups.push(RefusalGroup {
                reason: reason.clone(),
                hint: hint.clone(),
                addresses: address.into_iter().collect(),
            }),
        }
    }
    groups
}

/// The refusals of the guard, and a refusal for each resource that could not be planned, without duplicates.
pub(super) fn all_refusals(plan: &Plan, refusals: &[Refusal]) -> Vec<Refusal> {
    let mut merged = refusals.to_vec();
    for blocked in &plan.blocked {
        let refusal = Refusal {
            address: Some(blocked.address.clone()),
            reason: blocked.blocker.reason.clone(),
            hint: blocked.blocker.hint.clone(),
        };
        if !merged.contains(&refusal) {
            merged.push(refusal);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;

    /// A missing image stops every machine that would run it, and is one mistake.
    #[test]
    fn equal_refusals_are_one() {
        let refusal = |address: &str, reason: &str| Refusal {
            address: Address::parse(address).ok(),
            reason: reason.to_owned(),
            hint: "push it first".to_owned(),
        };
        let mut refusals: Vec<Refusal> = (0..5)
            .map(|slot| refusal(&format!("fly.machine/web/app/iad/{slot}"), "no such image"))
            .collect();
        refusals.push(refusal("fly.app/db", "fly.app/db is protected"));
        let groups = group_refusals(&refusals);
        let subjects: Vec<Option<String>> = groups.iter().map(RefusalGroup::subject).collect();
        let machines = "fly.machine/web/app/iad/0, fly.machine/web/app/iad/1, \
                        fly.machine/web/app/iad/2 and 2 more";
        assert_eq!(subjects, [Some(machines.to_owned()), None]);
    }
}
