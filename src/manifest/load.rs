//! The way of one environment from its file to [`Desired`](crate::kinds::Desired).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Inputs, Loaded, Problems, SecretsMode, TokenSource,
    decode::decode,
    interpolate::{Outcome, Scope, Variable},
    list,
    lower::{self, Scene},
    node::{Entry, Node, Problem, Table},
    read::{Reader, entry_mut, table_mut},
    references::References,
    schema, suggest,
    validate::validate,
};
use crate::model::{Address, Mark};

/// Reads the environment of this name from a folder.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn load(dir: &Path, environment: &str, inputs: &Inputs) -> Result<Loaded, Problems> {
    let mut reader = Reader::default();
    let file = dir.join(format!("{environment}.toml"));
    if environment.starts_with('_') || environment.contains(['/', '\\']) || !file.is_file() {
        reader.problems.push(no_such_environment(dir, environment));
        return Err(Problems::new(reader.files, reader.problems));
    }
    let root = reader.manifest(&file);
    let Some(mut root) = root.filter(|_| reader.problems.is_empty()) else {
        return Err(Problems::new(reader.files, reader.problems));
    };
    let resolved = resolve(&mut root, environment, inputs, &mut reader);
    let shape = validate(schema::strict(), &mut root);
    reader.problems.extend(shape);
    let document = match decode(&root) {
        Ok(document) => document,
        Err(problem) => {
            reader.problems.push(problem);
            return Err(Problems::new(reader.files, reader.problems));
        }
    };
    root.sort();
    let token = document
        .fly
        .as_ref()
        .and_then(|fly| fly.token.as_ref()?.env.clone());
    let scene = Scene {
        inputs,
        files: &reader.files,
        environment: resolved.environment,
        vars: resolved.vars,
        names: resolved.names,
        references: resolved.references,
        mentions: resolved.mentions,
    };
    let lowered = lower::lower(&document, &root, &scene, reader.warnings);
    reader
        .problems
        .extend(new_places(lowered.problems, &reader.problems));
    if !reader.problems.is_empty() {
        return Err(Problems::new(reader.files, reader.problems));
    }
    Ok(Loaded {
        desired: lowered.desired,
        token: token.map(|env| TokenSource { env }),
        files: reader.files,
        places: lowered.places,
        images: lowered.images,
        file,
    })
}

/// A text whose reference failed, say, is not judged again for what is left of it.
fn new_places(problems: Vec<Problem>, before: &[Problem]) -> Vec<Problem> {
    let key = |problem: &Problem| {
        problem
            .at
            .as_ref()
            .map(|at| (at.file, at.span.start, at.span.end))
    };
    let before: BTreeSet<_> = before.iter().filter_map(key).collect();
    let told = |problem: &Problem| key(problem).is_some_and(|at| before.contains(&at));
    problems
        .into_iter()
        .filter(|problem| !told(problem))
        .collect()
}

fn no_such_environment(dir: &Path, environment: &str) -> Problem {
    let mut problem = Problem {
        message: format!(
            "there is no environment `{environment}` in {}",
            dir.display()
        ),
        at: None,
        label: String::new(),
        help: None,
    };
    if environment.starts_with('_') {
        problem.message =
            format!("`{environment}` is only inherited from, because its name begins with `_`");
    }
    problem.help = match list(dir) {
        Ok(known) if known.is_empty() => Some(format!("make one: {}/staging.toml", dir.display())),
        Ok(known) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            suggest::help(environment, known)
        }
        Err(error) => Some(format!("the folder cannot be read: {error}")),
    };
    problem
}

/// What interpolation found out.
struct Resolved {
    environment: String,
    vars: BTreeMap<String, String>,
    /// The apps' names on Fly, by key.
    names: BTreeMap<String, String>,
    /// Names and ARNs on AWS.
    references: References,
    mentions: Mentions,
}

/// What texts refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Mentions {
    /// The apps that an app's texts name, by key.
    pub(super) apps: BTreeMap<String, BTreeSet<String>>,
    /// What of AWS a table's texts name: by `apps.KEY` or `buckets.KEY`.
    pub(super) aws: BTreeMap<String, BTreeSet<Address>>,
}

