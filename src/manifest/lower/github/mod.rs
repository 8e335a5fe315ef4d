//! Lowers `[github]`. What GitHub would refuse, or what would silently do something else than it
//! says, is an error here.

mod checks;
mod cron;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Context, Diagnostics, fly::scalars};
use crate::{
    manifest::{
        github::{DeployTriggers, GithubDeployment, GithubSettings, ProjectWorkflows, SetupStep},
        schema::{
            DeployConcurrency, GithubSection, Manifest, OneOrMany, ReviewPolicy, Var,
            decode::to_json, slice_or_empty,
        },
        syntax::{cursor::Cursor, node::TomlNode},
    },
    model::GoDuration,
};
use checks::Checks;

/// How long an apply may take unless the manifest says so.
const DEFAULT_DEADLINE: GoDuration = GoDuration::from_secs(30 * 60);
/// The deadlines that fit into a job of six hours, with a quarter of an hour for everything else.
const DEADLINES: [GoDuration; 2] = [GoDuration::from_secs(60), GoDuration::from_secs(345 * 60)];
/// The variable that flyctl reads, and trimtab as well where the manifest names none.
const DEFAULT_TOKEN_VARIABLE: &str = "FLY_API_TOKEN";

/// Lowers `[github]`.
pub(super) fn lower_github(
    manifest: &Manifest,
    root: &TomlNode,
    context: &Context<'_>,
    diagnostics: &mut Diagnostics,
) -> GithubSettings {
    let Some(section) = &manifest.github else {
        return GithubSettings::default();
    };
    let cursor = Cursor::root(root).key("github");
    let node = root.as_table().and_then(|table| table.get("github"));
    let mut checks = Checks {
        diagnostics,
        root: Cursor::root(root),
    };
    let workflows = lower_workflows(section, node, cursor.key("workflows"), &mut checks);
    let stated = node.and_then(TomlNode::as_table);
    let has_deployment = stated
        .into_iter()
        .flat_map(|table| &table.0)
        .any(|entry| entry.key != "workflows");
    GithubSettings {
        deployment: (has_deployment && !is_template(manifest))
            .then(|| lower_deployment(manifest, section, cursor, context, &mut checks)),
        workflows,
    }
}

fn lower_deployment(
    manifest: &Manifest,
    section: &GithubSection,
    cursor: Cursor<'_>,
    context: &Context<'_>,
    checks: &mut Checks<'_, '_>,
) -> GithubDeployment {
    let triggers = lower_triggers(section, cursor, checks);
    let concurrency = section.concurrency.unwrap_or_default();
    checks.clashes(section, &triggers, concurrency, cursor);
    let token_variable = manifest
        .fly
        .as_ref()
        .and_then(|fly| fly.token.as_ref()?.env.clone())
        .unwrap_or_else(|| DEFAULT_TOKEN_VARIABLE.to_owned());
    let named = |stated: &Option<String>, default: String| stated.clone().unwrap_or(default);
    let token = named(&section.token, token_variable.clone());
    let read_token = named(&section.read_token, format!("{token_variable}_READ"));
    checks.secret_name(&token, cursor.key("token"));
    checks.secret_name(&read_token, cursor.key("read_token"));
    for (table, sources) in [("secrets", &section.secrets), ("vars", &section.vars)] {
        for (variable, source) in sources {
            let cursor = cursor.key(table).key(variable);
            checks.variable_name(variable, cursor);
            checks.secret_name(source, cursor);
        }
    }
    checks.sources(section, &token_variable, cursor);
    let mut secrets = manifest_sources(manifest, checks);
    secrets.retain(|variable, _| !section.vars.contains_key(variable));
    secrets.extend(section.secrets.clone());
    let environment = named(&section.environment, context.environment.clone());
    checks.environment_name(&environment, cursor.key("environment"));
    let deadline = scalars::parse_duration(
        section.deadline.as_ref(),
        cursor.key("deadline"),
        checks.diagnostics,
    );
    let deadline = deadline.unwrap_or(DEFAULT_DEADLINE);
    if deadline < DEADLINES[0] || deadline > DEADLINES[1] {
        checks.error(
            cursor.key("deadline"),
            "an apply on GitHub may take from one minute to 5h45m",
            "a job ends after six hours, and the rest of it needs time as well",
        );
    }
    GithubDeployment {
        location: cursor.location().cloned(),
        triggers,
        concurrency,
        reviewed: section.reviewed.unwrap_or(match concurrency {
            DeployConcurrency::Cancel => ReviewPolicy::Off,
            DeployConcurrency::Queue => ReviewPolicy::IfPresent,
        }),
        skip_if_message: slice_or_empty(section.skip_if_message.as_ref()).to_vec(),
        comment: section.comment.unwrap_or(true),
        environment,
        token_variable,
        token,
        read_token,
        optional_secrets: optional_sources(manifest)
            .iter()
            .filter_map(|variable| secrets.get(*variable).cloned())
            .collect(),
        app_only_variables: app_only_sources(manifest),
        secrets,
        passes_secrets_to_plans: section.plan_secrets.unwrap_or(false),
        vars: section.vars.clone(),
        uses_aws: manifest.aws.is_some(),
        setup: lower_setup(&section.setup, cursor.key("setup"), checks),
        runner: checks.runner(section.runner.as_ref(), cursor.key("runner")),
        deadline,
    }
}

