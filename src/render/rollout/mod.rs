//! How a plan comes out, as a value: what happens in which order, and how much of it at once. Text and Markdown only
//! arrange it.

use std::collections::{BTreeMap, BTreeSet};

use super::{value::clean, words};
use crate::{
    kinds::{
        AnyOp, Kind as _, Op,
        fly::{Machine, ReleaseCommand, release::ReleaseEdit},
    },
    model::Name,
    plan::{Action, Plan, Step},
};

mod group;

use group::Group;
pub(super) use group::together;

/// One app.
pub(super) struct Course {
    pub(super) app: String,
    /// One after the other. The rows of one stage go side by side.
    pub(super) stages: Vec<Vec<Row>>,
}

/// What happens to one part of an app, such as a process group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) label: String,
    /// Each in a line of its own.
    pub(super) says: Vec<Say>,
}

/// A part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// A few words.
    Words(String),
    /// What is said of a list, and the list, of which the end may be left out.
    List(String, Vec<String>),
    /// A command or an address, and what is said of it.
    Code(String, String),
}

/// So many names stand in a sentence; more are counted.
const FEW: usize = 4;

/// Every app in which something is rolled out, in the order in which they come. Empty when the order is no news: one
/// machine restarts, and nothing else.
pub(super) fn courses(plan: &Plan) -> Vec<Course> {
    let mut apps: BTreeMap<Name, Parts<'_>> = BTreeMap::new();
    for step in plan.steps() {
        apps.entry(step.address.name().root())
            .or_default()
            .take(step);
    }
    for (group, told) in &plan.rollouts {
        let app = apps.entry(group.root()).or_default();
        app.groups.entry(group.clone()).or_default().told = Some(told);
    }
    apps.retain(|_, parts| parts.is_rolled_out());
    let proven = apps.values().any(|parts| parts.proof.is_some());
    if !proven && apps.values().map(Parts::weight).sum::<usize>() < 2 {
        return Vec::new();
    }
    for (from, to) in waits(plan) {
        if let Some(parts) = apps.get_mut(&to.root()) {
            parts.after.entry(to).or_default().insert(from.root());
        }
    }
    let mut order: Vec<&Name> = apps.keys().collect();
    // Whoever comes after another has all that comes before the other before it as well.
    order.sort_by_cached_key(|app| (all_before(app, &apps).len(), (*app).clone()));
    order
        .into_iter()
        .map(|app| Course {
            app: app.to_string(),
            stages: apps[app].stages(),
        })
        .collect()
}

/// A machine, by its lane, or a release command, by its app: what an app of which others are rolled out must wait for.
fn place(step: &Step) -> Option<Name> {
    match step.op {
        AnyOp::FlyMachine(_) => Machine::lane(step.address.name()),
        AnyOp::FlyRelease(_) => Some(step.address.name().clone()),
        _ => None,
    }
}

/// What waits for another app, and for which.
fn waits(plan: &Plan) -> BTreeSet<(Name, Name)> {
    let graph = plan.graph();
    let ends = graph
        .edge_indices()
        .filter_map(|edge| graph.edge_endpoints(edge));
    let places = ends.filter_map(|(from, to)| Some((place(&graph[from])?, place(&graph[to])?)));
    places
        .filter(|(from, to)| from.root() != to.root())
        .collect()
}

/// Everything that comes before an app, directly or not.
fn all_before<'a>(app: &'a Name, apps: &'a BTreeMap<Name, Parts<'_>>) -> BTreeSet<&'a Name> {
    let mut all = BTreeSet::new();
    let mut open = vec![app];
    while let Some(parts) = open.pop().and_then(|app| apps.get(app)) {
        open.extend(
            parts
                .after
                .values()
                .flatten()
                .filter(|other| all.insert(*other)),
        );
    }
    all
}

/// Everything of one app that belongs to its rollout.
#[derive(Default)]
struct Parts<'p> {
    secrets: usize,
    /// The app, and its command.
    release: Option<(Name, String)>,
    groups: BTreeMap<Name, Group<'p>>,
    /// The step that shows that it works.
    proof: Option<&'p Step>,
    /// Cron machines that change, and new ones.
    crons: (Vec<String>, Vec<String>),
    /// Apps in which something must be healthy before: a group changes, or the command runs.
    after: BTreeMap<Name, BTreeSet<Name>>,
}

