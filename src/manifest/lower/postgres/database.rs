//! Lowers the databases of an app.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::{GROUP, node_count};
use crate::{
    kinds::{
        Desired,
        fly::{
            App, Machine,
            secrets::{SecretGenerator, SecretSpec},
        },
        postgres::{
            Database, ManagedCluster,
            database::{ClusterRef, DatabaseSpec, UrlShape},
        },
    },
    manifest::{
        lower::{
            Diagnostics, Lowered, default_app_name,
            fly::{app::AppContext, secrets::generated_secret},
        },
        schema::{DatabaseSection, PostgresEngine, PostgresSection},
        syntax::{
            cursor::Cursor, node::Diagnostic, node::SourceLocation, secret_detection, suggest,
        },
    },
    model::{Address, Name, ResourceRef},
};

/// The secret that gets the URL, unless the block names another.
const DEFAULT_VARIABLE: &str = "DATABASE_URL";
const DEFAULT_SCHEME: &str = "postgres";
/// Postgres cuts longer names off.
const LONGEST_NAME: usize = 63;
/// Databases and roles of the image itself.
const RESERVED_NAMES: [&str; 7] = [
    "postgres",
    "template0",
    "template1",
    "repmgr",
    "flypgadmin",
    "public",
    "none",
];

/// Adds the databases of an app.
pub(in crate::manifest::lower) fn lower_databases(
    app: &AppContext<'_>,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let mut variables = BTreeSet::new();
    for (key, section) in &app.app.databases {
        let cursor = app.cursor.key("databases").key(key);
        let Some(name) = app.child_name(&[key], cursor, diagnostics) else {
            continue;
        };
        let Some(cluster) = find_cluster(app, section, cursor, diagnostics) else {
            continue;
        };
        let variable = variable(section);
        check_variable(app, &variable, &mut variables, cursor, diagnostics);
        let default_name = default_name(app);
        let field = |key: &str| match cursor.key(key) {
            field if field.is_present() => field,
            _ => cursor,
        };
        let database = section
            .database
            .clone()
            .unwrap_or_else(|| default_name.clone());
        check_name(&database, "database", field("database"), diagnostics);
        let role = section.role.clone().unwrap_or(default_name);
        check_name(&role, "role", field("role"), diagnostics);
        let spec = DatabaseSpec {
            app: app.app_ref(),
            url: url_shape(section, &cluster, cursor, diagnostics),
            cluster,
            database,
            role,
            variable,
            extensions: extensions(section, cursor, diagnostics),
            ephemeral: section.ephemeral.unwrap_or_default(),
            adopt: section.adopt.unwrap_or_default(),
            has_machines: false,
            mark: app.mark.clone(),
        };
        if spec.adopt {
            lowered
                .desired
                .meta
                .adopt
                .insert(Address::new::<Database>(&name));
        }
        app.record_location::<Database>(&name, cursor, lowered);
        lowered.desired.postgres_database.insert(name, spec);
    }
}

/// The secrets that the URLs of an app's databases are.
pub(in crate::manifest::lower) fn database_secrets(
    app: &AppContext<'_>,
) -> Vec<(String, SecretSpec)> {
    let databases = app.app.databases.iter();
    let secret = |(key, section): (&String, &DatabaseSection)| {
        let name = app.name.child(key).ok()?;
        let database = ResourceRef::<Database>::new(name);
        let source = format!("URL of {}", database.address());
        Some((
            variable(section),
            generated_secret(SecretGenerator::Database(database), source),
        ))
    };
    databases.filter_map(secret).collect()
}

fn variable(section: &DatabaseSection) -> String {
    section
        .variable
        .clone()
        .unwrap_or_else(|| DEFAULT_VARIABLE.to_owned())
}

/// As with `fly postgres attach`: the app's name, with underscores for dashes (flyctl, `postgres/attach.go`).
fn default_name(app: &AppContext<'_>) -> String {
    let fly_name = app
        .context
        .app_names
        .get(app.key)
        .map_or(app.key, String::as_str);
    fly_name.to_lowercase().replace('-', "_")
}

