//! Loads one environment, from its file to [`Desired`](crate::kinds::Desired).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Inputs, LoadedEnvironment, ManifestError, SecretsMode, TokenSource,
    aws_references::AwsReferences,
    interpolate::{InterpolationResult, Scope, Variable},
    known_secrets, list_environments,
    lower::{self, Context},
    reader::{ManifestReader, entry_mut, table_mut},
    schema::{decode::decode_manifest, json_schema, validate::validate},
    syntax::{
        node::{Diagnostic, TomlEntry, TomlNode, TomlTable},
        suggest,
    },
};
use crate::model::{Address, OwnershipMark};

/// Loads an environment of a folder by name.
///
/// # Errors
/// Everything that is wrong with it, each with its location.
pub fn load(
    dir: &Path,
    environment: &str,
    inputs: &Inputs,
) -> Result<LoadedEnvironment, ManifestError> {
    let mut reader = ManifestReader::default();
    let file = dir.join(format!("{environment}.toml"));
    // A folder, a pipe or a broken link is there, and reading it says what is wrong.
    let is_missing = file.symlink_metadata().is_err();
    if environment.starts_with('_') || environment.contains(['/', '\\']) || is_missing {
        reader.errors.push(unknown_environment(dir, environment));
        return Err(ManifestError::new(reader.files, reader.errors));
    }
    let root = reader.read_manifest(&file);
    known_secrets::register_secrets(root.as_ref(), &reader.files, inputs);
    let Some(mut root) = root.filter(|_| reader.errors.is_empty()) else {
        return Err(ManifestError::new(reader.files, reader.errors));
    };
    let resolved = resolve_references(&mut root, environment, inputs, &mut reader);
    let shape = validate(json_schema::strict_schema(), &mut root);
    reader.extend_errors(shape, &root.location);
    let manifest = match decode_manifest(&root) {
        Ok(manifest) => manifest,
        Err(diagnostic) => {
            reader.errors.push(diagnostic);
            return Err(ManifestError::new(reader.files, reader.errors));
        }
    };
    root.sort_by_key();
    let token = manifest
        .fly
        .as_ref()
        .and_then(|fly| fly.token.as_ref()?.env.clone());
    let warnings = std::mem::take(&mut reader.warnings);
    let context = Context {
        inputs,
        files: &reader.files,
        fly_toml_files: &reader.fly_toml_files,
        fly_toml_builds: &reader.fly_toml_builds,
        environment: resolved.environment,
        vars: resolved.vars,
        app_names: resolved.app_names,
        postgres: &manifest.postgres,
        aws_references: resolved.aws_references,
        used_references: resolved.used_references,
    };
    let lowered = lower::lower(&manifest, &root, &context, warnings);
    reader.extend_errors(lowered.errors, &root.location);
    if !reader.errors.is_empty() {
        return Err(ManifestError::new(reader.files, reader.errors));
    }
    Ok(LoadedEnvironment {
        desired: lowered.desired,
        token_source: token.map(|env| TokenSource { env }),
        files: reader.files,
        locations: lowered.locations,
        image_locations: lowered.image_locations,
        root,
        github: lowered.github,
        builds: lowered.builds,
        path: file,
    })
}

fn unknown_environment(dir: &Path, environment: &str) -> Diagnostic {
    let mut diagnostic = Diagnostic {
        message: format!(
            "there is no environment `{environment}` in {}",
            dir.display()
        ),
        location: None,
        label: String::new(),
        help: None,
    };
    if environment.starts_with('_') {
        diagnostic.message =
            format!("`{environment}` is only inherited from, because its name begins with `_`");
    }
    diagnostic.help = match list_environments(dir) {
        Ok(known) if known.is_empty() => Some(format!("make one: {}/staging.toml", dir.display())),
        Ok(known) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            suggest::did_you_mean(environment, known)
        }
        Err(error) => Some(format!("the folder cannot be read: {error}")),
    };
    diagnostic
}

/// What the resolution of references found out.
struct ResolvedReferences {
    environment: String,
    vars: BTreeMap<String, String>,
    /// The apps' names on Fly, by key.
    app_names: BTreeMap<String, String>,
    /// Names and ARNs on AWS.
    aws_references: AwsReferences,
    used_references: UsedReferences,
}

