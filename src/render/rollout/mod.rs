//! The order in which a plan changes each app, as a value: stages one after the other, and what happens at the same time
//! within each. The text and Markdown renderers only arrange it.

use std::collections::{BTreeMap, BTreeSet};

use super::{value::sanitize, wording};
use crate::{
    kinds::{Phase, RolloutNote},
    model::Name,
    plan::{Action, Plan, Step},
};

mod group;

use group::GroupChanges;
pub(super) use group::concurrency_label;

/// The rollout of one app.
pub(super) struct RolloutSummary {
    pub(super) app: String,
    /// Stages run one after the other; the rows of one stage at the same time.
    pub(super) stages: Vec<Vec<RolloutRow>>,
}

/// What happens to one part of an app in one stage, such as to a process group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RolloutRow {
    pub(super) label: String,
    /// In order; the text renderer starts a line for each.
    pub(super) phrases: Vec<Phrase>,
}

/// A part of a row. Renderers escape, truncate and wrap it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phrase {
    /// A plain phrase.
    Text(String),
    /// A lead-in and a list that may be truncated.
    List(String, Vec<String>),
    /// A command or URL, and text that follows it.
    Code(String, String),
}

/// The maximum number of names in a phrase; more are counted.
const MAX_LISTED: usize = 4;

/// The rollout of each app, in the order in which apps are rolled out. Empty if there is no order worth showing: only one
/// thing changes.
pub(super) fn summarize_rollouts(plan: &Plan) -> Vec<RolloutSummary> {
    let mut apps: BTreeMap<Name, AppRollout<'_>> = BTreeMap::new();
    for step in plan.steps() {
        apps.entry(step.address.name().root())
            .or_default()
            .add_step(step);
    }
    for (group, rollout) in &plan.rollouts {
        let app = apps.entry(group.root()).or_default();
        app.groups.entry(group.clone()).or_default().rollout = Some(rollout);
    }
    apps.retain(|_, parts| parts.is_rolled_out());
    let is_verified = apps.values().any(|parts| parts.verify_step.is_some());
    if !is_verified && apps.values().map(AppRollout::change_count).sum::<usize>() < 2 {
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
    // A topological order: an app has more transitive dependencies than any app that it depends on, because it has all
    // of theirs as well. The name makes the order deterministic.
    order.sort_by_cached_key(|app| (transitive_dependencies(app, &apps).len(), (*app).clone()));
    order
        .into_iter()
        .map(|app| RolloutSummary {
            app: app.to_string(),
            stages: apps[app].stages(),
        })
        .collect()
}

/// The unit that apps wait for and wait with: the rollout group of a machine, or the app of a release command.
fn rollout_unit(step: &Step) -> Option<Name> {
    let group = step.rollout_group.clone();
    group.or_else(|| (step.phase == Phase::PreRollout).then(|| step.address.name().clone()))
}

/// Dependencies between the rollout units of different apps, as (dependency, dependent).
fn cross_app_dependencies(plan: &Plan) -> BTreeSet<(Name, Name)> {
    let graph = plan.graph();
    let endpoints = graph
        .edge_indices()
        .filter_map(|edge| graph.edge_endpoints(edge));
    let units = endpoints
        .filter_map(|(from, to)| Some((rollout_unit(&graph[from])?, rollout_unit(&graph[to])?)));
    units
        .filter(|(from, to)| from.root() != to.root())
        .collect()
}

/// All apps that must be rolled out before `app`, directly or indirectly.
fn transitive_dependencies<'a>(
    app: &'a Name,
    apps: &'a BTreeMap<Name, AppRollout<'_>>,
) -> BTreeSet<&'a Name> {
    let mut found = BTreeSet::new();
    let mut pending = vec![app];
    while let Some(parts) = pending.pop().and_then(|app| apps.get(app)) {
        pending.extend(
            parts
                .dependencies
                .values()
                .flatten()
                .filter(|other| found.insert(*other)),
        );
    }
    found
}