fn lower_triggers(
    section: &GithubSection,
    cursor: Cursor<'_>,
    checks: &mut Checks<'_, '_>,
) -> DeployTriggers {
    let mut patterns = |key: &str, stated: Option<&OneOrMany<String>>| {
        let patterns = slice_or_empty(stated).to_vec();
        checks.ref_patterns(&patterns, cursor.key(key));
        patterns
    };
    let triggers = DeployTriggers {
        branches: patterns("branches", section.branches.as_ref()),
        tags: patterns("tags", section.tags.as_ref()),
        dispatch: section.dispatch.unwrap_or(false),
    };
    match section.deploy {
        Some(false) if !triggers.is_empty() => checks.error(
            cursor.key("deploy"),
            "`deploy = false`, but `branches`, `tags` or `dispatch` say when to deploy",
            "take one of them out",
        ),
        Some(false) => {}
        Some(true) | None if triggers.is_empty() => checks.error(
            cursor,
            "nothing starts a deployment of this environment on GitHub",
            "write `branches = [\"main\"]`, `tags = [\"v*\"]` or `dispatch = true`; or `deploy = false`, if only its plan is wanted",
        ),
        Some(true) | None => {}
    }
    triggers
}

/// Whether the manifest describes an environment only together with `--var`, such as one for each pull request. No workflow
/// deploys it by its name, also where it inherits a block that says so.
fn is_template(manifest: &Manifest) -> bool {
    let mut variables = manifest.vars.values();
    variables.any(
        |variable| matches!(variable, Var::Described(described) if described.default.is_none()),
    )
}

/// What `{ env = "…" }` names in the manifest: each comes from the secret of its own name.
fn manifest_sources(manifest: &Manifest, checks: &mut Checks<'_, '_>) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    for (key, app) in &manifest.apps {
        let own = checks.root.key("apps").key(key);
        let of_build = app.build.iter().flat_map(|build| &build.secrets);
        let all = app
            .secrets
            .iter()
            .map(|entry| (entry, own.key("secrets")))
            .chain(of_build.map(|entry| (entry, own.key("build").key("secrets"))));
        for ((secret, source), cursor) in all {
            let Some(variable) = &source.env else {
                continue;
            };
            let stated = manifest.github.as_ref();
            let is_mapped = stated.is_some_and(|github| {
                github.secrets.contains_key(variable) || github.vars.contains_key(variable)
            });
            if !is_mapped {
                checks.secret_name(variable, cursor.key(secret).key("env"));
            }
            sources.insert(variable.clone(), variable.clone());
        }
    }
    sources
}

/// The variables that secrets of apps name, and no build.
fn app_only_sources(manifest: &Manifest) -> BTreeSet<String> {
    let apps = manifest.apps.values();
    let of_apps = apps.clone().flat_map(|app| app.secrets.values());
    let of_builds = apps
        .flat_map(|app| &app.build)
        .flat_map(|build| build.secrets.values());
    let of_builds: BTreeSet<&String> = of_builds.filter_map(|source| source.env.as_ref()).collect();
    of_apps
        .filter_map(|source| source.env.as_ref())
        .filter(|variable| !of_builds.contains(variable))
        .cloned()
        .collect()
}

/// The variables that only optional secrets name.
fn optional_sources(manifest: &Manifest) -> BTreeSet<&str> {
    let of = |is_optional: bool| -> BTreeSet<&str> {
        let sources = manifest.apps.values().flat_map(|app| app.secrets.values());
        sources
            .filter(|source| source.optional.unwrap_or(false) == is_optional)
            .filter_map(|source| source.env.as_deref())
            .collect()
    };
    of(true).difference(&of(false)).copied().collect()
}

fn lower_workflows(
    section: &GithubSection,
    node: Option<&TomlNode>,
    cursor: Cursor<'_>,
    checks: &mut Checks<'_, '_>,
) -> ProjectWorkflows {
    let Some(section) = &section.workflows else {
        return ProjectWorkflows::default();
    };
    checks.workflows(section, cursor);
    let table = node
        .and_then(|node| node.as_table()?.get("workflows"))
        .and_then(TomlNode::as_table);
    let stated = table.into_iter().flat_map(|table| &table.0).map(|entry| {
        let value: Json = to_json(&entry.node);
        (entry.key.clone(), (value, entry.key_location.clone()))
    });
    ProjectWorkflows {
        section: section.clone(),
        setup: lower_setup(&section.setup, cursor.key("setup"), checks),
        install: checks.install(section.install.as_ref(), cursor.key("install")),
        stated: stated.collect(),
    }
}

fn lower_setup(
    stated: &[crate::manifest::schema::GithubStep],
    cursor: Cursor<'_>,
    checks: &mut Checks<'_, '_>,
) -> Vec<SetupStep> {
    let steps = stated.iter().enumerate();
    steps
        .filter_map(|(index, step)| steps::lower_step(step, cursor.item(index), checks))
        .collect()
}