#[derive(Clone, Debug, Default)]
pub(super) struct UsedReferences {
    /// The apps that an app's strings refer to, by the key of the app.
    pub(super) apps: BTreeMap<String, BTreeSet<String>>,
    /// The AWS resources that the strings of a table refer to, by `apps.KEY` or `buckets.KEY`.
    pub(super) aws: BTreeMap<String, BTreeSet<Address>>,
}

/// Resolves references in such an order that each can see what it may refer to: variables, then the
/// environment's name, then the apps' names, then everything else.
fn resolve_references(
    root: &mut TomlNode,
    stem: &str,
    inputs: &Inputs,
    reader: &mut ManifestReader,
) -> ResolvedReferences {
    let mut result = InterpolationResult::default();
    let mut scope = Scope {
        vars: declared_variables(root, inputs, &mut result),
        ..Scope::default()
    };
    let top = table_mut(root);
    // The name may use variables, and everything after it may use the name.
    let name = top.and_then(|table| entry_mut(table, "name"));
    let environment = name.map_or_else(
        || stem.to_owned(),
        |entry| {
            scope.resolve(&mut entry.node, &mut result);
            entry.node.as_str().unwrap_or(stem).to_owned()
        },
    );
    scope.environment = Some(environment.clone());
    for entry in app_entries(root) {
        // `config` is a path that must be known before the fly.toml is merged; `name` is what
        // `${apps.KEY.name}` stands for.
        for key in ["name", "config"] {
            if let Some(entry) = table_mut(&mut entry.node).and_then(|app| entry_mut(app, key)) {
                scope.resolve(&mut entry.node, &mut result);
            }
        }
    }
    for entry in top_level_entries(root, "postgres") {
        if let Some(name) = table_mut(&mut entry.node).and_then(|table| entry_mut(table, "name")) {
            scope.resolve(&mut name.node, &mut result);
        }
    }
    // A fly.toml may set an app's name too, so it is merged before names are collected.
    reader.merge_fly_configs(root, |app| inputs.images.contains_key(app));
    let project = string_value(root, "project").unwrap_or_default();
    let name_of = |entry: &TomlEntry| {
        let stated = string_value(&entry.node, "name");
        let name =
            stated.unwrap_or_else(|| lower::default_app_name(&project, &entry.key, &environment));
        (entry.key.clone(), name)
    };
    // A Postgres cluster is an app as well, unless another environment owns it.
    let clusters = top_level_entries(root, "postgres").iter();
    let own_clusters = clusters.filter(|entry| {
        let is_managed = string_value(&entry.node, "engine").as_deref() == Some("managed");
        !is_managed && string_value(&entry.node, "external").is_none()
    });
    let mut names: BTreeMap<String, String> = own_clusters.map(name_of).collect();
    names.extend(app_entries(root).iter().map(name_of));
    scope.app_names = Some(names.clone());
    // AWS references are derived from these names, so they are resolved first.
    resolve_aws_names(root, &scope, &mut result);
    let mark = OwnershipMark {
        project,
        environment: environment.clone(),
    };
    let references = AwsReferences::from_root(root, &mark);
    // From here on every reference has a value.
    scope.aws_references = Some(references.clone());
    scope.verbatim_files.clone_from(&reader.fly_toml_files);
    let mentions = resolve_remaining(root, &mut scope, &mut result);
    reader.errors.append(&mut result.errors);
    let given = inputs
        .vars
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let defaults = scope
        .vars
        .into_iter()
        .filter_map(|(name, variable)| Some((name, variable.value?)));
    let vars = defaults.chain(given).collect();
    ResolvedReferences {
        environment,
        vars,
        app_names: names,
        aws_references: references,
        used_references: mentions,
    }
}

/// Resolves the keys that names on AWS are made of.
fn resolve_aws_names(root: &mut TomlNode, scope: &Scope, result: &mut InterpolationResult) {
    let mut one = |node: &mut TomlNode, keys: &[&str]| {
        for key in keys {
            if let Some(entry) = table_mut(node).and_then(|table| entry_mut(table, key)) {
                scope.resolve(&mut entry.node, result);
            }
        }
    };
    if let Some(aws) = table_mut(root).and_then(|table| entry_mut(table, "aws")) {
        one(&mut aws.node, &["account", "region"]);
    }
    for table in ["buckets", "identities", "roles"] {
        for entry in top_level_entries(root, table) {
            one(&mut entry.node, &["name", "region"]);
        }
    }
}

