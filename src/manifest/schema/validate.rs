//! The check of the shape: a document against the schema, with every problem found and its place.
//!
//! What is wrong is taken out of the document, so that what is left always decodes and the checks that follow can go
//! on: all problems of a manifest are shown at once.

use serde_json::Value as Json;

use crate::manifest::syntax::{
    node::{Diagnostic, SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue},
    suggest,
};

/// Checks a document and takes out what is wrong.
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
        &ValuePath {
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

/// Where a value stands: its path in words, and its key.
struct ValuePath<'a> {
    path: &'a str,
    key_location: &'a SourceLocation,
}

impl<'s> Validator<'s> {
    /// Follows references and wrappers to the schema itself.
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

    /// Whether the value may stay. `true` is the schema of what is in another language's words: anything goes.
    fn validate_value(
        &mut self,
        schema: &'s Json,
        node: &mut TomlNode,
        place: &ValuePath<'_>,
    ) -> bool {
        let schema = self.resolve_ref(schema);
        if *schema == Json::Bool(true) {
            return true;
        }
        if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
            return self.validate_any_of(branches, node, place);
        }
        if !self.type_matches(schema, node) {
            self.report_wrong_type(&[schema], node, place);
            return false;
        }
        match &mut node.value {
            TomlValue::String(text) => self.validate_string(schema, text, &node.location),
            TomlValue::Integer(number) => self.validate_range(schema, number, &node.location),
            TomlValue::Array(items) => self.validate_items(schema, items, place),
            TomlValue::Table(table) => self.validate_table(schema, table, place),
            _ => true,
        }
    }

    /// One of several schemas: the one whose type fits, so that its own problems are told.
    fn validate_any_of(
        &mut self,
        branches: &'s [Json],
        node: &mut TomlNode,
        place: &ValuePath<'_>,
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
            self.report_wrong_type(&resolved, node, place);
            return false;
        };
        for branch in others {
            let before = self.errors.len();
            if self.validate_value(branch, &mut node.clone(), place) && self.errors.len() == before
            {
                return true;
            }
            self.errors.truncate(before);
        }
        self.validate_value(last, node, place)
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

    fn report_wrong_type(&mut self, schemas: &[&Json], node: &TomlNode, place: &ValuePath<'_>) {
        let mut wanted: Vec<&str> = schemas
            .iter()
            .flat_map(|schema| type_names(schema))
            .collect();
        wanted.dedup();
        let example = schemas
            .iter()
            .find_map(|schema| schema.get("enum"))
            .map(|words| format!("write one of {}", list_enum_values(words)));
        let at = match node.value {
            TomlValue::Table(_) => place.key_location,
            _ => &node.location,
        };
        self.errors.push(Diagnostic {
            message: format!(
                "{} must be {}",
                display_path(place.path),
                join_with_or(&wanted)
            ),
            location: Some(at.clone()),
            label: format!("this is {}", describe_type(&node.value)),
            help: example.or_else(|| type_help(schemas, &wanted, node, place.path)),
        });
    }

    /// A wrong word is put right after it was told, so that what follows is judged as it was meant.
    fn validate_string(&mut self, schema: &Json, text: &mut String, at: &SourceLocation) -> bool {
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
        let meant = suggest::nearest(text, known.iter().copied()).or(known.first().copied());
        self.errors.push(Diagnostic {
            message,
            location: Some(at.clone()),
            label: String::new(),
            help,
        });
        meant.unwrap_or_default().clone_into(text);
        true
    }

    fn validate_range(&mut self, schema: &Json, number: &mut i64, at: &SourceLocation) -> bool {
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
            location: Some(at.clone()),
            label: format!("must be {limits}"),
            help: None,
        });
        #[expect(clippy::cast_possible_truncation, reason = "bounds are small")]
        let meant = low.filter(|low| value < *low).or(high).unwrap_or_default() as i64;
        *number = meant;
        true
    }

    fn validate_items(
        &mut self,
        schema: &'s Json,
        items: &mut Vec<TomlNode>,
        place: &ValuePath<'_>,
    ) -> bool {
        let Some(schema) = schema.get("items") else {
            return true;
        };
        let mut index = 0;
        items.retain_mut(|item| {
            let path = format!("{}[{index}]", place.path);
            index += 1;
            let key_at = item.location.clone();
            self.validate_value(
                schema,
                item,
                &ValuePath {
                    path: &path,
                    key_location: &key_at,
                },
            )
        });
        true
    }

    fn validate_table(
        &mut self,
        schema: &'s Json,
        table: &mut TomlTable,
        place: &ValuePath<'_>,
    ) -> bool {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| **others != Json::Bool(false));
        let before: Vec<String> = table.0.iter().map(|entry| entry.key.clone()).collect();
        table.0.retain_mut(|entry| {
            let path = join_path(place.path, &entry.key);
            let known = properties.and_then(|known| known.get(&entry.key));
            let TomlEntry {
                key,
                key_location: key_at,
                node,
            } = entry;
            let inside = ValuePath {
                path: &path,
                key_location: key_at,
            };
            match known.or(others) {
                Some(schema) => self.validate_value(schema, node, &inside),
                None => {
                    self.report_unknown_key(
                        key,
                        key_at,
                        properties.into_iter().flat_map(|known| known.keys()),
                        place,
                    );
                    false
                }
            }
        });
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if !before.iter().any(|there| there == key) {
                let about = properties.and_then(|known| known.get(key));
                self.report_missing_key(key, about, place);
            }
        }
        true
    }

    fn report_unknown_key<'k>(
        &mut self,
        key: &str,
        at: &SourceLocation,
        known: impl Iterator<Item = &'k String>,
        place: &ValuePath<'_>,
    ) {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let within = if place.path.is_empty() {
            "a manifest".to_owned()
        } else {
            format!("`{}`", place.path)
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
                misplaced_key_help(key).or_else(|| suggest::did_you_mean(key, known)),
            )
        };
        self.errors.push(Diagnostic {
            message,
            location: Some(at.clone()),
            label: String::new(),
            help,
        });
    }

    fn report_missing_key(&mut self, key: &str, about: Option<&Json>, place: &ValuePath<'_>) {
        let within = if place.path.is_empty() {
            "the manifest".to_owned()
        } else {
            format!("`{}`", place.path)
        };
        let about = about
            .and_then(|about| about.get("description"))
            .and_then(Json::as_str);
        self.errors.push(Diagnostic {
            message: format!("{within} lacks `{key}`"),
            location: Some(place.key_location.clone()),
            label: String::new(),
            help: about.map(|about| format!("`{key}`: {}", lowercase_first_sentence(about))),
        });
    }
}

