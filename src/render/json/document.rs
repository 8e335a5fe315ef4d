//! The types of the plan document. They are apart from the plan's own, so that the plan may change without the
//! document; the words of its enums are taken from the plan's values, so that the schema cannot name others.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::FORMAT_VERSION;
use crate::{
    kinds::{Cause, Impact, Loss, fly::Machine},
    model::{Address, Line, Shown, Strategy},
    plan::{Action, Because, Change, Plan, Refusal, Verb},
    render::{
        Headline,
        entry::{Totals, all_refusals},
        value::without_secrets,
    },
};

/// A plan for one environment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Document {
    /// The version of this shape. Readers should refuse another first part and ignore fields they do not know.
    format_version: &'static str,
    /// The command that wrote it: `plan`, `drift`, `apply` or `destroy`.
    command: &'static str,
    project: String,
    environment: String,
    /// The organization on Fly.
    organization: String,
    /// `sandbox` when the clouds were imitated; otherwise empty.
    target: String,
    /// How many requests reading the world took.
    requests: u64,
    /// How long reading took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
    /// The short id, for people.
    plan_id: String,
    /// The whole id, for `apply --expect`.
    expect: String,
    /// Whether there is nothing to do and nothing in the way.
    empty: bool,
    /// Whether nothing speaks against an apply.
    applyable: bool,
    summary: Summary,
    /// One for each resource that changes, dangerous ones first.
    changes: Vec<Resource>,
    /// Every step, in an order that can be carried out.
    steps: Vec<Step>,
    /// How each process group comes out, by app and group, such as `web/app`; those in which nothing restarts are left
    /// out.
    rollouts: BTreeMap<String, Rollout>,
    /// How long an apply takes on Fly by experience, in seconds, from the first step to the last. What a release
    /// command has to do is not known beforehand.
    estimate_secs: u64,
    /// What speaks against an apply.
    refusals: Vec<Refused>,
    /// How many resources of each kind match the manifest.
    unchanged: BTreeMap<String, usize>,
    /// What is there and left alone.
    unmanaged: Vec<Unmanaged>,
    warnings: Vec<String>,
    /// What `--only` did.
    #[serde(skip_serializing_if = "Option::is_none")]
    narrowed: Option<Narrowed>,
}

/// How many resources change in which way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Summary {
    add: usize,
    change: usize,
    replace: usize,
    destroy: usize,
    /// What vanishes along with what is destroyed or replaced.
    along: usize,
    /// Machines that restart, or give way to new ones.
    restart: usize,
    /// Release commands.
    run: usize,
    blocked: usize,
    unchanged: usize,
}

/// What happens to one resource.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Resource {
    address: String,
    kind: String,
    name: String,
    #[schemars(schema_with = "verbs")]
    verb: Verb,
    /// The live object in short: its id, size, place. Empty for a creation.
    what: String,
    #[schemars(schema_with = "causes")]
    cause: Cause,
    #[schemars(schema_with = "impacts")]
    impact: Impact,
    #[schemars(schema_with = "losses")]
    loss: Option<Loss>,
    /// Whether the live object must not be destroyed.
    protected: bool,
    attributes: Vec<Attribute>,
    /// What vanishes along with it.
    takes_along: Vec<Along>,
}

/// One attribute that differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Attribute {
    /// Where, in the manifest's words, such as `env.LOG_LEVEL`.
    path: String,
    /// What is there; `null` when nothing is.
    from: Option<Side>,
    /// What shall be there; `null` when it goes away.
    to: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Whether this alone makes a replacement necessary.
    forces_replacement: bool,
}

/// One side of a difference. A secret is only said to be one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Side {
    /// In the open.
    Value(Value),
    /// A secret.
    Sensitive,
    /// Not known before the step that makes it has run.
    KnownAfterApply,
    /// A sentence about it.
    Words(String),
}

/// What vanishes with its container.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Along {
    address: String,
    what: String,
    #[schemars(schema_with = "losses")]
    loss: Option<Loss>,
    protected: bool,
}