/// Resolves everything that was not resolved before, and notes what each app and bucket refers to.
fn resolve_remaining(
    root: &mut TomlNode,
    scope: &mut Scope,
    result: &mut InterpolationResult,
) -> UsedReferences {
    let mut mentions = UsedReferences::default();
    for entry in table_mut(root)
        .map(|table| &mut table.0)
        .into_iter()
        .flatten()
    {
        if !matches!(entry.key.as_str(), "name" | "vars" | "apps" | "buckets") {
            scope.keeps_github_expressions = entry.key == "github";
            scope.resolve(&mut entry.node, result);
        }
    }
    scope.keeps_github_expressions = false;
    result.referenced_aws.clear();
    for table in ["apps", "buckets"] {
        for entry in top_level_entries(root, table) {
            let inside = table_mut(&mut entry.node)
                .map(|table| &mut table.0)
                .into_iter()
                .flatten();
            for inner in inside.filter(|inner| !matches!(inner.key.as_str(), "name" | "config")) {
                scope.resolve(&mut inner.node, result);
            }
            mentions.aws.insert(
                format!("{table}.{}", entry.key),
                std::mem::take(&mut result.referenced_aws),
            );
            let apps = std::mem::take(&mut result.referenced_apps);
            if table == "apps" {
                mentions.apps.insert(entry.key.clone(), apps);
            }
        }
    }
    mentions
}

/// The declared variables, with their values.
fn declared_variables(
    root: &TomlNode,
    inputs: &Inputs,
    result: &mut InterpolationResult,
) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    let declared = root
        .as_table()
        .and_then(|table| table.get("vars"))
        .and_then(TomlNode::as_table);
    for TomlEntry { key, node, .. } in declared.into_iter().flat_map(|table| &table.0) {
        let mut default = node
            .as_str()
            .map(str::to_owned)
            .or_else(|| string_value(node, "default"));
        if inputs.secrets_mode == SecretsMode::Unchecked {
            default = default
                .or_else(|| string_value(node, "example"))
                .or_else(|| Some(key.clone()));
        }
        let value = inputs.vars.get(key).cloned().or(default);
        variables.insert(
            key.clone(),
            Variable {
                value,
                description: string_value(node, "description"),
            },
        );
    }
    let images = image_variables(root);
    let known: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .chain(images.iter().map(String::as_str))
        .collect();
    let undeclared = inputs
        .vars
        .keys()
        .filter(|given| !known.contains(&given.as_str()));
    for given in undeclared.filter(|_| !inputs.multiple_environments) {
        result.errors.push(Diagnostic {
            message: format!("--var {given}: this environment has no variable `{given}`"),
            location: None,
            label: String::new(),
            help: suggest::did_you_mean(given, known.iter().copied())
                .or_else(|| Some("declare it in [vars]".to_owned())),
        });
    }
    variables
}

/// `image = { var = "…" }` declares a variable by itself.
fn image_variables(root: &TomlNode) -> Vec<String> {
    let apps = root
        .as_table()
        .and_then(|table| table.get("apps"))
        .and_then(TomlNode::as_table);
    let images = apps.into_iter().flat_map(|apps| &apps.0);
    images
        .filter_map(|app| string_value(app.node.as_table()?.get("image")?, "var"))
        .collect()
}

fn app_entries(root: &mut TomlNode) -> &mut [TomlEntry] {
    top_level_entries(root, "apps")
}

/// The entries of a top-level table.
fn top_level_entries<'a>(root: &'a mut TomlNode, key: &str) -> &'a mut [TomlEntry] {
    let table = table_mut(root).and_then(|table| entry_mut(table, key));
    match table.and_then(|entry| table_mut(&mut entry.node)) {
        Some(TomlTable(entries)) => entries,
        None => &mut [],
    }
}

fn string_value(node: &TomlNode, key: &str) -> Option<String> {
    node.as_table()?.get(key)?.as_str().map(str::to_owned)
}