/// Keys that people bring along from elsewhere, and where they belong here.
fn misplaced_key_help(key: &str) -> Option<String> {
    let help = match key {
        "app" => "the app's name on Fly is `name` in [apps.KEY]",
        "build" => {
            "images are built by flyctl or in CI; say `image = \"…\"` or pass --image KEY=REFERENCE"
        }
        "scale" | "replicas" | "instances" => {
            "say how many in [apps.KEY.machines.GROUP] with `count`"
        }
        "region" | "regions" => {
            "say `primary_region`, or `count = { ewr = 1 }` in [apps.KEY.machines.GROUP]"
        }
        "organization" | "org" => "the organization is `org` in [fly]",
        _ => return None,
    };
    Some(help.to_owned())
}

/// What remains to whoever asks for a GPU.
const NO_GPU_HELP: &str = "choose CPUs and memory, such as `performance-8x`";

/// Presets that flyctl still knows.
const GPU_PRESETS: [&str; 4] = ["a10", "a100-40gb", "a100-80gb", "l40s"];

/// What is wrong with a word, and the nearest one. Words that come from crontab get a word of their own.
fn describe_unknown_value(text: &str, known: &[&str]) -> (String, Option<String>) {
    if known.contains(&"hourly") {
        let cron = text.split_whitespace().count() >= 5 || text.starts_with('@');
        let help =
            "Fly knows `hourly`, `daily`, `weekly` and `monthly`, and picks the minute itself";
        let message = if cron {
            format!("`{text}` is a cron expression, which Fly does not take")
        } else {
            format!("`{text}` is not a schedule")
        };
        return (message, Some(help.to_owned()));
    }
    if known.contains(&"ewr") {
        return (
            format!("`{text}` is not a region of Fly"),
            suggest::did_you_mean(text, known.iter().copied()),
        );
    }
    if known.contains(&"shared-cpu-1x") && GPU_PRESETS.contains(&text) {
        return (
            format!("`{text}` has a GPU, and Fly offers no GPUs any more"),
            Some(NO_GPU_HELP.to_owned()),
        );
    }
    (
        format!("`{text}` is not one of the values allowed here"),
        suggest::did_you_mean(text, known.iter().copied()),
    )
}

