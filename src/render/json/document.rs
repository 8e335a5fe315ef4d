//! The types of the plan document. They are separate from the planner's types, so that those can change without changing
//! the document. The enum values in the schema come from the planner's types, so they cannot diverge.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    FORMAT_VERSION,
    enum_schemas::{
        action_schema, cause_schema, data_loss_schema, deferral_reason_schema, edge_reason_schema,
        impact_schema, strategy_schema, verb_schema,
    },
};
use crate::{
    kinds::{Cause, DataLoss, Impact, fly::Machine},
    model::{Address, DiffLine, DisplayValue, RolloutStrategy},
    plan::{Action, Change, DeferralReason, DeferredChange, EdgeReason, Plan, Refusal, Verb},
    render::{
        Headline,
        change_groups::{ChangeCounts, all_refusals},
        value::redact_line,
    },
};

/// A plan for one environment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlanDocument {
    /// The version of the document, as major.minor. Readers should reject another major version and ignore unknown
    /// fields.
    format_version: &'static str,
    /// The command that wrote the document: `plan`, `drift`, `apply` or `destroy`.
    command: &'static str,
    project: String,
    environment: String,
    /// The slug of the Fly organization.
    organization: String,
    /// `sandbox` when the clouds were simulated; otherwise empty.
    target: String,
    /// The number of API requests that reading the live state took.
    requests: u64,
    /// How long reading the live state took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
    /// The short plan id, for people.
    plan_id: String,
    /// The full plan id, for `apply --expect`.
    expect: String,
    /// Whether `--image` gave images. `plan_id` and `expect` do not cover them.
    has_given_images: bool,
    /// Whether there is nothing to do and nothing is blocked. What is deferred may still differ.
    empty: bool,
    /// Whether `apply` would do something and not refuse.
    applyable: bool,
    summary: ChangeSummary,
    /// The changed resources, the most dangerous changes first.
    changes: Vec<ResourceChange>,
    /// All steps, in an order that respects their dependencies.
    steps: Vec<StepEntry>,
    /// The rollout of each process group in which machines restart, by app and group, such as `web/app`.
    rollouts: BTreeMap<String, RolloutEntry>,
    /// The estimated duration of an apply on Fly, in seconds, without the release commands, whose duration is unknown.
    estimate_secs: u64,
    /// Why `apply` would refuse this plan.
    refusals: Vec<RefusalEntry>,
    /// Differences that this plan leaves as they are.
    deferred: Vec<DeferredEntry>,
    /// The number of resources that match the manifest, by kind.
    unchanged: BTreeMap<String, usize>,
    /// Live objects that trimtab does not manage.
    unmanaged: Vec<UnmanagedEntry>,
    warnings: Vec<String>,
    /// The effect of `--only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    narrowed: Option<NarrowedEntry>,
}

/// The number of resources by what happens to them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ChangeSummary {
    add: usize,
    change: usize,
    replace: usize,
    destroy: usize,
    /// Resources that are deleted together with the one that contains them.
    along: usize,
    /// Machines that restart or are superseded by new ones.
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
    #[schemars(schema_with = "verb_schema")]
    verb: Verb,
    /// A short description of the live object: its id, size and region. Empty for a creation.
    what: String,
    #[schemars(schema_with = "cause_schema")]
    cause: Cause,
    #[schemars(schema_with = "impact_schema")]
    impact: Impact,
    #[schemars(schema_with = "data_loss_schema")]
    loss: Option<DataLoss>,
    /// Whether the live object is protected against deletion.
    protected: bool,
    attributes: Vec<AttributeChange>,
    /// Resources that are deleted together with this one.
    takes_along: Vec<CascadeEntry>,
}

/// One attribute that differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct AttributeChange {
    /// The path of the attribute in the terms of the manifest, such as `env.LOG_LEVEL`.
    path: String,
    /// The live value; `null` if there is none.
    from: Option<AttributeValue>,
    /// The desired value; `null` if it is removed.
    to: Option<AttributeValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Whether this difference forces a replacement of the resource.
    forces_replacement: bool,
}

/// A live or desired value. Secrets are only marked as such.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AttributeValue {
    /// The value itself.
    Value(Value),
    /// The value is secret.
    Sensitive,
    /// The value is only known after the apply.
    KnownAfterApply,
    /// A description instead of a value.
    Words(String),
}

/// A resource that is deleted together with the one that contains it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct CascadeEntry {
    address: String,
    what: String,
    #[schemars(schema_with = "data_loss_schema")]
    loss: Option<DataLoss>,
    protected: bool,
}

/// One step and its dependencies.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct StepEntry {
    address: String,
    #[schemars(schema_with = "action_schema")]
    action: Action,
    waits_for: Vec<StepDependency>,
}

/// How existing machines of one process group change. Creations and deletions are only in `steps`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RolloutEntry {
    #[schemars(schema_with = "strategy_schema")]
    strategy: RolloutStrategy,
    /// The maximum number of machines that are unavailable at once. Without effect if the strategy is `immediate`.
    at_once: u32,
    /// The addresses of the machines that restart or are replaced in place, in rollout order.
    members: Vec<String>,
    /// The number of successors: they start next to the machines that they replace and take over all at once.
    successors: usize,
    /// The number of sleeping machines that are updated without being started.
    asleep: usize,
}