fn find_cluster(
    app: &AppContext<'_>,
    section: &DatabaseSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<ClusterRef> {
    let key = section.cluster.as_deref()?;
    let clusters = app.context.postgres;
    let Some(cluster) = clusters.get(key) else {
        let field = cursor.key("cluster");
        let diagnostic = field.diagnostic(format!("there is no Postgres cluster `{key}`"));
        let known = clusters.keys().map(String::as_str);
        let help = suggest::did_you_mean(key, known).unwrap_or_else(|| {
            format!(
                "add a block `[postgres.{key}]`; `external = \"…\"` in it names one that exists"
            )
        });
        diagnostics.error(diagnostic.with_help(help));
        return None;
    };
    if let Some(fly_name) = &cluster.external {
        return Some(ClusterRef {
            fly_name: fly_name.clone(),
            ..ClusterRef::default()
        });
    }
    let name = Name::parse(key).ok()?;
    if cluster.engine == Some(PostgresEngine::Managed) {
        let default_name = default_app_name(&app.mark.project, key, &app.context.environment);
        return Some(ClusterRef {
            fly_name: cluster.name.clone().unwrap_or(default_name),
            managed: Some(ResourceRef::<ManagedCluster>::new(name)),
            ..ClusterRef::default()
        });
    }
    let fly_name = app.context.app_names.get(key).cloned().unwrap_or_default();
    Some(ClusterRef {
        fly_name,
        nodes: node_names(&name, cluster)
            .into_iter()
            .map(ResourceRef::<Machine>::new)
            .collect(),
        app: Some(ResourceRef::<App>::new(name)),
        managed: None,
    })
}

fn node_names(cluster: &Name, section: &PostgresSection) -> Vec<Name> {
    let Some(region) = &section.region else {
        return Vec::new();
    };
    let numbers = 0..node_count(section);
    let name = |number| {
        cluster
            .child(&format!("{GROUP}/{}/{number}", region.0))
            .ok()
    };
    numbers.filter_map(name).collect()
}

/// The name goes into statements and URLs, so only what needs no quoting and no encoding is allowed.
fn check_name(name: &str, what: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !begins_well || !name.chars().all(is_allowed) {
        let diagnostic = cursor.diagnostic(format!("`{name}` cannot be the name of a {what}"));
        diagnostics.error(diagnostic.with_help(format!(
            "use lower-case letters, digits and underscores, and a letter first; set `{what}`"
        )));
    } else if name.len() > LONGEST_NAME {
        let diagnostic =
            cursor.diagnostic(format!("`{name}` has more than {LONGEST_NAME} characters"));
        diagnostics.error(diagnostic.with_help(format!("Postgres would cut it off; set `{what}`")));
    } else if RESERVED_NAMES.contains(&name) || name.starts_with("pg_") {
        let diagnostic = cursor.diagnostic(format!("`{name}` is a {what} of the server itself"));
        diagnostics.error(diagnostic.with_help(format!("set `{what}` to another name")));
    }
}

fn check_variable(
    app: &AppContext<'_>,
    variable: &str,
    seen: &mut BTreeSet<String>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let field = match cursor.key("variable") {
        field if field.is_present() => field,
        _ => cursor,
    };
    let help = if !secret_detection::is_variable_name(variable) || variable.starts_with("FLY_") {
        Some("use letters, digits and underscores, no digit first, and no `FLY_` in front")
    } else if app.app.secrets.contains_key(variable) || app.app.env.contains_key(variable) {
        Some(
            "the app has a secret or a variable of this name already: leave that out, or set `variable`",
        )
    } else if !seen.insert(variable.to_owned()) {
        Some("another database of the app has this variable: set `variable`")
    } else {
        None
    };
    if let Some(help) = help {
        let diagnostic =
            field.diagnostic(format!("`{variable}` cannot get the URL of this database"));
        diagnostics.error(diagnostic.with_help(help));
    }
}

fn url_shape(
    section: &DatabaseSection,
    cluster: &ClusterRef,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> UrlShape {
    let scheme = section
        .scheme
        .clone()
        .unwrap_or_else(|| DEFAULT_SCHEME.to_owned());
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.chars().all(is_allowed) {
        let diagnostic = cursor
            .key("scheme")
            .diagnostic(format!("`{scheme}` is not the scheme of a URL"));
        diagnostics.error(
            diagnostic.with_help(
                "write `postgres`, `postgresql` or, for SQLAlchemy, `postgresql+asyncpg`",
            ),
        );
    }
    let is_managed = cluster.managed.is_some();
    if section.pooled.is_some() && !is_managed {
        let diagnostic = cursor
            .key("pooled")
            .diagnostic("only a managed cluster has a connection pool");
        diagnostics.error(diagnostic.with_help("leave `pooled` out"));
    }
    // SQLAlchemy hands the query on to asyncpg, which knows no `sslmode` (MagicStack/asyncpg#737).
    let default = if scheme.contains("asyncpg") {
        "ssl"
    } else {
        "sslmode"
    };
    let default = (default.to_owned(), "disable".to_owned());
    // A managed cluster offers TLS, and drivers use it by themselves.
    let default: BTreeMap<String, String> = [default].into_iter().filter(|_| !is_managed).collect();
    let params = section.params.as_ref().unwrap_or(&default);
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let query: Vec<String> = params
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    UrlShape {
        scheme,
        // Only connections through Fly's proxy wake a cluster that sleeps.
        host: match is_managed {
            true => UrlShape::UNKNOWN_HOST.to_owned(),
            false => format!("{}.flycast:5432", cluster.fly_name),
        },
        pooled: section.pooled.unwrap_or(true),
        query: query.join("&"),
    }
}

fn extensions(
    section: &DatabaseSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    for (index, name) in section.extensions.iter().enumerate() {
        if name.is_empty() || !name.chars().all(is_allowed) {
            let diagnostic = cursor
                .key("extensions")
                .item(index)
                .diagnostic(format!("`{name}` is not the name of an extension"));
            diagnostics.error(
                diagnostic.with_help("`SELECT name FROM pg_available_extensions` lists them"),
            );
        }
    }
    section.extensions.iter().cloned().collect()
}

/// Refuses two databases or roles of one name in a cluster: `a-b` and `a_b` have the same default.
pub(in crate::manifest::lower) fn check_database_names(
    desired: &Desired,
    locations: &BTreeMap<Address, SourceLocation>,
    diagnostics: &mut Diagnostics,
) {
    let mut taken: BTreeMap<(&str, &str, &str), &Name> = BTreeMap::new();
    for (name, spec) in &desired.postgres_database {
        let cluster = spec.cluster.fly_name.as_str();
        for (what, value) in [("database", &spec.database), ("role", &spec.role)] {
            let Some(other) = taken.insert((cluster, what, value), name) else {
                continue;
            };
            let address = Address::new::<Database>(name);
            diagnostics.error(Diagnostic {
                message: format!(
                    "{address} has the same {what} in {cluster} as {}: `{value}`",
                    Address::new::<Database>(other)
                ),
                location: locations.get(&address).cloned(),
                label: String::new(),
                help: Some(format!("set `{what}` in one of them")),
            });
            break;
        }
    }
}

/// Marks the databases of apps that have a machine, because a machine remembers which URL it was started with.
pub(in crate::manifest::lower) fn mark_databases_with_machines(desired: &mut Desired) {
    let machines = desired.fly_machine.keys().chain(desired.fly_cron.keys());
    let apps: BTreeSet<Name> = machines.map(Name::root).collect();
    for (name, spec) in desired.postgres_database.iter_mut() {
        spec.has_machines = apps.contains(&name.root());
    }
}
