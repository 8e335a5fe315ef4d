//! The plan in the format of `terraform show -json PLANFILE`
//! (<https://developer.hashicorp.com/terraform/internals/json-format>), so that tools for that format work unmodified:
//! conftest, tf-summarize, tfplan2md, hashicorp/terraform-json.
//!
//! Unchanged resources are missing, because a plan only counts them. Terraform's address syntax cannot express trimtab's
//! addresses, so each resource has its own as the attribute `trimtab_address`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    kinds::Cause,
    model::{Address, redact_json},
    plan::{Action, CascadeDelete, Plan, Step},
};

mod aws;
mod before_after;
pub(super) mod naming;

use before_after::{BeforeAfter, sensitive_mask};

/// The version of Terraform's plan format.
const FORMAT_VERSION: &str = "1.2";
/// A Terraform version that writes this format. Readers at most check that it is not too old.
const TERRAFORM_VERSION: &str = "1.9.0";
/// The provider address. `.example` is reserved (RFC 2606), so it can never be a real one.
const PROVIDER: &str = "provider.trimtab.example/trimtab/trimtab";

/// Renders a plan in Terraform's format.
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
        .filter_map(|resource| resource.state_json(&resource.values.after))
        .collect();
    let prior: Vec<Value> = resources
        .iter()
        .filter_map(|resource| resource.state_json(&resource.values.before))
        .collect();
    let blocked = !plan.blocked.is_empty();
    redact_json(json!({
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
        "complete": !blocked && !plan.is_incomplete() && plan.selection.as_ref().is_none_or(|selection| selection.left_out.is_empty()),
        "errored": false,
    }))
}

/// A changed resource.
struct TerraformResource<'a> {
    /// The resource type and name in Terraform's syntax.
    kind: String,
    name: String,
    actions: &'static [&'static str],
    cause: Cause,
    /// The paths of the attributes that force a replacement.
    replace_paths: Vec<Value>,
    values: BeforeAfter,
    address: &'a Address,
}

/// All changed resources in the order of their addresses, with unique names.
fn changed_resources(plan: &Plan) -> Vec<TerraformResource<'_>> {
    let mut steps: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in plan.steps().filter(|step| !step.action.is_intermediate()) {
        steps.entry(&step.address).or_default().push(step);
    }
    let mut deletions: BTreeMap<&Address, &CascadeDelete> = plan
        .cascade_deletes
        .iter()
        .map(|deletion| (&deletion.address, deletion))
        .collect();
    let mut all: Vec<TerraformResource<'_>> = steps
        .into_iter()
        .map(|(address, steps)| {
            TerraformResource::from_steps(address, &steps, deletions.remove(address))
        })
        .collect();
    // Resources that are deleted together with another one have no step, but a policy against deletions must see them.
    all.extend(
        deletions
            .into_iter()
            .map(|(address, deletion)| TerraformResource::from_steps(address, &[], Some(deletion))),
    );
    all.sort_by(|a, b| a.address.cmp(b.address));
    let mut used_names = BTreeSet::new();
    for resource in &mut all {
        let base_name = resource.name.clone();
        let mut number = 2;
        // `web/a_b` and `web/a/b` have the same name in Terraform's syntax.
        while !used_names.insert((resource.kind.clone(), resource.name.clone())) {
            resource.name = format!("{base_name}_{number}");
            number += 1;
        }
    }
    all
}

/// `None` for JSON's `null`.
fn non_null(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

impl<'a> TerraformResource<'a> {
    fn from_steps(address: &'a Address, steps: &[&Step], deletion: Option<&CascadeDelete>) -> Self {
        let mut values = BeforeAfter::default();
        for step in steps {
            values.apply_step(step);
        }
        if let Some(deletion) = deletion {
            values.set_cascade_delete(deletion);
        }
        values.hide_secrets();
        values.set_address(address);
        let replace_paths = steps
            .iter()
            .filter(|step| step.action == Action::ReplaceDelete)
            .flat_map(|step| &step.lines)
            .filter(|line| line.replaces)
            .map(|line| attribute_path(&line.path))
            .collect();
        Self {
            kind: naming::resource_type(address),
            name: naming::resource_name(address),
            actions: terraform_actions(&values, steps),
            cause: steps.first().map_or(Cause::Unknown, |step| step.cause),
            replace_paths,
            values,
            address,
        }
    }

    /// The keys that every entry of a resource has.
    fn header(&self) -> Value {
        let (kind, name) = (&self.kind, &self.name);
        json!({
            "address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name,
            "provider_name": PROVIDER,
        })
    }

    /// The entry of `resource_changes`.
    fn change_json(&self) -> Value {
        let BeforeAfter {
            before,
            after,
            unknown,
        } = &self.values;
        let mut entry = self.header();
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
            entry["action_reason"] = json!(reason);
        }
        entry["change"] = change;
        entry
    }

    /// Terraform's `action_reason`.
    fn action_reason(&self) -> Option<&'static str> {
        match self.actions {
            ["delete", "create"] | ["create", "delete"] => Some("replace_because_cannot_update"),
            ["delete"] => Some("delete_because_no_resource_config"),
            _ => None,
        }
    }

    /// The entry of `resource_drift`: the change that was made outside, which is the reverse of the planned repair.
    fn drift_json(&self) -> Option<Value> {
        let is_drift = self.cause == Cause::Outside && self.actions == ["update"];
        is_drift.then(|| {
            let BeforeAfter { before, after, .. } = &self.values;
            let mut entry = self.header();
            entry["change"] = json!({
                "actions": ["update"],
                "before": after,
                "after": before,
                "after_unknown": {},
                "before_sensitive": sensitive_mask(after),
                "after_sensitive": sensitive_mask(before),
            });
            entry
        })
    }

    /// The entry of `planned_values` or `prior_state`; `None` if the resource does not exist then.
    fn state_json(&self, values: &Value) -> Option<Value> {
        let values = non_null(values)?;
        let mut entry = self.header();
        entry["schema_version"] = json!(0);
        entry["values"] = values.clone();
        entry["sensitive_values"] = sensitive_mask(values);
        Some(entry)
    }
}

/// Terraform's `actions`; their order tells whether the old or the new object comes first.
fn terraform_actions(values: &BeforeAfter, steps: &[&Step]) -> &'static [&'static str] {
    match (non_null(&values.before), non_null(&values.after)) {
        (None, _) => &["create"],
        (_, None) => &["delete"],
        _ if steps
            .iter()
            .all(|step| matches!(step.action, Action::Update | Action::Run)) =>
        {
            &["update"]
        }
        _ if steps
            .iter()
            .any(|step| step.action == Action::CreateSuccessor) =>
        {
            &["create", "delete"]
        }
        _ => &["delete", "create"],
    }
}

/// The path of an attribute as a list of keys of the normalized values.
fn attribute_path(path: &str) -> Value {
    let path = if path == "mounts.volume" {
        "volume"
    } else {
        path
    };
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    json!(parts.collect::<Vec<_>>())
}