/// One operation, and what it waits for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Step {
    address: String,
    #[schemars(schema_with = "actions")]
    action: Action,
    waits_for: Vec<Wait>,
}

/// How the machines of one process group change. Those that are made or go besides are only among the steps.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Rollout {
    #[schemars(schema_with = "strategies")]
    strategy: Strategy,
    /// How many machines may be unavailable at once. It says nothing where the strategy is `immediate`.
    at_once: u32,
    /// The addresses of the machines that restart or are replaced in place, in the order of their turns.
    members: Vec<String>,
    /// How many new machines come up beside as many old ones and take over from them, all at once.
    successors: usize,
    /// How many sleeping machines are updated without being started.
    asleep: usize,
}

impl Rollout {
    fn of(rollout: &crate::plan::Rollout) -> Self {
        let crate::plan::Rollout {
            turns,
            members,
            successors,
            asleep,
        } = rollout;
        Self {
            strategy: turns.strategy,
            at_once: turns.at_once,
            members: members
                .iter()
                .map(|name| Address::of::<Machine>(name).to_string())
                .collect(),
            successors: *successors,
            asleep: *asleep,
        }
    }
}

/// A step that comes first.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct Wait {
    address: String,
    #[schemars(schema_with = "actions")]
    action: Action,
    #[schemars(schema_with = "reasons")]
    because: Because,
}

/// Why a plan does not run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Refused {
    /// The resource, unless it is the plan as a whole.
    address: Option<String>,
    reason: String,
    /// The flag or the change that allows it.
    hint: String,
}

/// Something that is there but not ours to manage.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Unmanaged {
    what: String,
    /// The app it is in, by its key in the manifest.
    within: String,
    why: String,
}

/// What `--only` did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Narrowed {
    /// Steps that run although they were not asked for, because the others need them.
    pulled_in: Vec<String>,
    /// Steps that do not run now.
    left_out: Vec<String>,
}

fn one_of<T: Serialize>(words: &[T]) -> Schema {
    let words = serde_json::to_value(words).unwrap_or_default();
    json_schema!({ "enum": words })
}

fn verbs(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        Verb::Destroy,
        Verb::Replace,
        Verb::Run,
        Verb::Succeed,
        Verb::Restart,
        Verb::Update,
        Verb::Create,
    ])
}

fn causes(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        Cause::Manifest,
        Cause::Outside,
        Cause::Moved,
        Cause::Follows,
        Cause::Unknown,
    ])
}

fn impacts(_: &mut SchemaGenerator) -> Schema {
    one_of(&[Impact::Quiet, Impact::Asleep, Impact::Restart])
}

fn losses(_: &mut SchemaGenerator) -> Schema {
    one_of(&[Some(Loss::Data), Some(Loss::App), Some(Loss::Address), None])
}

fn actions(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        Action::Create,
        Action::Update,
        Action::ReplaceDelete,
        Action::ReplaceCreate,
        Action::Delete,
        Action::Succeed,
        Action::HandOver,
        Action::Retire,
        Action::Run,
        Action::Prove,
    ])
}

fn strategies(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        Strategy::Rolling,
        Strategy::Canary,
        Strategy::BlueGreen,
        Strategy::Immediate,
    ])
}

fn reasons(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        Because::Needs,
        Because::StillHeld,
        Because::SameName,
        Because::InTurn,
        Because::Healthy,
        Because::TakesOver,
    ])
}

fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