/// The parts of a plan that belong to the rollout of one app.
#[derive(Default)]
struct AppRollout<'p> {
    /// The number of secrets that change.
    secrets: usize,
    /// The name of the app, and its release command.
    release: Option<(Name, String)>,
    groups: BTreeMap<Name, GroupChanges<'p>>,
    /// The step that verifies that the app works.
    verify_step: Option<&'p Step>,
    /// The names of cron machines that change, and of new ones.
    crons: (Vec<String>, Vec<String>),
    /// For each rollout unit of this app, the apps that must be healthy before it changes.
    dependencies: BTreeMap<Name, BTreeSet<Name>>,
}

/// Inserts a slot in order: by region, then by number (so that `ewr/10` comes after `ewr/9`).
fn insert_slot(slots: &mut Vec<String>, slot: String) {
    let key = |slot: &str| {
        let (region, number) = slot.rsplit_once('/').unwrap_or((slot, ""));
        (
            region.to_owned(),
            number.parse::<u64>().unwrap_or(u64::MAX),
            number.to_owned(),
        )
    };
    let index = slots.partition_point(|existing| key(existing) < key(&slot));
    slots.insert(index, slot);
}

/// The name without its first `skip` segments: `ewr/0` of `web/app/ewr/0`.
fn slot_name(name: &Name, skip: usize) -> String {
    name.segments().skip(skip).collect::<Vec<_>>().join("/")
}

impl<'p> AppRollout<'p> {
    fn add_step(&mut self, step: &'p Step) {
        let name = step.address.name();
        match (&step.rollout_note, step.action) {
            (Some(RolloutNote::Secrets), Action::Create | Action::Update) => {
                self.secrets = step.lines.len();
            }
            (Some(RolloutNote::ReleaseCommand(command)), _) => {
                self.release = Some((name.clone(), sanitize(command)));
            }
            (Some(RolloutNote::Verification { .. }), _) => self.verify_step = Some(step),
            _ if step.phase == Phase::PostRollout => self.add_cron(name, step.action),
            _ => self.add_machine(step),
        }
    }

    fn add_cron(&mut self, name: &Name, action: Action) {
        let (changed, new) = &mut self.crons;
        match action {
            Action::Update => changed.push(slot_name(name, 1)),
            Action::Create | Action::ReplaceCreate => new.push(slot_name(name, 1)),
            _ => {}
        }
    }

    fn add_machine(&mut self, step: &Step) {
        // Changes in place and successors are in the plan's own summary of the group already.
        let is_counted = matches!(
            step.action,
            Action::Create | Action::Delete | Action::ReplaceCreate
        );
        let Some(group_name) = step.rollout_group.as_ref().filter(|_| is_counted) else {
            return;
        };
        let group = self.groups.entry(group_name.clone()).or_default();
        let slot = slot_name(step.address.name(), 2);
        match step.action {
            Action::Create => insert_slot(&mut group.created, slot),
            Action::Delete => insert_slot(&mut group.deleted, slot),
            _ => group.replaces_in_place = true,
        }
    }

    /// Whether anything happens whose order matters: new machines alone just start.
    fn is_rolled_out(&self) -> bool {
        let machines_change = self.groups.values().any(|group| group.rollout.is_some());
        machines_change || self.release.is_some() || self.verify_step.is_some()
    }

    /// The number of changes, to tell whether there is any order to show.
    fn change_count(&self) -> usize {
        let groups: usize = self.groups.values().map(GroupChanges::machine_count).sum();
        let single = usize::from(self.release.is_some()) + usize::from(self.verify_step.is_some());
        groups + single + usize::from(self.secrets > 0) + self.crons.0.len() + self.crons.1.len()
    }

