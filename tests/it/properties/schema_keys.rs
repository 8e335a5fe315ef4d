//! The schema keys that a manifest uses: a property proves nothing about a key that is never
//! generated.

use std::collections::BTreeSet;

use serde_json::Value;

/// Keys that are never generated, all of a table by its name. They make no resource, so no plan depends on them;
/// `tests/it/workflows` and `tests/it/builds` are about them.
const NEVER_GENERATED: [&str; 7] = [
    ".github",
    "GithubSection.",
    "GithubStep.",
    "GithubWorkflowsSection.",
    "InstallSection.",
    "AppSection.build",
    "BuildSection.",
];

/// Every key of the schema, as `Table.key`.
pub(super) fn all_keys(schema: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let tables = schema["definitions"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, table)| (name.as_str(), table));
    for (name, table) in tables.chain([("", schema)]) {
        for key in table["properties"]
            .as_object()
            .into_iter()
            .flat_map(|keys| keys.keys())
        {
            keys.insert(format!("{name}.{key}"));
        }
    }
    keys.retain(|key| !NEVER_GENERATED.iter().any(|never| key.starts_with(never)));
    // Regions stand in place of keys, but are values.
    keys.retain(|key| !key.starts_with("Count."));
    keys
}

/// Adds the keys that a manifest uses.
pub(super) fn collect_keys(schema: &Value, manifest: &Value, keys: &mut BTreeSet<String>) {
    SchemaWalk { schema, keys }.visit("", schema, manifest);
}

struct SchemaWalk<'a> {
    schema: &'a Value,
    keys: &'a mut BTreeSet<String>,
}

impl SchemaWalk<'_> {
    fn visit(&mut self, name: &str, node: &Value, value: &Value) {
        if let Some(reference) = node["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            let schema = self.schema;
            return self.visit(name, &schema["definitions"][name], value);
        }
        for option in ["allOf", "anyOf"]
            .iter()
            .filter_map(|key| node[*key].as_array())
            .flatten()
        {
            self.visit(name, option, value);
        }
        if let (Some(items), Some(list)) = (node.get("items"), value.as_array()) {
            list.iter().for_each(|item| self.visit(name, items, item));
        }
        let Some(table) = value.as_object() else {
            return;
        };
        let known = node["properties"].as_object();
        // Of several alternatives, only the one that knows all keys applies.
        if known.is_some_and(|known| !table.keys().all(|key| known.contains_key(key))) {
            return;
        }
        for (key, value) in table {
            if let Some(of_key) = known.and_then(|known| known.get(key)) {
                self.keys.insert(format!("{name}.{key}"));
                self.visit(&format!("{name}.{key}"), of_key, value);
            } else if node["additionalProperties"].is_object() {
                self.visit(name, &node["additionalProperties"], value);
            }
        }
    }
}
