//! How a plan comes out, as a value: what happens in which order, and how much of it at once. Text and Markdown only
//! arrange it.

use std::collections::{BTreeMap, BTreeSet};

use super::{value::sanitize, wording};
use crate::{
    kinds::{
        AnyOp, Kind as _, Op,
        fly::{Machine, ReleaseCommand, release::ReleaseEdit},
    },
    model::Name,
    plan::{Action, Plan, Step},
};

mod group;

use group::GroupProgress;
pub(super) use group::concurrency_label;

/// One app.
pub(super) struct RolloutSummary {
    pub(super) app: String,
    /// One after the other. The rows of one stage go side by side.
    pub(super) stages: Vec<Vec<RolloutRow>>,
}

/// What happens to one part of an app, such as a process group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RolloutRow {
    pub(super) label: String,
    /// Each in a line of its own.
    pub(super) phrases: Vec<Phrase>,
}

/// A part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phrase {
    /// A few words.
    Text(String),
    /// What is said of a list, and the list, of which the end may be left out.
    List(String, Vec<String>),
    /// A command or an address, and what is said of it.
    Code(String, String),
}

/// So many names stand in a sentence; more are counted.
const MAX_LISTED: usize = 4;

/// Every app in which something is rolled out, in the order in which they come. Empty when the order is no news: one
/// machine restarts, and nothing else.
pub(super) fn summarize_rollouts(plan: &Plan) -> Vec<RolloutSummary> {
    let mut apps: BTreeMap<Name, AppRollout<'_>> = BTreeMap::new();
    for step in plan.steps() {
        apps.entry(step.address.name().root())
            .or_default()
            .add_step(step);
    }
    for (group, told) in &plan.rollouts {
        let app = apps.entry(group.root()).or_default();
        app.groups.entry(group.clone()).or_default().rollout = Some(told);
    }
    apps.retain(|_, parts| parts.is_rolled_out());
    let proven = apps.values().any(|parts| parts.verify_step.is_some());
    if !proven && apps.values().map(AppRollout::change_count).sum::<usize>() < 2 {
        return Vec::new();
    }
    for (from, to) in cross_app_dependencies(plan) {
        if let Some(parts) = apps.get_mut(&to.root()) {
            parts
                .dependencies
                .entry(to)
                .or_default()
                .insert(from.root());
        }
    }
    let mut order: Vec<&Name> = apps.keys().collect();
    // Whoever comes after another has all that comes before the other before it as well.
    order.sort_by_cached_key(|app| (transitive_dependencies(app, &apps).len(), (*app).clone()));
    order
        .into_iter()
        .map(|app| RolloutSummary {
            app: app.to_string(),
            stages: apps[app].stages(),
        })
        .collect()
}

/// A machine, by its lane, or a release command, by its app: what an app of which others are rolled out must wait for.
fn rollout_unit(step: &Step) -> Option<Name> {
    match step.op {
        AnyOp::FlyMachine(_) => Machine::rollout_group(step.address.name()),
        AnyOp::FlyRelease(_) => Some(step.address.name().clone()),
        _ => None,
    }
}

/// What waits for another app, and for which.
fn cross_app_dependencies(plan: &Plan) -> BTreeSet<(Name, Name)> {
    let graph = plan.graph();
    let ends = graph
        .edge_indices()
        .filter_map(|edge| graph.edge_endpoints(edge));
    let places = ends
        .filter_map(|(from, to)| Some((rollout_unit(&graph[from])?, rollout_unit(&graph[to])?)));
    places
        .filter(|(from, to)| from.root() != to.root())
        .collect()
}

/// Everything that comes before an app, directly or not.
fn transitive_dependencies<'a>(
    app: &'a Name,
    apps: &'a BTreeMap<Name, AppRollout<'_>>,
) -> BTreeSet<&'a Name> {
    let mut all = BTreeSet::new();
    let mut open = vec![app];
    while let Some(parts) = open.pop().and_then(|app| apps.get(app)) {
        open.extend(
            parts
                .dependencies
                .values()
                .flatten()
                .filter(|other| all.insert(*other)),
        );
    }
    all
}