    fn stages(&self) -> Vec<Vec<RolloutRow>> {
        let is_verified = self.verify_step.is_some();
        // With a verification, old machines are kept until it has succeeded, so removals are a stage of their own.
        let mut last: Vec<RolloutRow> = Vec::new();
        if is_verified {
            let removals = self.groups.iter().map(|(name, group)| {
                RolloutRow::new(slot_name(name, 1), group.removal_phrases(""))
            });
            last.extend(removals);
        }
        last.push(RolloutRow::new("cron".to_owned(), self.cron_phrases()));
        let stages = [
            self.secret_rows(),
            self.release_rows(),
            self.group_rows(is_verified),
            self.verify_rows(),
            last,
        ];
        stages.into_iter().filter_map(without_empty_rows).collect()
    }

    fn secret_rows(&self) -> Vec<RolloutRow> {
        let text = match self.secrets {
            0 => return Vec::new(),
            1 => "one changes".to_owned(),
            number => format!("{number} change, in one call"),
        };
        vec![RolloutRow::with_phrase("secrets", Phrase::Text(text))]
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

    /// The process groups, which change at the same time.
    fn group_rows(&self, is_verified: bool) -> Vec<RolloutRow> {
        let row = |(name, group): (&Name, &GroupChanges<'_>)| {
            let mut phrases = group.phrases(is_verified).into_iter();
            let first = phrases
                .next()
                .map(|phrase| self.with_dependencies(name, phrase));
            RolloutRow::new(
                slot_name(name, 1),
                first.into_iter().chain(phrases).collect(),
            )
        };
        self.groups.iter().map(row).collect()
    }

    /// Adds the apps that a unit waits for to its first phrase.
    fn with_dependencies(&self, name: &Name, phrase: Phrase) -> Phrase {
        let Some(apps) = self.dependencies.get(name) else {
            return phrase;
        };
        let apps: Vec<String> = apps.iter().map(ToString::to_string).collect();
        let after = format!("after {}", wording::join_limited(&apps, MAX_LISTED));
        match phrase {
            Phrase::Text(text) => Phrase::Text(format!("{after}, {text}")),
            Phrase::List(lead, items) => Phrase::List(format!("{after}, {lead}"), items),
            Phrase::Code(code, text) => Phrase::Code(code, format!("{text}, {after}")),
        }
    }

    fn verify_rows(&self) -> Vec<RolloutRow> {
        let expectation = self.verify_step.and_then(verification);
        expectation
            .map(|(url, text)| RolloutRow::with_phrase("verify", Phrase::Code(url, text)))
            .into_iter()
            .collect()
    }

    fn cron_phrases(&self) -> Vec<Phrase> {
        let (changed, new) = &self.crons;
        let suffix = if new.len() == 1 {
            "is new, and runs once"
        } else {
            "are new, and run once"
        };
        let text_phrase = |names: &[String], text| {
            (!names.is_empty()).then(|| {
                Phrase::Text(format!(
                    "{}{text}",
                    wording::join_limited(names, MAX_LISTED)
                ))
            })
        };
        text_phrase(changed, ", not started")
            .into_iter()
            .chain(text_phrase(new, &format!(" {suffix}")))
            .collect()
    }
}

/// The URL that a verification requests, and the response that it expects; `None` for any other step.
pub(super) fn verification(step: &Step) -> Option<(String, String)> {
    let Some(RolloutNote::Verification {
        url,
        status,
        checks_body,
    }) = &step.rollout_note
    else {
        return None;
    };
    let body_note = if *checks_body {
        ", with a body that matches"
    } else {
        ""
    };
    Some((sanitize(url), format!(" answers {status}{body_note}")))
}

/// Removes empty rows from a stage; `None` if no row is left.
fn without_empty_rows(mut stage: Vec<RolloutRow>) -> Option<Vec<RolloutRow>> {
    stage.retain(|row| !row.phrases.is_empty());
    (!stage.is_empty()).then_some(stage)
}

impl RolloutRow {
    fn new(label: String, phrases: Vec<Phrase>) -> Self {
        Self { label, phrases }
    }

    fn with_phrase(label: &str, phrase: Phrase) -> Self {
        Self::new(label.to_owned(), vec![phrase])
    }
}
