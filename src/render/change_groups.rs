//! Changes to entries: machines of one group that get the very same change are said once.

use std::collections::BTreeMap;

use crate::{
    kinds::{DataLoss, Impact},
    model::{DiffLine, DisplayValue},
    plan::{Action, Change, Plan, Refusal, Verb},
};

use super::wording;

/// One change, or the same change of several members of one group.
pub(super) struct ChangeGroup {
    /// At least one; they differ in address and in what they are, not in what happens to them.
    members: Vec<Change>,
    /// What changes, said once.
    pub(super) lines: Vec<DiffLine>,
}

/// All entries of a plan: first where something is lost for good, then by danger.
pub(super) fn group_changes(plan: &Plan) -> Vec<ChangeGroup> {
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<ChangeGroup> = Vec::new();
    for change in plan.changes() {
        let Some(key) = group_key(&change) else {
            all.push(ChangeGroup::new(change));
            continue;
        };
        match at.get(&key).and_then(|&index| all.get_mut(index)) {
            Some(entry) => entry.merge(change),
            None => {
                at.insert(key, all.len());
                all.push(ChangeGroup::new(change));
            }
        }
    }
    all.sort_by_key(|entry| !entry.loses_data());
    all
}

/// What two changes must share to be one entry. `None` for what always stands alone: a loss is named one by one, and
/// so is what takes others along.
fn group_key(change: &Change) -> Option<String> {
    let name: Vec<&str> = change.address.name().segments().collect();
    let alone = change.loss.is_some() || change.protected || !change.takes_along.is_empty();
    if alone || name.len() < 4 {
        return None;
    }
    let lines = serde_json::to_string(&lines_without_region(change)).ok()?;
    let facts = (change.verb, change.impact, change.cause);
    Some(format!(
        "{} {:?} {facts:?} {lines}",
        change.address.kind(),
        &name[..2]
    ))
}

/// The lines without the region that the address names already.
fn lines_without_region(change: &Change) -> Vec<&DiffLine> {
    let named = |line: &DiffLine| {
        let region = match &line.to {
            Some(DisplayValue::Value(value)) if line.path == "region" && line.from.is_none() => {
                value.as_str()
            }
            _ => None,
        };
        region.is_some_and(|region| change.address.name().segments().any(|part| part == region))
    };
    change.lines.iter().filter(|line| !named(line)).collect()
}

/// Said of a machine that is updated without being started.
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

    /// The members.
    pub(super) fn members(&self) -> &[Change] {
        &self.members
    }

    /// What happens.
    pub(super) fn verb(&self) -> Verb {
        self.members
            .first()
            .map_or(Verb::Update, |change| change.verb)
    }

    /// What it means for what runs.
    pub(super) fn impact(&self) -> Impact {
        self.members
            .first()
            .map_or(Impact::Quiet, |change| change.impact)
    }

    /// The address, or that of the group: `fly.machine/web/app ×3`. It can be given to `--only` as it stands.
    pub(super) fn address(&self) -> String {
        match self.members.as_slice() {
            [] => String::new(),
            [one] => one.address.to_string(),
            [first, ..] => {
                let group: Vec<&str> = first.address.name().segments().take(2).collect();
                let kind = first.address.kind();
                format!("{kind}/{} ×{}", group.join("/"), self.members.len())
            }
        }
    }

    /// The live object in short, or the members' slots.
    pub(super) fn description(&self) -> String {
        match self.members.as_slice() {
            [one] => one.what.clone(),
            many => {
                let slot = |change: &Change| {
                    let parts: Vec<&str> = change.address.name().segments().skip(2).collect();
                    parts.join("/")
                };
                wording::join_limited(&many.iter().map(slot).collect::<Vec<_>>(), 6)
            }
        }
    }

    /// What else must be said on the entry's line, the gravest first.
    pub(super) fn remarks(&self, refusals: &[Refusal]) -> Vec<&'static str> {
        let first = self.members.first();
        let mut remarks = Vec::new();
        remarks.extend(self.is_refused(refusals).then_some("BLOCKED"));
        remarks.extend(self.is_protected().then_some("protected"));
        remarks.extend(self.data_loss().map(wording::data_loss_remark));
        remarks.extend(first.and_then(|change| wording::cause_remark(change.cause)));
        remarks.extend((self.impact() == Impact::Asleep).then_some(NOT_STARTED));
        remarks
    }

    /// What is lost for good with the object itself.
    pub(super) fn data_loss(&self) -> Option<DataLoss> {
        self.members.iter().find_map(|change| change.loss)
    }

    /// Whether anything is lost for good, with the object or along with it.
    fn loses_data(&self) -> bool {
        let along = |change: &Change| {
            change
                .takes_along
                .iter()
                .any(|folded| folded.loss.is_some())
        };
        self.data_loss().is_some() || self.members.iter().any(along)
    }

    fn is_protected(&self) -> bool {
        let goes = matches!(self.verb(), Verb::Destroy | Verb::Replace);
        goes && self.members.iter().any(|change| change.protected)
    }

    /// Whether a refusal names a member, or what goes along with it.
    pub(super) fn is_refused(&self, refusals: &[Refusal]) -> bool {
        // The guard refuses removals. What is made anew under the name of something refused is not refused itself.
        if !matches!(self.verb(), Verb::Destroy | Verb::Replace) {
            return false;
        }
        let named = |change: &Change| {
            refusals
                .iter()
                .filter_map(|refusal| refusal.address.as_ref())
                .any(|address| {
                    *address == change.address
                        || change
                            .takes_along
                            .iter()
                            .any(|folded| folded.address == *address)
                })
        };
        self.members.iter().any(named)
    }
}