impl RolloutEntry {
    fn from_plan(rollout: &crate::plan::GroupRollout) -> Self {
        let crate::plan::GroupRollout {
            policy,
            members,
            successors,
            asleep,
        } = rollout;
        Self {
            strategy: policy.strategy,
            at_once: policy.at_once,
            members: members
                .iter()
                .map(|name| Address::new::<Machine>(name).to_string())
                .collect(),
            successors: *successors,
            asleep: *asleep,
        }
    }
}

/// A step that must end first, and why.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct StepDependency {
    address: String,
    #[schemars(schema_with = "action_schema")]
    action: Action,
    #[schemars(schema_with = "edge_reason_schema")]
    because: EdgeReason,
}

/// A reason why `apply` refuses the plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RefusalEntry {
    /// The resource; `null` if the reason is about the plan as a whole.
    address: Option<String>,
    reason: String,
    /// The flag or change that allows it.
    hint: String,
}

/// A difference that the plan leaves as it is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct DeferredEntry {
    address: String,
    /// `unavailable` when a later apply can make the change, `manual` when only the user can.
    #[schemars(schema_with = "deferral_reason_schema")]
    because: DeferralReason,
    reason: String,
    /// What to do about it.
    hint: String,
}

/// A live object that trimtab does not manage.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct UnmanagedEntry {
    what: String,
    /// The app that contains it, by its key in the manifest.
    within: String,
    why: String,
}

/// The effect of `--only`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct NarrowedEntry {
    /// Resources that are included although they were not selected, because selected ones need them.
    pulled_in: Vec<String>,
    /// Changed resources that are left out.
    left_out: Vec<String>,
}

fn to_strings(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

impl PlanDocument {
    pub(super) fn new(plan: &Plan, refusals: &[Refusal], headline: &Headline) -> Self {
        let refusals = all_refusals(plan, refusals);
        let id = plan.review_id();
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
            has_given_images: plan.has_given_images,
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
            deferred: plan
                .deferred
                .iter()
                .map(DeferredEntry::from_change)
                .collect(),
            unchanged: plan
                .unchanged
                .iter()
                .map(|(kind, count)| ((*kind).to_owned(), *count))
                .collect(),
            unmanaged: plan
                .findings
                .unmanaged
                .iter()
                .map(UnmanagedEntry::from_resource)
                .collect(),
            warnings: plan.findings.warnings.clone(),
            narrowed: plan.selection.as_ref().map(|selection| NarrowedEntry {
                pulled_in: to_strings(&selection.pulled_in),
                left_out: to_strings(&selection.left_out),
            }),
        }
    }
}

/// The steps in order, with their dependencies. Collects all edges in one pass, because searching the edges of each step
/// would be quadratic.
fn step_entries(plan: &Plan) -> Vec<StepEntry> {
    let graph = plan.graph();
    let mut dependencies: BTreeMap<(&Address, Action), Vec<StepDependency>> = BTreeMap::new();
    for edge in graph.edge_indices() {
        let Some((from, to)) = graph.edge_endpoints(edge) else {
            continue;
        };
        let (from, to) = (&graph[from], &graph[to]);
        dependencies
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
            waits_for: dependencies
                .remove(&(&step.address, step.action))
                .unwrap_or_default(),
        })
        .collect()
}

// Destructuring without `..` makes a new count a compile error until somebody decides whether to publish it.
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
            what: change.description,
            cause: change.cause,
            impact: change.impact,
            loss: change.data_loss,
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
                .map(|deletion| CascadeEntry {
                    address: deletion.address.to_string(),
                    what: deletion.description,
                    loss: deletion.data_loss,
                    protected: deletion.protected,
                })
                .collect(),
        }
    }
}

impl AttributeChange {
    fn from_line(line: DiffLine) -> Self {
        Self {
            path: line.path,
            from: line.from.map(AttributeValue::from_display_value),
            to: line.to.map(AttributeValue::from_display_value),
            note: line.note,
            forces_replacement: line.replaces,
        }
    }
}

impl AttributeValue {
    fn from_display_value(value: DisplayValue) -> Self {
        match value {
            DisplayValue::Value(json) => Self::Value(json),
            DisplayValue::Sensitive => Self::Sensitive,
            DisplayValue::KnownAfterApply => Self::KnownAfterApply,
            DisplayValue::Words(text) => Self::Words(text),
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

impl DeferredEntry {
    fn from_change(change: &DeferredChange) -> Self {
        Self {
            address: change.address.to_string(),
            because: change.reason,
            reason: change.blocker.reason.clone(),
            hint: change.blocker.hint.clone(),
        }
    }
}

impl UnmanagedEntry {
    fn from_resource(unmanaged: &crate::kinds::UnmanagedResource) -> Self {
        Self {
            what: unmanaged.description.clone(),
            within: unmanaged.container.name().to_string(),
            why: unmanaged.why.clone(),
        }
    }
}
