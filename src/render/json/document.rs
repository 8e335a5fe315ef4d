//! The types of the plan document. They are apart from the plan's own, so that the plan may change without the
//! document; the words of its enums are taken from the plan's values, so that the schema cannot name others.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::FORMAT_VERSION;
use crate::{
    kinds::{Cause, DataLoss, Impact, fly::Machine},
    model::{Address, DiffLine, DisplayValue, RolloutStrategy},
    plan::{Action, Change, EdgeReason, Plan, Refusal, Verb},
    render::{
        Headline,
        change_groups::{ChangeCounts, all_refusals},
        value::redact_line,
    },
};

/// A plan for one environment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlanDocument {
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
    summary: ChangeSummary,
    /// One for each resource that changes, dangerous ones first.
    changes: Vec<ResourceChange>,
    /// Every step, in an order that can be carried out.
    steps: Vec<StepEntry>,
    /// How each process group comes out, by app and group, such as `web/app`; those in which nothing restarts are left
    /// out.
    rollouts: BTreeMap<String, RolloutEntry>,
    /// How long an apply takes on Fly by experience, in seconds, from the first step to the last. What a release
    /// command has to do is not known beforehand.
    estimate_secs: u64,
    /// What speaks against an apply.
    refusals: Vec<RefusalEntry>,
    /// How many resources of each kind match the manifest.
    unchanged: BTreeMap<String, usize>,
    /// What is there and left alone.
    unmanaged: Vec<UnmanagedEntry>,
    warnings: Vec<String>,
    /// What `--only` did.
    #[serde(skip_serializing_if = "Option::is_none")]
    narrowed: Option<NarrowedEntry>,
}

/// How many resources change in which way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ChangeSummary {
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
struct ResourceChange {
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
    loss: Option<DataLoss>,
    /// Whether the live object must not be destroyed.
    protected: bool,
    attributes: Vec<AttributeChange>,
    /// What vanishes along with it.
    takes_along: Vec<CascadeEntry>,
}

/// One attribute that differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct AttributeChange {
    /// Where, in the manifest's words, such as `env.LOG_LEVEL`.
    path: String,
    /// What is there; `null` when nothing is.
    from: Option<AttributeValue>,
    /// What shall be there; `null` when it goes away.
    to: Option<AttributeValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Whether this alone makes a replacement necessary.
    forces_replacement: bool,
}

/// One side of a difference. A secret is only said to be one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AttributeValue {
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
struct CascadeEntry {
    address: String,
    what: String,
    #[schemars(schema_with = "losses")]
    loss: Option<DataLoss>,
    protected: bool,
}

/// One operation, and what it waits for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct StepEntry {
    address: String,
    #[schemars(schema_with = "actions")]
    action: Action,
    waits_for: Vec<StepDependency>,
}

/// How the machines of one process group change. Those that are made or go besides are only among the steps.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RolloutEntry {
    #[schemars(schema_with = "strategies")]
    strategy: RolloutStrategy,
    /// How many machines may be unavailable at once. It says nothing where the strategy is `immediate`.
    at_once: u32,
    /// The addresses of the machines that restart or are replaced in place, in the order of their turns.
    members: Vec<String>,
    /// How many new machines come up beside as many old ones and take over from them, all at once.
    successors: usize,
    /// How many sleeping machines are updated without being started.
    asleep: usize,
}

impl RolloutEntry {
    fn from_plan(rollout: &crate::plan::GroupRollout) -> Self {
        let crate::plan::GroupRollout {
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
                .map(|name| Address::new::<Machine>(name).to_string())
                .collect(),
            successors: *successors,
            asleep: *asleep,
        }
    }
}

/// A step that comes first.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct StepDependency {
    address: String,
    #[schemars(schema_with = "actions")]
    action: Action,
    #[schemars(schema_with = "reasons")]
    because: EdgeReason,
}

/// Why a plan does not run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RefusalEntry {
    /// The resource, unless it is the plan as a whole.
    address: Option<String>,
    reason: String,
    /// The flag or the change that allows it.
    hint: String,
}

/// Something that is there but not ours to manage.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct UnmanagedEntry {
    what: String,
    /// The app it is in, by its key in the manifest.
    within: String,
    why: String,
}

/// What `--only` did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct NarrowedEntry {
    /// Steps that run although they were not asked for, because the others need them.
    pulled_in: Vec<String>,
    /// Steps that do not run now.
    left_out: Vec<String>,
}

fn enum_schema<T: Serialize>(words: &[T]) -> Schema {
    let words = serde_json::to_value(words).unwrap_or_default();
    json_schema!({ "enum": words })
}

fn verbs(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
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
    enum_schema(&[
        Cause::Manifest,
        Cause::Outside,
        Cause::Moved,
        Cause::Follows,
        Cause::Unknown,
    ])
}

