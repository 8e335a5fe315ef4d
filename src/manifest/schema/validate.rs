//! Validates a document against the schema, and reports every error with its location.
//!
//! Invalid values are removed from the document, so that the rest always decodes and later checks
//! can continue: all errors of a manifest are shown at once.

use serde_json::Value as Json;

use super::validation_help::{
    NO_GPU_HELP, describe_type, describe_unknown_value, display_path, has_type, join_path,
    join_with_or, list_enum_values, lowercase_first_sentence, misplaced_key_help, type_help,
    type_names,
};
use crate::manifest::syntax::{
    node::{Diagnostic, SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue},
    suggest,
};

/// Validates a document, and removes what is invalid.
pub(crate) fn validate(schema: &Json, root: &mut TomlNode) -> Vec<Diagnostic> {
    let mut validator = Validator {
        root_schema: schema,
        errors: Vec::new(),
    };
    let top = SourceLocation {
        file: root.location.file,
        span: 0..0,
    };
    validator.validate_value(
        schema,
        root,
        &ValueContext {
            path: "",
            key_location: &top,
        },
    );
    validator.errors
}

struct Validator<'s> {
    root_schema: &'s Json,
    errors: Vec<Diagnostic>,
}

/// The context of a value: its dotted path, and the location of its key.
struct ValueContext<'a> {
    path: &'a str,
    key_location: &'a SourceLocation,
}

impl<'s> Validator<'s> {
    /// Follows `$ref` and single `allOf` to the schema itself.
    fn resolve_ref(&self, mut schema: &'s Json) -> &'s Json {
        for _ in 0..8 {
            if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
                let name = name.trim_start_matches("#/definitions/");
                schema = self
                    .root_schema
                    .get("definitions")
                    .and_then(|all| all.get(name))
                    .unwrap_or(&Json::Null);
            } else if let Some([only]) = schema
                .get("allOf")
                .and_then(Json::as_array)
                .map(Vec::as_slice)
            {
                schema = only;
            } else {
                break;
            }
        }
        schema
    }