/// How many changes of each sort there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangeCounts {
    pub(super) add: usize,
    pub(super) change: usize,
    pub(super) replace: usize,
    pub(super) destroy: usize,
    /// What vanishes along with what is destroyed.
    pub(super) cascaded: usize,
    /// Machines that restart, or give way to new ones.
    pub(super) restart: usize,
    /// How many of these only go once a new one has taken over.
    pub(super) successors: usize,
    /// Whether it is old ones that take over again.
    pub(super) is_rollback: bool,
    /// Release commands.
    pub(super) run: usize,
    pub(super) blocked: usize,
    pub(super) unchanged: usize,
}

impl ChangeCounts {
    pub(super) fn from_plan(plan: &Plan) -> Self {
        let mut totals = Self {
            cascaded: plan.cascade_deletes.len(),
            blocked: plan.blocked.len(),
            unchanged: plan.unchanged.values().sum(),
            is_rollback: !plan.steps().any(|step| step.action == Action::Succeed),
            ..Self::default()
        };
        for change in plan.changes() {
            match change.verb {
                Verb::Create => totals.add += 1,
                Verb::Restart | Verb::Update | Verb::Succeed => totals.change += 1,
                Verb::Run => totals.run += 1,
                Verb::Replace => totals.replace += 1,
                Verb::Destroy => totals.destroy += 1,
            }
            let machine = change.address.kind() == "fly.machine";
            totals.restart += usize::from(
                change.impact == Impact::Restart
                    || machine && matches!(change.verb, Verb::Replace | Verb::Succeed),
            );
            totals.successors += usize::from(change.verb == Verb::Succeed);
        }
        totals
    }

    /// `1 to add, 2 to change, 1 to replace, 1 to destroy`, as users of Terraform expect it.
    pub(super) fn summary(&self) -> String {
        let mut parts = vec![
            format!("{} to add", self.add),
            format!("{} to change", self.change),
        ];
        parts.extend((self.replace > 0).then(|| format!("{} to replace", self.replace)));
        let along = match self.cascaded {
            0 => String::new(),
            number => format!(" ({number} along with what holds them)"),
        };
        parts.push(format!(
            "{} to destroy{along}",
            self.destroy + self.cascaded
        ));
        parts.extend((self.run > 0).then(|| format!("{} to run", self.run)));
        parts.extend((self.blocked > 0).then(|| format!("{} blocked", self.blocked)));
        parts.join(", ")
    }

    /// `2 machines restart.`, when any does, and how many give way to new ones.
    pub(super) fn restart_sentence(&self) -> Option<String> {
        let machines = |number: usize, verb: &str| {
            let number_of =
                wording::format_count(u64::try_from(number).unwrap_or(u64::MAX), "machine");
            format!("{number_of} {}", wording::inflect_verb(number, verb))
        };
        let others = match (self.is_rollback, self.successors) {
            (true, _) => "the old ones",
            (false, 1) => "a new one",
            (false, _) => "new ones",
        };
        match (self.restart - self.successors, self.successors) {
            (0, 0) => None,
            (number, 0) => Some(format!("{}.", machines(number, "restart"))),
            (0, number) => Some(format!("{} way to {others}.", machines(number, "give"))),
            (restart, succeed) => {
                let give = wording::inflect_verb(succeed, "give");
                Some(format!(
                    "{}, {succeed} {give} way to {others}.",
                    machines(restart, "restart")
                ))
            }
        }
    }

    /// Whether any step would run.
    pub(super) fn has_changes(&self) -> bool {
        self.add + self.change + self.replace + self.destroy + self.run > 0
    }
}

/// What the guard refuses, and what could not be planned at all, each once.
pub(super) fn all_refusals(plan: &Plan, refusals: &[Refusal]) -> Vec<Refusal> {
    let mut all = refusals.to_vec();
    for blocked in &plan.blocked {
        let refusal = Refusal {
            address: Some(blocked.address.clone()),
            reason: blocked.refused.reason.clone(),
            hint: blocked.refused.hint.clone(),
        };
        if !all.contains(&refusal) {
            all.push(refusal);
        }
    }
    all
}