/// Resolves references in an order that lets each see what it may refer to: variables, then the environment's name,
/// then apps' names, then everything else.
fn resolve(root: &mut Node, stem: &str, inputs: &Inputs, reader: &mut Reader) -> Resolved {
    let mut outcome = Outcome::default();
    let mut scope = Scope {
        vars: variables(root, inputs, &mut outcome),
        ..Scope::default()
    };
    let top = table_mut(root);
    let name = top.and_then(|table| entry_mut(table, "name"));
    let environment = name.map_or_else(
        || stem.to_owned(),
        |entry| {
            scope.resolve(&mut entry.node, &mut outcome);
            entry.node.as_str().unwrap_or(stem).to_owned()
        },
    );
    scope.environment = Some(environment.clone());
    for entry in apps(root) {
        for key in ["name", "config"] {
            if let Some(entry) = table_mut(&mut entry.node).and_then(|app| entry_mut(app, key)) {
                scope.resolve(&mut entry.node, &mut outcome);
            }
        }
    }
    reader.lay_configs_beneath(root);
    let project = text(root, "project").unwrap_or_default();
    let names: BTreeMap<String, String> = apps(root)
        .iter()
        .map(|entry| {
            let stated = text(&entry.node, "name");
            let name =
                stated.unwrap_or_else(|| lower::default_name(&project, &entry.key, &environment));
            (entry.key.clone(), name)
        })
        .collect();
    scope.apps = Some(names.clone());
    resolve_names(root, &scope, &mut outcome);
    let mark = Mark {
        project,
        environment: environment.clone(),
    };
    let references = References::of(root, &mark);
    scope.aws = Some(references.clone());
    scope.verbatim.clone_from(&reader.fly_files);
    let mentions = resolve_rest(root, &scope, &mut outcome);
    reader.problems.append(&mut outcome.problems);
    let given = inputs
        .vars
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let defaults = scope
        .vars
        .into_iter()
        .filter_map(|(name, variable)| Some((name, variable.value?)));
    let vars = defaults.chain(given).collect();
    Resolved {
        environment,
        vars,
        names,
        references,
        mentions,
    }
}

/// What other names on AWS are made of.
fn resolve_names(root: &mut Node, scope: &Scope, outcome: &mut Outcome) {
    let mut one = |node: &mut Node, keys: &[&str]| {
        for key in keys {
            if let Some(entry) = table_mut(node).and_then(|table| entry_mut(table, key)) {
                scope.resolve(&mut entry.node, outcome);
            }
        }
    };
    if let Some(aws) = table_mut(root).and_then(|table| entry_mut(table, "aws")) {
        one(&mut aws.node, &["account", "region"]);
    }
    for table in ["buckets", "identities", "roles"] {
        for entry in entries(root, table) {
            one(&mut entry.node, &["name", "region"]);
        }
    }
}

/// Everything but what was resolved before.
fn resolve_rest(root: &mut Node, scope: &Scope, outcome: &mut Outcome) -> Mentions {
    let mut mentions = Mentions::default();
    for entry in table_mut(root)
        .map(|table| &mut table.0)
        .into_iter()
        .flatten()
    {
        if !matches!(entry.key.as_str(), "name" | "vars" | "apps" | "buckets") {
            scope.resolve(&mut entry.node, outcome);
        }
    }
    outcome.aws.clear();
    for table in ["apps", "buckets"] {
        for entry in entries(root, table) {
            let inside = table_mut(&mut entry.node)
                .map(|table| &mut table.0)
                .into_iter()
                .flatten();
            for inner in inside.filter(|inner| !matches!(inner.key.as_str(), "name" | "config")) {
                scope.resolve(&mut inner.node, outcome);
            }
            mentions.aws.insert(
                format!("{table}.{}", entry.key),
                std::mem::take(&mut outcome.aws),
            );
            let apps = std::mem::take(&mut outcome.apps);
            if table == "apps" {
                mentions.apps.insert(entry.key.clone(), apps);
            }
        }
    }
    mentions
}

/// The variables that are declared, with their values.
fn variables(root: &Node, inputs: &Inputs, outcome: &mut Outcome) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    let declared = root
        .as_table()
        .and_then(|table| table.get("vars"))
        .and_then(Node::as_table);
    for Entry { key, node, .. } in declared.into_iter().flat_map(|table| &table.0) {
        let mut default = node
            .as_str()
            .map(str::to_owned)
            .or_else(|| text(node, "default"));
        if inputs.secrets == SecretsMode::Unchecked {
            default = default
                .or_else(|| text(node, "example"))
                .or_else(|| Some(key.clone()));
        }
        let value = inputs.vars.get(key).cloned().or(default);
        variables.insert(
            key.clone(),
            Variable {
                value,
                description: text(node, "description"),
            },
        );
    }
    let images = image_variables(root);
    let known: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .chain(images.iter().map(String::as_str))
        .collect();
    let strangers = inputs
        .vars
        .keys()
        .filter(|given| !known.contains(&given.as_str()));
    for given in strangers.filter(|_| !inputs.shared) {
        outcome.problems.push(Problem {
            message: format!("--var {given}: this environment has no variable `{given}`"),
            at: None,
            label: String::new(),
            help: suggest::help(given, known.iter().copied())
                .or_else(|| Some("declare it in [vars]".to_owned())),
        });
    }
    variables
}

/// `image = { var = "…" }` declares a variable by itself.
fn image_variables(root: &Node) -> Vec<String> {
    let apps = root
        .as_table()
        .and_then(|table| table.get("apps"))
        .and_then(Node::as_table);
    let images = apps.into_iter().flat_map(|apps| &apps.0);
    images
        .filter_map(|app| text(app.node.as_table()?.get("image")?, "var"))
        .collect()
}

fn apps(root: &mut Node) -> &mut [Entry] {
    entries(root, "apps")
}

/// The entries of a table at the top.
fn entries<'a>(root: &'a mut Node, key: &str) -> &'a mut [Entry] {
    let table = table_mut(root).and_then(|table| entry_mut(table, key));
    match table.and_then(|entry| table_mut(&mut entry.node)) {
        Some(Table(entries)) => entries,
        None => &mut [],
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.as_table()?.get(key)?.as_str().map(str::to_owned)
}
