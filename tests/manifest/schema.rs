//! The JSON Schema of manifests is up to date, and describes every key. `SNAPSHOTS=overwrite`
//! rewrites it.

use snapbox::{Assert, Data};
use trimtab::manifest::editor_schema;

use crate::manifest::support::repo_path;

#[test]
fn stored_schema_is_up_to_date() {
    let text = format!(
        "{}\n",
        serde_json::to_string_pretty(&editor_schema()).unwrap()
    );
    let stored = Data::read_from(
        &repo_path("schema/environment.schema.json"),
        Some(snapbox::data::DataFormat::Text),
    );
    Assert::new()
        .action_env("SNAPSHOTS")
        .normalize_paths(false)
        .eq(text, stored);
}

#[test]
fn every_key_has_a_description() {
    fn undescribed(value: &serde_json::Value, path: &str, out: &mut Vec<String>) {
        let properties = value
            .get("properties")
            .and_then(serde_json::Value::as_object);
        for (key, property) in properties.into_iter().flatten() {
            if property.get("description").is_none() {
                out.push(format!("{path}.{key}"));
            }
        }
        if let Some(object) = value.as_object() {
            object
                .iter()
                .for_each(|(key, value)| undescribed(value, &format!("{path}/{key}"), out));
        }
    }
    let mut out = Vec::new();
    undescribed(&editor_schema(), "", &mut out);
    assert!(out.is_empty(), "{out:#?}");
}