/// Everything of one app that belongs to its rollout.
#[derive(Default)]
struct AppRollout<'p> {
    secrets: usize,
    /// The app, and its command.
    release: Option<(Name, String)>,
    groups: BTreeMap<Name, GroupProgress<'p>>,
    /// The step that shows that it works.
    verify_step: Option<&'p Step>,
    /// Cron machines that change, and new ones.
    crons: (Vec<String>, Vec<String>),
    /// Apps in which something must be healthy before: a group changes, or the command runs.
    dependencies: BTreeMap<Name, BTreeSet<Name>>,
}

/// Adds a slot where it belongs: by region, and then by number.
fn insert_slot(slots: &mut Vec<String>, slot: String) {
    let key = |slot: &str| {
        let (region, number) = slot.rsplit_once('/').unwrap_or((slot, ""));
        (
            region.to_owned(),
            number.parse::<u64>().unwrap_or(u64::MAX),
            number.to_owned(),
        )
    };
    let at = slots.partition_point(|there| key(there) < key(&slot));
    slots.insert(at, slot);
}

/// The name without its first parts: `ewr/0` of `web/app/ewr/0`.
fn slot_name(name: &Name, skip: usize) -> String {
    name.segments().skip(skip).collect::<Vec<_>>().join("/")
}

impl<'p> AppRollout<'p> {
    fn add_step(&mut self, step: &'p Step) {
        let name = step.address.name();
        match (&step.op, step.action) {
            (AnyOp::FlySecrets(_), Action::Create | Action::Update) => {
                self.secrets = step.lines.len();
            }
            (AnyOp::FlyRelease(op), _) => {
                self.release = release_command(op).map(|command| (name.clone(), command));
            }
            (_, Action::Prove) => self.verify_step = Some(step),
            (AnyOp::FlyCron(_), Action::Update) => self.crons.0.push(slot_name(name, 1)),
            (AnyOp::FlyCron(_), Action::Create | Action::ReplaceCreate) => {
                self.crons.1.push(slot_name(name, 1));
            }
            (AnyOp::FlyMachine(_), Action::Create | Action::Delete | Action::ReplaceCreate) => {
                self.add_machine(name, step.action);
            }
            _ => {}
        }
    }

    fn add_machine(&mut self, name: &Name, action: Action) {
        let Some(lane) = Machine::rollout_group(name) else {
            return;
        };
        let group = self.groups.entry(lane).or_default();
        match action {
            Action::Create => insert_slot(&mut group.created, slot_name(name, 2)),
            Action::Delete => insert_slot(&mut group.deleted, slot_name(name, 2)),
            _ => group.replaces_in_place = true,
        }
    }

    /// Whether there is anything whose order matters: new machines alone simply start.
    fn is_rolled_out(&self) -> bool {
        let told = self.groups.values().any(|group| group.rollout.is_some());
        told || self.release.is_some() || self.verify_step.is_some()
    }

    /// How many things happen.
    fn change_count(&self) -> usize {
        let groups: usize = self.groups.values().map(GroupProgress::machine_count).sum();
        let single = usize::from(self.release.is_some()) + usize::from(self.verify_step.is_some());
        groups + single + usize::from(self.secrets > 0) + self.crons.0.len() + self.crons.1.len()
    }

    fn stages(&self) -> Vec<Vec<RolloutRow>> {
        let proven = self.verify_step.is_some();
        let mut last: Vec<RolloutRow> = Vec::new();
        if proven {
            let ends = self.groups.iter().map(|(name, group)| {
                RolloutRow::new(slot_name(name, 1), group.removal_phrases(""))
            });
            last.extend(ends);
        }
        last.push(RolloutRow::new("cron".to_owned(), self.cron_phrases()));
        let stages = [
            self.secret_rows(),
            self.release_rows(),
            self.group_rows(proven),
            self.verify_rows(),
            last,
        ];
        stages.into_iter().filter_map(without_empty_rows).collect()
    }

    fn secret_rows(&self) -> Vec<RolloutRow> {
        let words = match self.secrets {
            0 => return Vec::new(),
            1 => "1 changes".to_owned(),
            number => format!("{number} change, in one call"),
        };
        vec![RolloutRow::with_phrase("secrets", Phrase::Text(words))]
    }