fn type_help(schemas: &[&Json], wanted: &[&str], node: &TomlNode, path: &str) -> Option<String> {
    let about = schemas
        .iter()
        .find_map(|schema| schema.get("description"))
        .and_then(Json::as_str);
    if about.is_some_and(|about| about.contains("with a unit"))
        && matches!(node.value, TomlValue::Integer(_))
    {
        return Some("write it with its unit, such as \"15s\" or \"500ms\"".to_owned());
    }
    if let Some((_, name)) = path.split_once(".secrets.")
        && !name.contains('.')
    {
        return Some(format!(
            "values never stand in a manifest; say {name} = {{ env = \"{name}\" }}"
        ));
    }
    if wanted == ["a list"] && !matches!(node.value, TomlValue::Table(_)) {
        return Some("put it in brackets: [ … ]".to_owned());
    }
    quote_help(wanted, &node.value)
}

/// "a text, a list or a table".
fn join_with_or(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

fn quote_help(wanted: &[&str], value: &TomlValue) -> Option<String> {
    match value {
        TomlValue::Integer(number) if wanted.contains(&"a text") => {
            Some(format!("put it in quotes: \"{number}\""))
        }
        TomlValue::Boolean(truth) if wanted.contains(&"a text") => {
            Some(format!("put it in quotes: \"{truth}\""))
        }
        TomlValue::String(text)
            if wanted == ["true or false"] && matches!(text.as_str(), "true" | "false") =>
        {
            Some(format!("leave the quotes out: {text}"))
        }
        TomlValue::String(text) if wanted == ["a whole number"] && text.parse::<i64>().is_ok() => {
            Some(format!("leave the quotes out: {text}"))
        }
        _ => None,
    }
}

fn list_enum_values(words: &Json) -> String {
    let words: Vec<&str> = words
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    suggest::join_quoted(words).unwrap_or_default()
}

fn has_type(name: &str, value: &TomlValue) -> bool {
    match value {
        TomlValue::String(_) => name == "string",
        TomlValue::Integer(_) => name == "integer" || name == "number",
        TomlValue::Float(_) => name == "number",
        TomlValue::Boolean(_) => name == "boolean",
        TomlValue::Array(_) => name == "array",
        TomlValue::Table(_) => name == "object",
        TomlValue::Datetime(_) => false,
    }
}

fn type_names(schema: &Json) -> Vec<&'static str> {
    let word = |name: &str| match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a table",
    };
    match schema.get("type") {
        Some(Json::String(name)) => vec![word(name)],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(word).collect(),
        _ => Vec::new(),
    }
}

fn describe_type(value: &TomlValue) -> &'static str {
    match value {
        TomlValue::String(_) => "a text",
        TomlValue::Integer(_) => "a whole number",
        TomlValue::Float(_) => "a number",
        TomlValue::Boolean(_) => "true or false",
        TomlValue::Datetime(_) => "a date",
        TomlValue::Array(_) => "a list",
        TomlValue::Table(_) => "a table",
    }
}

fn display_path(path: &str) -> String {
    if path.is_empty() {
        "a manifest".to_owned()
    } else {
        format!("`{path}`")
    }
}

fn join_path(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn lowercase_first_sentence(text: &str) -> String {
    let sentence = text
        .split_once(". ")
        .map_or(text, |(first, _)| first)
        .trim_end_matches('.');
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
