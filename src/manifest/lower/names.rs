//! Checks the names of the project, the environment, the organization and the apps.

use std::collections::BTreeMap;

use super::{Context, Diagnostics};
use crate::manifest::{
    schema::Manifest,
    syntax::{cursor::Cursor, secret_detection, suggest},
};

/// The default name of an app on Fly: `PROJECT-KEY-ENVIRONMENT`.
pub(in crate::manifest) fn default_app_name(project: &str, key: &str, environment: &str) -> String {
    format!("{project}-{key}-{environment}").replace('_', "-")
}

/// Whether a text can be the name of a project or an environment. The label of an app joins the two by `__`, with `_` for each dash,
/// so no name may have two dashes in a row: `a--b` and `c` would have the label of `a` and `b--c`.
fn is_owner_name(text: &str) -> bool {
    is_slug(text) && !text.contains("--")
}

/// Whether a text has only lower-case letters, digits and dashes, and no dash at either end.
fn is_slug(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.chars().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Checks the names that ownership marks contain, the organization and the token's variable.
pub(super) fn check_environment_names(
    manifest: &Manifest,
    context: &Context<'_>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if let Some(project) = manifest
        .project
        .as_deref()
        .filter(|project| !is_owner_name(project))
    {
        let diagnostic = cursor
            .key("project")
            .diagnostic(format!("`{project}` cannot be a project's name"));
        diagnostics.error(diagnostic.with_help("use lower-case letters, digits and single dashes"));
    }
    if !is_owner_name(&context.environment) {
        let diagnostic = cursor.key("name").diagnostic(format!(
            "`{}` cannot be an environment's name",
            context.environment
        ));
        diagnostics.error(diagnostic.with_help(
            "use lower-case letters, digits and single dashes; rename the file, or set `name`",
        ));
    }
    let org = manifest.fly.as_ref().and_then(|fly| fly.org.as_deref());
    if let Some(org) = org.filter(|org| !is_slug(org)) {
        let diagnostic = cursor
            .key("fly")
            .key("org")
            .diagnostic(format!("`{org}` is not an organization's slug"));
        diagnostics.error(
            diagnostic.with_help("`fly orgs list` shows it: lower-case letters, digits and dashes"),
        );
    }
    let token = manifest
        .fly
        .as_ref()
        .and_then(|fly| fly.token.as_ref()?.env.as_deref());
    if let Some(token) = token.filter(|name| !secret_detection::is_variable_name(name)) {
        // The text is not repeated: somebody who put the token itself here would find it in a log.
        let diagnostic = cursor
            .key("fly")
            .key("token")
            .key("env")
            .diagnostic("this is not the name of an environment variable");
        diagnostics.error(diagnostic.with_help(format!(
            "name the variable that holds the token (found {} characters)",
            token.len()
        )));
    }
}

/// Checks that an app's key can be used in addresses and references.
pub(super) fn check_app_key(key: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(is_allowed) {
        return true;
    }
    let diagnostic = cursor.diagnostic(format!("`{key}` cannot be the key of an app"));
    diagnostics.error(diagnostic.with_help(
        "use lower-case letters, digits, dashes and underscores; the name on Fly is `name`",
    ));
    false
}

/// Checks the apps' names on Fly: their form, and that they are unique.
pub(super) fn check_app_names(
    manifest: &Manifest,
    context: &Context<'_>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if manifest.apps.is_empty() && manifest.postgres.is_empty() && manifest.project.is_some() {
        diagnostics.warn(
            cursor
                .key("apps")
                .diagnostic("this environment asks for no app"),
        );
    }
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    let apps = manifest.apps.keys().map(|key| ("apps", key));
    let clusters = manifest
        .postgres
        .iter()
        .filter(|(_, cluster)| cluster.external.is_none())
        .map(|(key, _)| ("postgres", key));
    for (table, key) in apps.chain(clusters) {
        let (Some(name), cursor) = (context.app_names.get(key), cursor.key(table).key(key)) else {
            continue;
        };
        let field = cursor.key("name");
        let parts_fit =
            is_slug(&context.environment) && manifest.project.as_deref().is_some_and(is_slug);
        if (field.is_present() || parts_fit) && (!is_slug(name) || name.len() >= 63) {
            let diagnostic = field.diagnostic(format!("`{name}` cannot be an app's name on Fly"));
            let rule = "names have fewer than 63 characters: lower-case letters, digits and dashes";
            diagnostics.error(diagnostic.with_help(if field.is_present() {
                rule.to_owned()
            } else {
                format!("{rule}; set `name`")
            }));
        }
        if let Some(other) = taken.insert(name, key) {
            let diagnostic = field.diagnostic(format!(
                "app `{key}` has the same name on Fly as app `{other}`: `{name}`"
            ));
            diagnostics.error(diagnostic.with_help("names are unique over all of Fly"));
        }
    }
    for key in context
        .inputs
        .images
        .keys()
        .filter(|key| !manifest.apps.contains_key(*key))
    {
        let help = suggest::did_you_mean(key, manifest.apps.keys().map(String::as_str));
        let mut diagnostic = cursor
            .diagnostic(format!(
                "--image {key}: this environment has no app `{key}`"
            ))
            .with_optional_help(help);
        diagnostic.location = None;
        diagnostics.error(diagnostic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_name_contains_project_and_environment() {
        assert_eq!(
            default_app_name("harbor", "web", "review-42"),
            "harbor-web-review-42"
        );
        assert!(
            is_slug("harbor-web-review-42") && !is_slug("Harbor") && !is_slug("-a") && !is_slug("")
        );
    }
}