impl Document {
    pub(super) fn of(plan: &Plan, refusals: &[Refusal], headline: &Headline) -> Self {
        let refusals = all_refusals(plan, refusals);
        let id = plan.id();
        Self {
            format_version: FORMAT_VERSION,
            command: headline.command,
            project: headline.project.clone(),
            environment: headline.environment.clone(),
            organization: headline.org.clone(),
            target: headline.target.clone(),
            requests: headline.requests,
            elapsed_ms: headline
                .elapsed
                .and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok()),
            plan_id: id.short(),
            expect: id.to_string(),
            empty: plan.is_empty(),
            applyable: refusals.is_empty() && !plan.is_empty(),
            summary: Summary::of(plan),
            changes: plan.changes().into_iter().map(Resource::of).collect(),
            steps: steps(plan),
            rollouts: plan
                .rollouts
                .iter()
                .map(|(group, rollout)| (group.to_string(), Rollout::of(rollout)))
                .collect(),
            estimate_secs: plan.estimate().as_secs(),
            refusals: refusals.into_iter().map(Refused::of).collect(),
            unchanged: plan
                .unchanged
                .iter()
                .map(|(kind, number)| ((*kind).to_owned(), *number))
                .collect(),
            unmanaged: plan.found.unmanaged.iter().map(Unmanaged::of).collect(),
            warnings: plan.found.warnings.clone(),
            narrowed: plan.narrowed.as_ref().map(|narrowed| Narrowed {
                pulled_in: texts(&narrowed.pulled_in),
                left_out: texts(&narrowed.left_out),
            }),
        }
    }
}

/// The steps in order. The edges are looked through once, so that a large plan stays cheap.
fn steps(plan: &Plan) -> Vec<Step> {
    let graph = plan.graph();
    let mut waits: BTreeMap<(&Address, Action), Vec<Wait>> = BTreeMap::new();
    for edge in graph.edge_indices() {
        let Some((from, to)) = graph.edge_endpoints(edge) else {
            continue;
        };
        let (from, to) = (&graph[from], &graph[to]);
        waits
            .entry((&to.address, to.action))
            .or_default()
            .push(Wait {
                address: from.address.to_string(),
                action: from.action,
                because: graph[edge],
            });
    }
    plan.steps()
        .map(|step| Step {
            address: step.address.to_string(),
            action: step.action,
            waits_for: waits
                .remove(&(&step.address, step.action))
                .unwrap_or_default(),
        })
        .collect()
}

impl Summary {
    fn of(plan: &Plan) -> Self {
        let Totals {
            add,
            change,
            replace,
            destroy,
            along,
            restart,
            succeed: _,
            back: _,
            run,
            blocked,
            unchanged,
        } = Totals::of(plan);
        Self {
            add,
            change,
            replace,
            destroy,
            along,
            restart,
            run,
            blocked,
            unchanged,
        }
    }
}

impl Resource {
    fn of(change: Change) -> Self {
        Self {
            address: change.address.to_string(),
            kind: change.address.kind().to_owned(),
            name: change.address.name().to_string(),
            verb: change.verb,
            what: change.what,
            cause: change.cause,
            impact: change.impact,
            loss: change.loss,
            protected: change.protected,
            attributes: change
                .lines
                .iter()
                .map(without_secrets)
                .map(Attribute::of)
                .collect(),
            takes_along: change
                .takes_along
                .into_iter()
                .map(|folded| Along {
                    address: folded.address.to_string(),
                    what: folded.what,
                    loss: folded.loss,
                    protected: folded.protected,
                })
                .collect(),
        }
    }
}

impl Attribute {
    fn of(line: Line) -> Self {
        Self {
            path: line.path,
            from: line.from.map(Side::of),
            to: line.to.map(Side::of),
            note: line.note,
            forces_replacement: line.replaces,
        }
    }
}

impl Side {
    fn of(shown: Shown) -> Self {
        match shown {
            Shown::Value(value) => Self::Value(value),
            Shown::Sensitive => Self::Sensitive,
            Shown::KnownAfterApply => Self::KnownAfterApply,
            Shown::Words(words) => Self::Words(words),
        }
    }
}

impl Refused {
    fn of(refusal: Refusal) -> Self {
        Self {
            address: refusal.address.map(|address| address.to_string()),
            reason: refusal.reason,
            hint: refusal.hint,
        }
    }
}

impl Unmanaged {
    fn of(unmanaged: &crate::kinds::Unmanaged) -> Self {
        Self {
            what: unmanaged.what.clone(),
            within: unmanaged.within.to_string(),
            why: unmanaged.why.clone(),
        }
    }
}