    /// Validates a value, and returns whether it is kept. The schema `true` belongs to documents in
    /// another language: anything is valid.
    fn validate_value(
        &mut self,
        schema: &'s Json,
        node: &mut TomlNode,
        context: &ValueContext<'_>,
    ) -> bool {
        let schema = self.resolve_ref(schema);
        if *schema == Json::Bool(true) {
            return true;
        }
        if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
            return self.validate_any_of(branches, node, context);
        }
        if !self.type_matches(schema, node) {
            self.report_wrong_type(&[schema], node, context);
            return false;
        }
        match &mut node.value {
            TomlValue::String(text) => self.validate_string(schema, text, &node.location),
            TomlValue::Integer(number) => self.validate_range(schema, number, &node.location),
            TomlValue::Array(items) => self.validate_items(schema, items, context),
            TomlValue::Table(table) => self.validate_table(schema, table, context),
            _ => true,
        }
    }

    /// Validates a value against several schemas: the one whose type matches, so that errors are
    /// specific.
    fn validate_any_of(
        &mut self,
        branches: &'s [Json],
        node: &mut TomlNode,
        context: &ValueContext<'_>,
    ) -> bool {
        let resolved: Vec<&Json> = branches
            .iter()
            .flat_map(|branch| self.flatten_any_of(branch))
            .collect();
        let fitting: Vec<&Json> = resolved
            .iter()
            .copied()
            .filter(|branch| self.type_matches(branch, node))
            .collect();
        let Some((last, others)) = fitting.split_last() else {
            self.report_wrong_type(&resolved, node, context);
            return false;
        };
        // Try the branches without keeping their errors; the last one reports its own.
        for branch in others {
            let before = self.errors.len();
            if self.validate_value(branch, &mut node.clone(), context)
                && self.errors.len() == before
            {
                return true;
            }
            self.errors.truncate(before);
        }
        self.validate_value(last, node, context)
    }

    fn flatten_any_of(&self, schema: &'s Json) -> Vec<&'s Json> {
        let schema = self.resolve_ref(schema);
        match schema.get("anyOf").and_then(Json::as_array) {
            Some(branches) => branches
                .iter()
                .flat_map(|branch| self.flatten_any_of(branch))
                .collect(),
            None => vec![schema],
        }
    }

    fn type_matches(&self, schema: &Json, node: &TomlNode) -> bool {
        match schema.get("type") {
            Some(Json::String(name)) => has_type(name, &node.value),
            Some(Json::Array(names)) => names
                .iter()
                .filter_map(Json::as_str)
                .any(|name| has_type(name, &node.value)),
            _ => true,
        }
    }

    fn report_wrong_type(
        &mut self,
        schemas: &[&Json],
        node: &TomlNode,
        context: &ValueContext<'_>,
    ) {
        let mut expected: Vec<&str> = schemas
            .iter()
            .flat_map(|schema| type_names(schema))
            .collect();
        expected.dedup();
        let example = schemas
            .iter()
            .find_map(|schema| schema.get("enum"))
            .map(|words| format!("write one of {}", list_enum_values(words)));
        let location = match node.value {
            TomlValue::Table(_) => context.key_location,
            _ => &node.location,
        };
        self.errors.push(Diagnostic {
            message: format!(
                "{} must be {}",
                display_path(context.path),
                join_with_or(&expected)
            ),
            location: Some(location.clone()),
            label: format!("this is {}", describe_type(&node.value)),
            help: example.or_else(|| type_help(schemas, &expected, node, context.path)),
        });
    }

    /// Validates a string. An unknown value is corrected after it was reported, so that later
    /// checks see what was probably meant.
    fn validate_string(
        &mut self,
        schema: &Json,
        text: &mut String,
        location: &SourceLocation,
    ) -> bool {
        if let Some(pattern) = schema.get("pattern").and_then(Json::as_str) {
            return pattern != super::json_schema::INTERPOLATION_PATTERN || text.contains("${");
        }
        let Some(words) = schema.get("enum").and_then(Json::as_array) else {
            return true;
        };
        let known: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        if known.contains(&text.as_str()) {
            return true;
        }
        let (message, help) = describe_unknown_value(text, &known);
        let corrected = suggest::nearest(text, known.iter().copied()).or(known.first().copied());
        self.errors.push(Diagnostic {
            message,
            location: Some(location.clone()),
            label: String::new(),
            help,
        });
        corrected.unwrap_or_default().clone_into(text);
        true
    }

    fn validate_range(
        &mut self,
        schema: &Json,
        number: &mut i64,
        location: &SourceLocation,
    ) -> bool {
        let bound = |key| schema.get(key).and_then(Json::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
        let value = *number as f64;
        let (low, high) = (bound("minimum"), bound("maximum"));
        if low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high) {
            return true;
        }
        let limits = match (low, high) {
            (Some(low), Some(high)) if high < f64::from(u32::MAX) => {
                format!("from {low} to {high}")
            }
            (Some(low), _) => format!("{low} or more"),
            (_, high) => format!("{} or less", high.unwrap_or_default()),
        };
        self.errors.push(Diagnostic {
            message: format!("`{number}` is out of range"),
            location: Some(location.clone()),
            label: format!("must be {limits}"),
            help: None,
        });
        #[expect(clippy::cast_possible_truncation, reason = "bounds are small")]
        let corrected = low.filter(|low| value < *low).or(high).unwrap_or_default() as i64;
        *number = corrected;
        true
    }

    fn validate_items(
        &mut self,
        schema: &'s Json,
        items: &mut Vec<TomlNode>,
        context: &ValueContext<'_>,
    ) -> bool {
        let Some(schema) = schema.get("items") else {
            return true;
        };
        let mut index = 0;
        items.retain_mut(|item| {
            let path = format!("{}[{index}]", context.path);
            index += 1;
            let key_location = item.location.clone();
            self.validate_value(
                schema,
                item,
                &ValueContext {
                    path: &path,
                    key_location: &key_location,
                },
            )
        });
        true
    }

    fn validate_table(
        &mut self,
        schema: &'s Json,
        table: &mut TomlTable,
        context: &ValueContext<'_>,
    ) -> bool {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| **others != Json::Bool(false));
        let before: Vec<String> = table.0.iter().map(|entry| entry.key.clone()).collect();
        table.0.retain_mut(|entry| {
            let path = join_path(context.path, &entry.key);
            let known = properties.and_then(|known| known.get(&entry.key));
            let TomlEntry {
                key,
                key_location,
                node,
            } = entry;
            let inside = ValueContext {
                path: &path,
                key_location,
            };
            match known.or(others) {
                Some(schema) => self.validate_value(schema, node, &inside),
                None => {
                    self.report_unknown_key(
                        key,
                        key_location,
                        properties.into_iter().flat_map(|known| known.keys()),
                        context,
                    );
                    false
                }
            }
        });
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            // A misspelled key is one mistake, and not also a missing key.
            let is_misspelled = || {
                let known = || properties.into_iter().flat_map(|known| known.keys());
                let unknown = before
                    .iter()
                    .filter(|key| known().all(|known| known != *key));
                let mut meant =
                    unknown.map(|key| suggest::nearest(key, known().map(String::as_str)));
                meant.any(|meant| meant == Some(key))
            };
            if !before.iter().any(|present| present == key) && !is_misspelled() {
                let property = properties.and_then(|known| known.get(key));
                self.report_missing_key(key, property, context);
            }
        }
        true
    }

    fn report_unknown_key<'k>(
        &mut self,
        key: &str,
        location: &SourceLocation,
        known: impl Iterator<Item = &'k String>,
        context: &ValueContext<'_>,
    ) {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let within = if context.path.is_empty() {
            "a manifest".to_owned()
        } else {
            format!("`{}`", context.path)
        };
        let unknown = format!("unknown key `{key}` in {within}");
        let (message, help) = if known.contains(&"ewr") {
            describe_unknown_value(key, &known)
        } else if matches!(key, "gpu_kind" | "gpus") {
            (
                format!("`{key}` asks for a GPU, and Fly offers no GPUs any more"),
                Some(NO_GPU_HELP.to_owned()),
            )
        } else {
            (
                unknown,
                misplaced_key_help(context.path, key).or_else(|| suggest::did_you_mean(key, known)),
            )
        };
        self.errors.push(Diagnostic {
            message,
            location: Some(location.clone()),
            label: String::new(),
            help,
        });
    }

    fn report_missing_key(
        &mut self,
        key: &str,
        property: Option<&Json>,
        context: &ValueContext<'_>,
    ) {
        let within = if context.path.is_empty() {
            "the manifest".to_owned()
        } else {
            format!("`{}`", context.path)
        };
        let property = property
            .and_then(|property| property.get("description"))
            .and_then(Json::as_str);
        self.errors.push(Diagnostic {
            message: format!("{within} lacks `{key}`"),
            location: Some(context.key_location.clone()),
            label: String::new(),
            help: property
                .map(|property| format!("`{key}`: {}", lowercase_first_sentence(property))),
        });
    }
}
