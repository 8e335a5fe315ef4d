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
    plan::{Action, CascadeDelete, Plan, Step},
};

mod aws;
mod before_after;
pub(super) mod naming;

use before_after::{BeforeAfter, sensitive_mask};

/// The version of Terraform's document that this is.
const FORMAT_VERSION: &str = "1.2";
/// The Terraform that writes such documents. Readers compare it, if at all, with the oldest they know.
const TERRAFORM_VERSION: &str = "1.9.0";
const PROVIDER: &str = "provider.trimtab.example/trimtab/trimtab";

/// The plan as Terraform's document.
#[must_use]
pub fn plan(plan: &Plan) -> Value {
    let resources = changed_resources(plan);
    let changes: Vec<Value> = resources
        .iter()
        .map(TerraformResource::change_json)
        .collect();
    let drift: Vec<Value> = resources
        .iter()
        .filter_map(TerraformResource::drift_json)
        .collect();
    let planned: Vec<Value> = resources
        .iter()
        .filter_map(|one| one.state_json(&one.values.after))
        .collect();
    let prior: Vec<Value> = resources
        .iter()
        .filter_map(|one| one.state_json(&one.values.before))
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
        "complete": !blocked && plan.selection.as_ref().is_none_or(|narrowed| narrowed.left_out.is_empty()),
        "errored": false,
    })
}

/// One resource that changes.
struct TerraformResource<'a> {
    kind: String,
    name: String,
    actions: &'static [&'static str],
    cause: Cause,
    /// Paths of the attributes that force a replacement.
    replace_paths: Vec<Value>,
    values: BeforeAfter,
    address: &'a Address,
}

/// All that change, by address, with names that are each used once.
fn changed_resources(plan: &Plan) -> Vec<TerraformResource<'_>> {
    let mut steps: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in plan.steps().filter(|step| !step.action.is_intermediate()) {
        steps.entry(&step.address).or_default().push(step);
    }
    let mut folded: BTreeMap<&Address, &CascadeDelete> = plan
        .cascade_deletes
        .iter()
        .map(|folded| (&folded.address, folded))
        .collect();
    let mut all: Vec<TerraformResource<'_>> = steps
        .into_iter()
        .map(|(address, steps)| {
            TerraformResource::from_steps(address, &steps, folded.remove(address))
        })
        .collect();
    // What has no step of its own vanishes all the same, and a policy against deletions must see it.
    all.extend(
        folded
            .into_iter()
            .map(|(address, folded)| TerraformResource::from_steps(address, &[], Some(folded))),
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
fn non_null(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

impl<'a> TerraformResource<'a> {
    fn from_steps(address: &'a Address, steps: &[&Step], folded: Option<&CascadeDelete>) -> Self {
        let mut sides = BeforeAfter::default();
        for step in steps {
            sides.apply_step(step);
        }
        if let Some(folded) = folded {
            sides.set_cascade_delete(folded);
        }
        sides.set_address(address);
        let forcing = steps
            .iter()
            .filter(|step| step.action == Action::ReplaceDelete)
            .flat_map(|step| &step.lines)
            .filter(|line| line.replaces)
            .map(|line| attribute_path(&line.path))
            .collect();
        Self {
            kind: naming::resource_type(address),
            name: naming::resource_name(address),
            actions: terraform_actions(&sides, steps),
            cause: steps.first().map_or(Cause::Unknown, |step| step.cause),
            replace_paths: forcing,
            values: sides,
            address,
        }
    }

    fn header(&self) -> Value {
        let (kind, name) = (&self.kind, &self.name);
        json!({
            "address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name,
            "provider_name": PROVIDER,
        })
    }

    fn change_json(&self) -> Value {
        let BeforeAfter {
            before,
            after,
            unknown,
        } = &self.values;
        let mut head = self.header();
        let mut change = json!({
            "actions": self.actions,
            "before": before,
            "after": after,
            "after_unknown": unknown,
            "before_sensitive": sensitive_mask(before),
            "after_sensitive": self.values.after_sensitive(),
        });
        if !self.replace_paths.is_empty() {
            change["replace_paths"] = json!(self.replace_paths);
        }
        if let Some(reason) = self.action_reason() {
            head["action_reason"] = json!(reason);
        }
        head["change"] = change;
        head
    }

    /// Terraform's word for why something is replaced or goes.
    fn action_reason(&self) -> Option<&'static str> {
        match self.actions {
            ["delete", "create"] | ["create", "delete"] => Some("replace_because_cannot_update"),
            ["delete"] => Some("delete_because_no_resource_config"),
            _ => None,
        }
    }

    /// What was changed outside, seen from what was applied: the change that somebody else made.
    fn drift_json(&self) -> Option<Value> {
        let drifted = self.cause == Cause::Outside && self.actions == ["update"];
        drifted.then(|| {
            let BeforeAfter { before, after, .. } = &self.values;
            let mut head = self.header();
            head["change"] = json!({
                "actions": ["update"],
                "before": after,
                "after": before,
                "after_unknown": {},
                "before_sensitive": sensitive_mask(after),
                "after_sensitive": sensitive_mask(before),
            });
            head
        })
    }

    fn state_json(&self, values: &Value) -> Option<Value> {
        let values = non_null(values)?;
        let mut head = self.header();
        head["schema_version"] = json!(0);
        head["values"] = values.clone();
        head["sensitive_values"] = sensitive_mask(values);
        Some(head)
    }
}

fn terraform_actions(sides: &BeforeAfter, steps: &[&Step]) -> &'static [&'static str] {
    match (non_null(&sides.before), non_null(&sides.after)) {
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
fn attribute_path(path: &str) -> Value {
    let path = if path == "mounts.volume" {
        "volume"
    } else {
        path
    };
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    json!(parts.collect::<Vec<_>>())
}
