//! Output for programs: our JSON with its schema, Terraform's JSON, and events.

use serde_json::Value;
use snapbox::{assert_data_eq, file};
use trimtab::render::{json, tfjson};

use crate::render::fixture::{
    app_replacement, desired, every_kind_of_change, headline, plan_with_refusals, pretty_json,
    world_after_apply,
};
use crate::render::run::{sample_events, sample_report};

#[test]
fn plan_json() {
    let (desired, world) = every_kind_of_change();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let document = json::plan(&plan, &refusals, &headline("plan"));
    assert_data_eq!(pretty_json(&document), file!["json/eventful.json"].raw());
}

/// Fails when the types have changed and the file has not. `SNAPSHOTS=overwrite` rewrites it.
#[test]
fn plan_schema_is_up_to_date() {
    assert_data_eq!(
        pretty_json(&json::schema()),
        file!["../../schema/plan.schema.json"].raw()
    );
}

#[test]
fn plan_json_conforms_to_schema() {
    let schema = json::schema();
    for (desired, world) in [every_kind_of_change(), app_replacement()] {
        let (plan, refusals) = plan_with_refusals(&desired, &world);
        let document = json::plan(&plan, &refusals, &headline("plan"));
        assert_conforms(&document, &schema, &schema, "");
    }
}

/// Validates as much of JSON Schema as our own schemas use.
pub(crate) fn assert_conforms(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return assert_conforms(
            value,
            root.pointer(name.trim_start_matches('#')).unwrap(),
            root,
            at,
        );
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is none of {words:?}");
    }
    if let Some(object) = value
        .as_object()
        .filter(|_| schema["properties"].is_object())
    {
        let known = schema["properties"].as_object().unwrap();
        for (key, value) in object {
            let inner = known
                .get(key)
                .unwrap_or_else(|| panic!("{at}.{key} is not in the schema"));
            assert_conforms(value, inner, root, &format!("{at}.{key}"));
        }
        for key in schema["required"].as_array().into_iter().flatten() {
            assert!(
                object.contains_key(key.as_str().unwrap()),
                "{at} lacks {key}"
            );
        }
    }
    for value in value.as_array().into_iter().flatten() {
        assert_conforms(value, &schema["items"], root, &format!("{at}[]"));
    }
}

#[test]
fn terraform_json() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    assert_data_eq!(
        pretty_json(&tfjson::plan(&plan)),
        file!["tfjson/eventful.json"].raw()
    );
    let (desired, world) = app_replacement();
    let (plan, _) = plan_with_refusals(&desired, &world);
    let document = tfjson::plan(&plan);
    let replaced = &document["resource_changes"][0];
    assert_eq!(replaced["address"], "trimtab_fly_app.web");
    assert_eq!(
        replaced["change"]["actions"],
        serde_json::json!(["delete", "create"])
    );
    assert_eq!(
        replaced["change"]["replace_paths"],
        serde_json::json!([["network"]])
    );
    let lost: Vec<&Value> = changes_of_type(&document, "trimtab_fly_volume").collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(
        lost[0]["change"]["actions"],
        serde_json::json!(["delete", "create"])
    );
}

fn changes_of_type<'a>(document: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let changes = document["resource_changes"].as_array().unwrap().iter();
    changes.filter(move |change| change["type"] == kind)
}

/// An attribute that is equal before and after is no change: an update differs only in the
/// attributes that the plan shows.
#[test]
fn terraform_update_matches_plan() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    let document = tfjson::plan(&plan);
    let machine = changes_of_type(&document, "trimtab_fly_machine")
        .find(|change| change["name"] == "web_app_ewr_0")
        .unwrap();
    let (before, after) = (&machine["change"]["before"], &machine["change"]["after"]);
    let keys = before.as_object().unwrap().keys();
    let differ: Vec<&String> = keys.filter(|key| before[*key] != after[*key]).collect();
    assert_eq!(differ, ["config"]);
    assert_eq!(after["config"]["env"]["LOG_LEVEL"], "WARN");
}

#[test]
fn empty_plan_is_empty_in_every_document() {
    let desired = desired();
    let (plan, refusals) = plan_with_refusals(&desired, &world_after_apply(&desired));
    assert_eq!(
        json::plan(&plan, &refusals, &headline("plan"))["empty"],
        true
    );
    let document = tfjson::plan(&plan);
    assert_eq!(document["resource_changes"], serde_json::json!([]));
    assert_eq!(document["applyable"], false);
    assert_eq!(document["complete"], true);
}

#[test]
fn apply_events_as_json_lines() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    let mut lines = vec![json::summary(&plan)];
    lines.extend(sample_events().iter().map(json::event));
    lines.push(json::report(&sample_report()));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_data_eq!(text, file!["json/events.ndjson"].raw());
}