    fn release_rows(&self) -> Vec<RolloutRow> {
        let Some((name, command)) = &self.release else {
            return Vec::new();
        };
        vec![RolloutRow::with_phrase(
            "release",
            self.with_dependencies(name, Phrase::Code(command.clone(), ", once".to_owned())),
        )]
    }

    /// The groups, side by side.
    fn group_rows(&self, proven: bool) -> Vec<RolloutRow> {
        let row = |(name, group): (&Name, &GroupProgress<'_>)| {
            let mut says = group.phrases(proven).into_iter();
            let first = says.next().map(|say| self.with_dependencies(name, say));
            RolloutRow::new(slot_name(name, 1), first.into_iter().chain(says).collect())
        };
        self.groups.iter().map(row).collect()
    }

    /// The same, with the apps that come before it.
    fn with_dependencies(&self, name: &Name, say: Phrase) -> Phrase {
        let Some(apps) = self.dependencies.get(name) else {
            return say;
        };
        let apps: Vec<String> = apps.iter().map(ToString::to_string).collect();
        let after = format!("after {}", wording::join_limited(&apps, MAX_LISTED));
        match say {
            Phrase::Text(words) => Phrase::Text(format!("{after}, {words}")),
            Phrase::List(lead, items) => Phrase::List(format!("{after}, {lead}"), items),
            Phrase::Code(code, words) => Phrase::Code(code, format!("{words}, {after}")),
        }
    }

    fn verify_rows(&self) -> Vec<RolloutRow> {
        let proof = self.verify_step.and_then(verification);
        proof
            .map(|(url, words)| RolloutRow::with_phrase("verify", Phrase::Code(url, words)))
            .into_iter()
            .collect()
    }

    fn cron_phrases(&self) -> Vec<Phrase> {
        let (changed, new) = &self.crons;
        let be = if new.len() == 1 {
            "is new, and runs once"
        } else {
            "are new, and run once"
        };
        let say = |names: &[String], words| {
            (!names.is_empty()).then(|| {
                Phrase::Text(format!(
                    "{}{words}",
                    wording::join_limited(names, MAX_LISTED)
                ))
            })
        };
        say(changed, ", not started")
            .into_iter()
            .chain(say(new, &format!(" {be}")))
            .collect()
    }
}

/// What is asked for to show that an app works, and what the answer must be.
pub(super) fn verification(step: &Step) -> Option<(String, String)> {
    let AnyOp::FlyApp(Op::Verify(app)) = &step.op else {
        return None;
    };
    let verify = app.verify.as_ref()?;
    // What stands in a query is nobody's business.
    let path = verify.path.split(['?', '#']).next().unwrap_or_default();
    let url = sanitize(&format!("https://{}{path}", verify.host(&app.name)));
    let body = if verify.body.is_some() {
        ", with the right body"
    } else {
        ""
    };
    Some((url, format!(" answers {}{body}", verify.status)))
}

/// The command of a step; cleaning up runs none.
fn release_command(op: &Op<ReleaseCommand>) -> Option<String> {
    let spec = match op {
        Op::Create(spec) => spec,
        Op::Edit(_, edits) => edits.iter().find_map(|edit| match edit {
            ReleaseEdit::Run(spec) => Some(&**spec),
            ReleaseEdit::RemoveLeftovers(_) => None,
        })?,
        _ => return None,
    };
    Some(sanitize(&shell_words::join(&spec.workload.config.init.cmd)))
}

/// The stage without empty rows; `None` when nothing is left.
fn without_empty_rows(mut stage: Vec<RolloutRow>) -> Option<Vec<RolloutRow>> {
    stage.retain(|row| !row.phrases.is_empty());
    (!stage.is_empty()).then_some(stage)
}

impl RolloutRow {
    fn new(label: String, says: Vec<Phrase>) -> Self {
        Self {
            label,
            phrases: says,
        }
    }

    fn with_phrase(label: &str, say: Phrase) -> Self {
        Self::new(label.to_owned(), vec![say])
    }
}