fn impacts(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[Impact::Quiet, Impact::Asleep, Impact::Restart])
}

fn losses(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        Some(DataLoss::Data),
        Some(DataLoss::App),
        Some(DataLoss::Address),
        None,
    ])
}

fn actions(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
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
    enum_schema(&[
        RolloutStrategy::Rolling,
        RolloutStrategy::Canary,
        RolloutStrategy::BlueGreen,
        RolloutStrategy::Immediate,
    ])
}

fn reasons(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        EdgeReason::Needs,
        EdgeReason::StillHeld,
        EdgeReason::SameName,
        EdgeReason::InTurn,
        EdgeReason::Healthy,
        EdgeReason::TakesOver,
    ])
}

fn to_strings(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

impl PlanDocument {
    pub(super) fn new(plan: &Plan, refusals: &[Refusal], headline: &Headline) -> Self {
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
            summary: ChangeSummary::from_plan(plan),
            changes: plan
                .changes()
                .into_iter()
                .map(ResourceChange::from_change)
                .collect(),
            steps: step_entries(plan),
            rollouts: plan
                .rollouts
                .iter()
                .map(|(group, rollout)| (group.to_string(), RolloutEntry::from_plan(rollout)))
                .collect(),
            estimate_secs: plan.estimate().as_secs(),
            refusals: refusals
                .into_iter()
                .map(RefusalEntry::from_refusal)
                .collect(),
            unchanged: plan
                .unchanged
                .iter()
                .map(|(kind, number)| ((*kind).to_owned(), *number))
                .collect(),
            unmanaged: plan
                .findings
                .unmanaged
                .iter()
                .map(UnmanagedEntry::from_found)
                .collect(),
            warnings: plan.findings.warnings.clone(),
            narrowed: plan.selection.as_ref().map(|narrowed| NarrowedEntry {
                pulled_in: to_strings(&narrowed.pulled_in),
                left_out: to_strings(&narrowed.left_out),
            }),
        }
    }
}

/// The steps in order. The edges are looked through once, so that a large plan stays cheap.
fn step_entries(plan: &Plan) -> Vec<StepEntry> {
    let graph = plan.graph();
    let mut waits: BTreeMap<(&Address, Action), Vec<StepDependency>> = BTreeMap::new();
    for edge in graph.edge_indices() {
        let Some((from, to)) = graph.edge_endpoints(edge) else {
            continue;
        };
        let (from, to) = (&graph[from], &graph[to]);
        waits
            .entry((&to.address, to.action))
            .or_default()
            .push(StepDependency {
                address: from.address.to_string(),
                action: from.action,
                because: graph[edge],
            });
    }
    plan.steps()
        .map(|step| StepEntry {
            address: step.address.to_string(),
            action: step.action,
            waits_for: waits
                .remove(&(&step.address, step.action))
                .unwrap_or_default(),
        })
        .collect()
}

impl ChangeSummary {
    fn from_plan(plan: &Plan) -> Self {
        let ChangeCounts {
            add,
            change,
            replace,
            destroy,
            cascaded: along,
            restart,
            successors: _,
            is_rollback: _,
            run,
            blocked,
            unchanged,
        } = ChangeCounts::from_plan(plan);
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

impl ResourceChange {
    fn from_change(change: Change) -> Self {
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
                .map(redact_line)
                .map(AttributeChange::from_line)
                .collect(),
            takes_along: change
                .takes_along
                .into_iter()
                .map(|folded| CascadeEntry {
                    address: folded.address.to_string(),
                    what: folded.what,
                    loss: folded.loss,
                    protected: folded.protected,
                })
                .collect(),
        }
    }
}

impl AttributeChange {
    fn from_line(line: DiffLine) -> Self {
        Self {
            path: line.path,
            from: line.from.map(AttributeValue::from_shown),
            to: line.to.map(AttributeValue::from_shown),
            note: line.note,
            forces_replacement: line.replaces,
        }
    }
}

impl AttributeValue {
    fn from_shown(shown: DisplayValue) -> Self {
        match shown {
            DisplayValue::Value(value) => Self::Value(value),
            DisplayValue::Sensitive => Self::Sensitive,
            DisplayValue::KnownAfterApply => Self::KnownAfterApply,
            DisplayValue::Words(words) => Self::Words(words),
        }
    }
}

impl RefusalEntry {
    fn from_refusal(refusal: Refusal) -> Self {
        Self {
            address: refusal.address.map(|address| address.to_string()),
            reason: refusal.reason,
            hint: refusal.hint,
        }
    }
}

impl UnmanagedEntry {
    fn from_found(unmanaged: &crate::kinds::UnmanagedResource) -> Self {
        Self {
            what: unmanaged.what.clone(),
            within: unmanaged.within.to_string(),
            why: unmanaged.why.clone(),
        }
    }
}
