//! The check of the shape: a document against the schema, with every problem found and its place.
//!
//! What is wrong is taken out of the document, so that what is left always decodes and the checks that follow can go
//! on: all problems of a manifest are shown at once.

use serde_json::Value as Json;

use super::{
    node::{Entry, Node, Place, Problem, Table, Value},
    suggest,
};

/// Checks a document and takes out what is wrong.
pub(super) fn validate(schema: &Json, root: &mut Node) -> Vec<Problem> {
    let mut validator = Validator {
        root: schema,
        problems: Vec::new(),
    };
    let top = Place {
        file: root.at.file,
        span: 0..0,
    };
    validator.value(
        schema,
        root,
        &Where {
            path: "",
            key_at: &top,
        },
    );
    validator.problems
}

struct Validator<'s> {
    root: &'s Json,
    problems: Vec<Problem>,
}

/// Where a value stands: its path in words, and its key.
struct Where<'a> {
    path: &'a str,
    key_at: &'a Place,
}

impl<'s> Validator<'s> {
    /// Follows references and wrappers to the schema itself.
    fn resolve(&self, mut schema: &'s Json) -> &'s Json {
        for _ in 0..8 {
            if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
                let name = name.trim_start_matches("#/definitions/");
                schema = self
                    .root
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
    fn value(&mut self, schema: &'s Json, node: &mut Node, place: &Where<'_>) -> bool {
        let schema = self.resolve(schema);
        if *schema == Json::Bool(true) {
            return true;
        }
        if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
            return self.any(branches, node, place);
        }
        if !self.fits(schema, node) {
            self.wrong_type(&[schema], node, place);
            return false;
        }
        match &mut node.value {
            Value::String(text) => self.words(schema, text, &node.at),
            Value::Integer(number) => self.range(schema, number, &node.at),
            Value::Array(items) => self.items(schema, items, place),
            Value::Table(table) => self.table(schema, table, place),
            _ => true,
        }
    }

    /// One of several schemas: the one whose type fits, so that its own problems are told.
    fn any(&mut self, branches: &'s [Json], node: &mut Node, place: &Where<'_>) -> bool {
        let resolved: Vec<&Json> = branches
            .iter()
            .flat_map(|branch| self.flat(branch))
            .collect();
        let fitting: Vec<&Json> = resolved
            .iter()
            .copied()
            .filter(|branch| self.fits(branch, node))
            .collect();
        let Some((last, others)) = fitting.split_last() else {
            self.wrong_type(&resolved, node, place);
            return false;
        };
        for branch in others {
            let before = self.problems.len();
            if self.value(branch, &mut node.clone(), place) && self.problems.len() == before {
                return true;
            }
            self.problems.truncate(before);
        }
        self.value(last, node, place)
    }

    fn flat(&self, schema: &'s Json) -> Vec<&'s Json> {
        let schema = self.resolve(schema);
        match schema.get("anyOf").and_then(Json::as_array) {
            Some(branches) => branches
                .iter()
                .flat_map(|branch| self.flat(branch))
                .collect(),
            None => vec![schema],
        }
    }

    fn fits(&self, schema: &Json, node: &Node) -> bool {
        match schema.get("type") {
            Some(Json::String(name)) => has_type(name, &node.value),
            Some(Json::Array(names)) => names
                .iter()
                .filter_map(Json::as_str)
                .any(|name| has_type(name, &node.value)),
            _ => true,
        }
    }

    fn wrong_type(&mut self, schemas: &[&Json], node: &Node, place: &Where<'_>) {
        let mut wanted: Vec<&str> = schemas
            .iter()
            .flat_map(|schema| type_words(schema))
            .collect();
        wanted.dedup();
        let example = schemas
            .iter()
            .find_map(|schema| schema.get("enum"))
            .map(|words| format!("write one of {}", words_of(words)));
        let at = match node.value {
            Value::Table(_) => place.key_at,
            _ => &node.at,
        };
        self.problems.push(Problem {
            message: format!("{} must be {}", named(place.path), either(&wanted)),
            at: Some(at.clone()),
            label: format!("this is {}", kind(&node.value)),
            help: example.or_else(|| type_help(schemas, &wanted, node, place.path)),
        });
    }

    /// A wrong word is put right after it was told, so that what follows is judged as it was meant.
    fn words(&mut self, schema: &Json, text: &mut String, at: &Place) -> bool {
        if let Some(pattern) = schema.get("pattern").and_then(Json::as_str) {
            return pattern != super::schema::INTERPOLATED || text.contains("${");
        }
        let Some(words) = schema.get("enum").and_then(Json::as_array) else {
            return true;
        };
        let known: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        if known.contains(&text.as_str()) {
            return true;
        }
        let (message, help) = unknown_word(text, &known);
        let meant = suggest::nearest(text, known.iter().copied()).or(known.first().copied());
        self.problems.push(Problem {
            message,
            at: Some(at.clone()),
            label: String::new(),
            help,
        });
        meant.unwrap_or_default().clone_into(text);
        true
    }

    fn range(&mut self, schema: &Json, number: &mut i64, at: &Place) -> bool {
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
        self.problems.push(Problem {
            message: format!("`{number}` is out of range"),
            at: Some(at.clone()),
            label: format!("must be {limits}"),
            help: None,
        });
        #[expect(clippy::cast_possible_truncation, reason = "bounds are small")]
        let meant = low.filter(|low| value < *low).or(high).unwrap_or_default() as i64;
        *number = meant;
        true
    }

    fn items(&mut self, schema: &'s Json, items: &mut Vec<Node>, place: &Where<'_>) -> bool {
        let Some(schema) = schema.get("items") else {
            return true;
        };
        let mut index = 0;
        items.retain_mut(|item| {
            let path = format!("{}[{index}]", place.path);
            index += 1;
            let key_at = item.at.clone();
            self.value(
                schema,
                item,
                &Where {
                    path: &path,
                    key_at: &key_at,
                },
            )
        });
        true
    }

    fn table(&mut self, schema: &'s Json, table: &mut Table, place: &Where<'_>) -> bool {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| **others != Json::Bool(false));
        let before: Vec<String> = table.0.iter().map(|entry| entry.key.clone()).collect();
        table.0.retain_mut(|entry| {
            let path = join(place.path, &entry.key);
            let known = properties.and_then(|known| known.get(&entry.key));
            let Entry { key, key_at, node } = entry;
            let inside = Where {
                path: &path,
                key_at,
            };
            match known.or(others) {
                Some(schema) => self.value(schema, node, &inside),
                None => {
                    self.unknown_key(
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
                self.missing_key(key, about, place);
            }
        }
        true
    }

    fn unknown_key<'k>(
        &mut self,
        key: &str,
        at: &Place,
        known: impl Iterator<Item = &'k String>,
        place: &Where<'_>,
    ) {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let within = if place.path.is_empty() {
            "a manifest".to_owned()
        } else {
            format!("`{}`", place.path)
        };
        let unknown = format!("unknown key `{key}` in {within}");
        let (message, help) = if known.contains(&"ewr") {
            unknown_word(key, &known)
        } else if matches!(key, "gpu_kind" | "gpus") {
            (
                format!("`{key}` asks for a GPU, and Fly offers no GPUs any more"),
                Some(NO_GPU.to_owned()),
            )
        } else {
            (
                unknown,
                elsewhere(key).or_else(|| suggest::help(key, known)),
            )
        };
        self.problems.push(Problem {
            message,
            at: Some(at.clone()),
            label: String::new(),
            help,
        });
    }

    fn missing_key(&mut self, key: &str, about: Option<&Json>, place: &Where<'_>) {
        let within = if place.path.is_empty() {
            "the manifest".to_owned()
        } else {
            format!("`{}`", place.path)
        };
        let about = about
            .and_then(|about| about.get("description"))
            .and_then(Json::as_str);
        self.problems.push(Problem {
            message: format!("{within} lacks `{key}`"),
            at: Some(place.key_at.clone()),
            label: String::new(),
            help: about.map(|about| format!("`{key}`: {}", lower_first(about))),
        });
    }
}

/// Keys that people bring along from elsewhere, and where they belong here.
fn elsewhere(key: &str) -> Option<String> {
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
const NO_GPU: &str = "choose CPUs and memory, such as `performance-8x`";

/// Presets that flyctl still knows.
const GPU_PRESETS: [&str; 4] = ["a10", "a100-40gb", "a100-80gb", "l40s"];

/// What is wrong with a word, and the nearest one. Words that come from crontab get a word of their own.
fn unknown_word(text: &str, known: &[&str]) -> (String, Option<String>) {
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
            suggest::help(text, known.iter().copied()),
        );
    }
    if known.contains(&"shared-cpu-1x") && GPU_PRESETS.contains(&text) {
        return (
            format!("`{text}` has a GPU, and Fly offers no GPUs any more"),
            Some(NO_GPU.to_owned()),
        );
    }
    (
        format!("`{text}` is not one of the values allowed here"),
        suggest::help(text, known.iter().copied()),
    )
}

fn type_help(schemas: &[&Json], wanted: &[&str], node: &Node, path: &str) -> Option<String> {
    let about = schemas
        .iter()
        .find_map(|schema| schema.get("description"))
        .and_then(Json::as_str);
    if about.is_some_and(|about| about.contains("with a unit"))
        && matches!(node.value, Value::Integer(_))
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
    if wanted == ["a list"] && !matches!(node.value, Value::Table(_)) {
        return Some("put it in brackets: [ … ]".to_owned());
    }
    quote_help(wanted, &node.value)
}

/// "a text, a list or a table".
fn either(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

fn quote_help(wanted: &[&str], value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) if wanted.contains(&"a text") => {
            Some(format!("put it in quotes: \"{number}\""))
        }
        Value::Boolean(truth) if wanted.contains(&"a text") => {
            Some(format!("put it in quotes: \"{truth}\""))
        }
        Value::String(text)
            if wanted == ["true or false"] && matches!(text.as_str(), "true" | "false") =>
        {
            Some(format!("leave the quotes out: {text}"))
        }
        Value::String(text) if wanted == ["a whole number"] && text.parse::<i64>().is_ok() => {
            Some(format!("leave the quotes out: {text}"))
        }
        _ => None,
    }
}

fn words_of(words: &Json) -> String {
    let words: Vec<&str> = words
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    suggest::list(words).unwrap_or_default()
}

fn has_type(name: &str, value: &Value) -> bool {
    match value {
        Value::String(_) => name == "string",
        Value::Integer(_) => name == "integer" || name == "number",
        Value::Float(_) => name == "number",
        Value::Boolean(_) => name == "boolean",
        Value::Array(_) => name == "array",
        Value::Table(_) => name == "object",
        Value::Datetime(_) => false,
    }
}

fn type_words(schema: &Json) -> Vec<&'static str> {
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

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn named(path: &str) -> String {
    if path.is_empty() {
        "a manifest".to_owned()
    } else {
        format!("`{path}`")
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn lower_first(text: &str) -> String {
    let sentence = text
        .split_once(". ")
        .map_or(text, |(first, _)| first)
        .trim_end_matches('.');
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