/// Adds a slot where it belongs: by region, and then by number.
fn insert(slots: &mut Vec<String>, slot: String) {
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
fn slot(name: &Name, skip: usize) -> String {
    name.parts().skip(skip).collect::<Vec<_>>().join("/")
}

impl<'p> Parts<'p> {
    fn take(&mut self, step: &'p Step) {
        let name = step.address.name();
        match (&step.op, step.action) {
            (AnyOp::FlySecrets(_), Action::Create | Action::Update) => {
                self.secrets = step.lines.len()
            }
            (AnyOp::FlyRelease(op), _) => {
                self.release = command(op).map(|command| (name.clone(), command))
            }
            (_, Action::Prove) => self.proof = Some(step),
            (AnyOp::FlyCron(_), Action::Update) => self.crons.0.push(slot(name, 1)),
            (AnyOp::FlyCron(_), Action::Create | Action::ReplaceCreate) => {
                self.crons.1.push(slot(name, 1))
            }
            (AnyOp::FlyMachine(_), Action::Create | Action::Delete | Action::ReplaceCreate) => {
                self.machine(name, step.action);
            }
            _ => {}
        }
    }

    fn machine(&mut self, name: &Name, action: Action) {
        let Some(lane) = Machine::lane(name) else {
            return;
        };
        let group = self.groups.entry(lane).or_default();
        match action {
            Action::Create => insert(&mut group.starts, slot(name, 2)),
            Action::Delete => insert(&mut group.ends, slot(name, 2)),
            _ => group.replaces = true,
        }
    }

    /// Whether there is anything whose order matters: new machines alone simply start.
    fn is_rolled_out(&self) -> bool {
        let told = self.groups.values().any(|group| group.told.is_some());
        told || self.release.is_some() || self.proof.is_some()
    }

    /// How many things happen.
    fn weight(&self) -> usize {
        let groups: usize = self.groups.values().map(Group::weight).sum();
        let single = usize::from(self.release.is_some()) + usize::from(self.proof.is_some());
        groups + single + usize::from(self.secrets > 0) + self.crons.0.len() + self.crons.1.len()
    }

    fn stages(&self) -> Vec<Vec<Row>> {
        let proven = self.proof.is_some();
        let mut last: Vec<Row> = Vec::new();
        if proven {
            let ends = self
                .groups
                .iter()
                .map(|(name, group)| Row::new(slot(name, 1), group.endings("")));
            last.extend(ends);
        }
        last.push(Row::new("cron".to_owned(), self.crons()));
        let stages = [
            self.before(),
            self.command(),
            self.changes(proven),
            self.verify(),
            last,
        ];
        stages.into_iter().filter_map(says_anything).collect()
    }

    fn before(&self) -> Vec<Row> {
        let words = match self.secrets {
            0 => return Vec::new(),
            1 => "1 changes".to_owned(),
            number => format!("{number} change, in one call"),
        };
        vec![Row::of("secrets", Say::Words(words))]
    }

    fn command(&self) -> Vec<Row> {
        let Some((name, command)) = &self.release else {
            return Vec::new();
        };
        vec![Row::of(
            "release",
            self.waiting(name, Say::Code(command.clone(), ", once".to_owned())),
        )]
    }

    /// The groups, side by side.
    fn changes(&self, proven: bool) -> Vec<Row> {
        let row = |(name, group): (&Name, &Group<'_>)| {
            let mut says = group.says(proven).into_iter();
            let first = says.next().map(|say| self.waiting(name, say));
            Row::new(slot(name, 1), first.into_iter().chain(says).collect())
        };
        self.groups.iter().map(row).collect()
    }

    /// The same, with the apps that come before it.
    fn waiting(&self, name: &Name, say: Say) -> Say {
        let Some(apps) = self.after.get(name) else {
            return say;
        };
        let apps: Vec<String> = apps.iter().map(ToString::to_string).collect();
        let after = format!("after {}", words::few(&apps, FEW));
        match say {
            Say::Words(words) => Say::Words(format!("{after}, {words}")),
            Say::List(lead, items) => Say::List(format!("{after}, {lead}"), items),
            Say::Code(code, words) => Say::Code(code, format!("{words}, {after}")),
        }
    }

    fn verify(&self) -> Vec<Row> {
        let proof = self.proof.and_then(proof);
        proof
            .map(|(url, words)| Row::of("verify", Say::Code(url, words)))
            .into_iter()
            .collect()
    }

    fn crons(&self) -> Vec<Say> {
        let (changed, new) = &self.crons;
        let be = if new.len() == 1 {
            "is new, and runs once"
        } else {
            "are new, and run once"
        };
        let say = |names: &[String], words| {
            (!names.is_empty()).then(|| Say::Words(format!("{}{words}", words::few(names, FEW))))
        };
        say(changed, ", not started")
            .into_iter()
            .chain(say(new, &format!(" {be}")))
            .collect()
    }
}

/// What is asked for to show that an app works, and what the answer must be.
pub(super) fn proof(step: &Step) -> Option<(String, String)> {
    let AnyOp::FlyApp(Op::Prove(app)) = &step.op else {
        return None;
    };
    let verify = app.verify.as_ref()?;
    // What stands in a query is nobody's business.
    let path = verify.path.split(['?', '#']).next().unwrap_or_default();
    let url = clean(&format!("https://{}{path}", verify.host(&app.name)));
    let body = if verify.body.is_some() {
        ", with the right body"
    } else {
        ""
    };
    Some((url, format!(" answers {}{body}", verify.status)))
}

/// The command of a step; cleaning up runs none.
fn command(op: &Op<ReleaseCommand>) -> Option<String> {
    let spec = match op {
        Op::Create(spec) => spec,
        Op::Edit(_, edits) => edits.iter().find_map(|edit| match edit {
            ReleaseEdit::Run(spec) => Some(&**spec),
            ReleaseEdit::Sweep(_) => None,
        })?,
        _ => return None,
    };
    Some(clean(&shell_words::join(&spec.workload.config.init.cmd)))
}

/// The stage without empty rows; `None` when nothing is left.
fn says_anything(mut stage: Vec<Row>) -> Option<Vec<Row>> {
    stage.retain(|row| !row.says.is_empty());
    (!stage.is_empty()).then_some(stage)
}

impl Row {
    fn new(label: String, says: Vec<Say>) -> Self {
        Self { label, says }
    }

    fn of(label: &str, say: Say) -> Self {
        Self::new(label.to_owned(), vec![say])
    }
}
