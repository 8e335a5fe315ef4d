//! The plan as `terraform show -json PLANFILE` writes one, so that policies, summaries and comments made for that read
//! ours unmodified: conftest, tf-summarize, tfplan2md, hashicorp/terraform-json.
//!
//! Unchanged resources are not in it, because a plan only counts them. Our own address stands in each resource's values
//! as `trimtab_address`, since Terraform's syntax cannot hold it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    kinds::Cause,
    model::Address,
    plan::{Action, Folded, Plan, Step},
};

mod aws;
pub(super) mod naming;
mod sides;

use sides::{Sides, sensitive};

/// The version of Terraform's document that this is.
const FORMAT_VERSION: &str = "1.2";
/// The Terraform that writes such documents. Readers compare it, if at all, with the oldest they know.
const TERRAFORM_VERSION: &str = "1.9.0";
const PROVIDER: &str = "provider.trimtab.example/trimtab/trimtab";

/// The plan as Terraform's document.
#[must_use]
pub fn plan(plan: &Plan) -> Value {
    let resources = resources(plan);
    let changes: Vec<Value> = resources.iter().map(Resource::change).collect();
    let drift: Vec<Value> = resources.iter().filter_map(Resource::drift).collect();
    let planned: Vec<Value> = resources
        .iter()
        .filter_map(|one| one.state(&one.sides.after))
        .collect();
    let prior: Vec<Value> = resources
        .iter()
        .filter_map(|one| one.state(&one.sides.before))
        .collect();
    let blocked = !plan.blocked.is_empty();
    json!({
        "format_version": FORMAT_VERSION,
        "terraform_version": TERRAFORM_VERSION,
        "planned_values": { "root_module": { "resources": planned } },
        "resource_drift": drift,
        "resource_changes": changes,
        "output_changes": {},
        "prior_state": {
            "format_version": "1.0",
            "terraform_version": TERRAFORM_VERSION,
            "values": { "root_module": { "resources": prior } },
        },
        "configuration": {
            "provider_config": { "trimtab": { "name": "trimtab", "full_name": PROVIDER } },
            "root_module": {},
        },
        "relevant_attributes": [],
        "checks": [],
        "applyable": !plan.is_empty() && !blocked,
        "complete": !blocked && plan.narrowed.as_ref().is_none_or(|narrowed| narrowed.left_out.is_empty()),
        "errored": false,
    })
}

/// One resource that changes.
struct Resource<'a> {
    kind: String,
    name: String,
    actions: &'static [&'static str],
    cause: Cause,
    /// Paths of the attributes that force a replacement.
    forcing: Vec<Value>,
    sides: Sides,
    address: &'a Address,
}

/// All that change, by address, with names that are each used once.
fn resources(plan: &Plan) -> Vec<Resource<'_>> {
    let mut steps: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in plan.steps().filter(|step| !step.action.is_on_the_way()) {
        steps.entry(&step.address).or_default().push(step);
    }
    let mut folded: BTreeMap<&Address, &Folded> = plan
        .folded
        .iter()
        .map(|folded| (&folded.address, folded))
        .collect();
    let mut all: Vec<Resource<'_>> = steps
        .into_iter()
        .map(|(address, steps)| Resource::of(address, &steps, folded.remove(address)))
        .collect();
    // What has no step of its own vanishes all the same, and a policy against deletions must see it.
    all.extend(
        folded
            .into_iter()
            .map(|(address, folded)| Resource::of(address, &[], Some(folded))),
    );
    all.sort_by(|a, b| a.address.cmp(b.address));
    let mut used = BTreeSet::new();
    for resource in &mut all {
        let plain = resource.name.clone();
        let mut number = 2;
        // `web/a_b` and `web/a/b` are one name to Terraform.
        while !used.insert((resource.kind.clone(), resource.name.clone())) {
            resource.name = format!("{plain}_{number}");
            number += 1;
        }
    }
    all
}

/// The part of a document for one side, or nothing for `null`.
fn present(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

impl<'a> Resource<'a> {
    fn of(address: &'a Address, steps: &[&Step], folded: Option<&Folded>) -> Self {
        let mut sides = Sides::default();
        for step in steps {
            sides.take(step);
        }
        if let Some(folded) = folded {
            sides.vanishes(folded);
        }
        sides.name(address);
        let forcing = steps
            .iter()
            .filter(|step| step.action == Action::ReplaceDelete)
            .flat_map(|step| &step.lines)
            .filter(|line| line.replaces)
            .map(|line| path(&line.path))
            .collect();
        Self {
            kind: naming::kind(address),
            name: naming::name(address),
            actions: actions(&sides, steps),
            cause: steps.first().map_or(Cause::Unknown, |step| step.cause),
            forcing,
            sides,
            address,
        }
    }

    fn head(&self) -> Value {
        let (kind, name) = (&self.kind, &self.name);
        json!({
            "address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name,
            "provider_name": PROVIDER,
        })
    }

    fn change(&self) -> Value {
        let Sides {
            before,
            after,
            unknown,
        } = &self.sides;
        let mut head = self.head();
        let mut change = json!({
            "actions": self.actions,
            "before": before,
            "after": after,
            "after_unknown": unknown,
            "before_sensitive": sensitive(before),
            "after_sensitive": self.sides.after_sensitive(),
        });
        if !self.forcing.is_empty() {
            change["replace_paths"] = json!(self.forcing);
        }
        if let Some(reason) = self.reason() {
            head["action_reason"] = json!(reason);
        }
        head["change"] = change;
        head
    }

    /// Terraform's word for why something is replaced or goes.
    fn reason(&self) -> Option<&'static str> {
        match self.actions {
            ["delete", "create"] | ["create", "delete"] => Some("replace_because_cannot_update"),
            ["delete"] => Some("delete_because_no_resource_config"),
            _ => None,
        }
    }

    /// What was changed outside, seen from what was applied: the change that somebody else made.
    fn drift(&self) -> Option<Value> {
        let drifted = self.cause == Cause::Outside && self.actions == ["update"];
        drifted.then(|| {
            let Sides { before, after, .. } = &self.sides;
            let mut head = self.head();
            head["change"] = json!({
                "actions": ["update"],
                "before": after,
                "after": before,
                "after_unknown": {},
                "before_sensitive": sensitive(after),
                "after_sensitive": sensitive(before),
            });
            head
        })
    }

    fn state(&self, values: &Value) -> Option<Value> {
        let values = present(values)?;
        let mut head = self.head();
        head["schema_version"] = json!(0);
        head["values"] = values.clone();
        head["sensitive_values"] = sensitive(values);
        Some(head)
    }
}

fn actions(sides: &Sides, steps: &[&Step]) -> &'static [&'static str] {
    match (present(&sides.before), present(&sides.after)) {
        (None, _) => &["create"],
        (_, None) => &["delete"],
        _ if steps
            .iter()
            .all(|step| matches!(step.action, Action::Update | Action::Run)) =>
        {
            &["update"]
        }
        _ if steps.iter().any(|step| step.action == Action::Succeed) => &["create", "delete"],
        _ => &["delete", "create"],
    }
}

/// A path of ours in steps, in the words of the values.
fn path(path: &str) -> Value {
    let path = if path == "mounts.volume" {
        "volume"
    } else {
        path
    };
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    json!(parts.collect::<Vec<_>>())
}
