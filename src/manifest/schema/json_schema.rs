//! The JSON Schema of the manifest, generated from its types in two forms: a strict one to validate
//! a whole environment after inheritance and interpolation, and one for editors, which see a single
//! file as it is written.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Manifest;

/// The pattern that the editor schema accepts besides a fixed set of strings: a string with an
/// interpolation.
pub(crate) const INTERPOLATION_PATTERN: &str = r"\$\{";

/// Tables in which an editor must not demand required keys, because an inherited file may have
/// them.
const PARTIAL_TABLES: [&str; 11] = [
    "AppSection",
    "AwsSection",
    "CheckSection",
    "CronSection",
    "DeploySection",
    "DescribedVar",
    "HttpServiceSection",
    "IdentitySection",
    "MetricsSection",
    "MountSection",
    "RestartSection",
];

/// Generated once: several environments are often read in one run.
static STRICT_SCHEMA: LazyLock<Value> = LazyLock::new(generate_schema);

/// The schema that a whole environment must satisfy.
#[must_use]
pub(crate) fn strict_schema() -> &'static Value {
    &STRICT_SCHEMA
}

fn generate_schema() -> Value {
    let settings = SchemaSettings::draft07();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Manifest>()
        .to_value();
    visit_schemas(&mut schema, &mut |object| {
        remove_null(object);
        object.remove("default");
        if let Some(Value::String(format)) = object.get("format")
            && format.starts_with("uint")
        {
            let most = if format == "uint16" {
                u32::from(u16::MAX)
            } else {
                u32::MAX
            };
            object.remove("format");
            object.entry("maximum").or_insert_with(|| json!(most));
        }
        merge_enum_branches(object);
        if let Some(Value::String(text)) = object.get_mut("description") {
            *text = text.replace('\n', " ");
        }
    });
    schema
}

/// The JSON Schema of a manifest (draft-07), for editors.
#[must_use]
pub fn editor_schema() -> Value {
    let mut schema = strict_schema().clone();
    visit_schemas(&mut schema, &mut |object| {
        if let Some(words) = object.get("enum").cloned()
            && words
                .as_array()
                .is_some_and(|words| words.iter().all(Value::is_string))
        {
            object.remove("enum");
            object.remove("type");
            let interpolated = json!({ "type": "string", "pattern": INTERPOLATION_PATTERN });
            object.insert(
                "anyOf".to_owned(),
                json!([{ "type": "string", "enum": words }, interpolated]),
            );
        }
    });
    if let Value::Object(root) = &mut schema {
        root.remove("required");
        root.insert("title".to_owned(), json!("trimtab environment"));
        if let Some(Value::Object(definitions)) = root.get_mut("definitions") {
            for name in PARTIAL_TABLES {
                if let Some(Value::Object(definition)) = definitions.get_mut(name) {
                    definition.remove("required");
                }
            }
        }
    }
    schema
}

/// Calls `change` on every schema within a schema, innermost first.
fn visit_schemas(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            for (key, child) in object.iter_mut() {
                match child {
                    // These keys are names in the manifest and no keywords of the schema, such as a
                    // variable's `default`.
                    Value::Object(named)
                        if matches!(key.as_str(), "properties" | "definitions") =>
                    {
                        named
                            .values_mut()
                            .for_each(|schema| visit_schemas(schema, change));
                    }
                    child => visit_schemas(child, change),
                }
            }
            change(object);
        }
        Value::Array(list) => {
            for child in list {
                visit_schemas(child, change);
            }
        }
        _ => {}
    }
}

/// Removes `null`, which TOML does not have: an optional key is simply absent.
fn remove_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Value::Array(branches)) = object.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch.get("type") != Some(&json!("null")));
    if let [only] = branches.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        object.insert("allOf".to_owned(), json!([only]));
    }
}

/// Merges enums into one list: schemars makes a branch for each value that has a description, but
/// editors complete plain lists best. The descriptions are joined.
fn merge_enum_branches(object: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = object.get("oneOf") else {
        return;
    };
    let word = |branch: &Value| match branch.get("enum") {
        Some(Value::Array(words)) => Some(words.clone()),
        _ => branch.get("const").map(|word| vec![word.clone()]),
    };
    let Some(words) = branches.iter().map(word).collect::<Option<Vec<_>>>() else {
        return;
    };
    let help = |branch: &Value| {
        branch
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let described: Vec<String> = words
        .iter()
        .zip(branches)
        .filter_map(|(words, branch)| {
            Some(format!("`{}`: {}", words.first()?.as_str()?, help(branch)?))
        })
        .collect();
    let lead = object
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = format!("{lead} {}", described.join(" "));
    object.remove("oneOf");
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), json!(words.concat()));
    object.insert("description".to_owned(), json!(description.trim()));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::{reader::ManifestReader, schema::validate::validate};

    /// Checks every manifest of the repository as an editor sees it: one file, without inheritance
    /// and interpolation.
    #[test]
    fn every_file_of_the_repository_satisfies_the_schema() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut seen = 0;
        for folder in [
            "environments",
            "draftguru",
            "ledger",
            "prism",
            "reify",
            "vibegrapher",
        ] {
            let folder = if folder == "environments" {
                root.join(folder)
            } else {
                root.join("tests/manifests").join(folder)
            };
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "toml") {
                    continue;
                }
                let mut reader = ManifestReader::default();
                let id = reader
                    .files
                    .add(path.clone(), std::fs::read_to_string(&path).unwrap());
                let (mut node, syntax) = reader.files.parse_toml(id);
                let diagnostics = validate(&editor_schema(), &mut node);
                assert!(
                    syntax.is_empty() && diagnostics.is_empty(),
                    "{}: {diagnostics:#?}",
                    path.display()
                );
                seen += 1;
            }
        }
        assert!(seen > 15);
    }

    #[test]
    fn every_partial_table_is_defined() {
        let schema = editor_schema();
        for name in PARTIAL_TABLES {
            assert!(schema["definitions"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn keys_are_required_in_environments_but_not_in_single_files() {
        let required = |schema: &Value| schema.get("required").cloned();
        assert_eq!(required(strict_schema()), Some(json!(["project", "fly"])));
        assert_eq!(required(&editor_schema()), None);
    }
}
