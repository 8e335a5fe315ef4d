//! Names: of the project, the environment, the organization and the apps.

use std::collections::BTreeMap;

use super::{Context, Diagnostics};
use crate::manifest::{
    schema::Manifest,
    syntax::{cursor::Cursor, secret_detection, suggest},
};

/// The name on Fly of an app that states none: `PROJECT-KEY-ENVIRONMENT`.
pub(in crate::manifest) fn default_app_name(project: &str, key: &str, environment: &str) -> String {
    format!("{project}-{key}-{environment}").replace('_', "-")
}

/// Lower-case letters, digits and dashes, with no dash at either end.
fn is_slug(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

/// Names that marks are made of, and the organization.
pub(super) fn check_environment_names(
    document: &Manifest,
    scene: &Context<'_>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    if let Some(project) = document
        .project
        .as_deref()
        .filter(|project| !is_slug(project))
    {
        let problem = at
            .key("project")
            .diagnostic(format!("`{project}` cannot be a project's name"));
        sink.error(problem.with_help("use lower-case letters, digits and dashes"));
    }
    if !is_slug(&scene.environment) {
        let problem = at.key("name").diagnostic(format!(
            "`{}` cannot be an environment's name",
            scene.environment
        ));
        sink.error(problem.with_help(
            "use lower-case letters, digits and dashes; rename the file, or say `name`",
        ));
    }
    let org = document.fly.as_ref().and_then(|fly| fly.org.as_deref());
    if let Some(org) = org.filter(|org| !is_slug(org)) {
        let problem = at
            .key("fly")
            .key("org")
            .diagnostic(format!("`{org}` is not an organization's slug"));
        sink.error(
            problem.with_help("`fly orgs list` shows it: lower-case letters, digits and dashes"),
        );
    }
    let token = document
        .fly
        .as_ref()
        .and_then(|fly| fly.token.as_ref()?.env.as_deref());
    if let Some(token) = token.filter(|name| !secret_detection::is_variable_name(name)) {
        // The text is not repeated: whoever mistakes this for the token's place would read it in a log.
        let problem = at
            .key("fly")
            .key("token")
            .key("env")
            .diagnostic("this is not the name of an environment variable");
        sink.error(problem.with_help(format!(
            "name the variable that holds the token ({} characters stand here)",
            token.len()
        )));
    }
}

/// Whether an app's key can be used in addresses and references.
pub(super) fn check_app_key(key: &str, at: Cursor<'_>, sink: &mut Diagnostics) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(fits) {
        return true;
    }
    let problem = at.diagnostic(format!("`{key}` cannot be the key of an app"));
    sink.error(problem.with_help(
        "use lower-case letters, digits, dashes and underscores; the name on Fly is `name`",
    ));
    false
}

/// The apps' names on Fly: their form, and that no two are the same.
pub(super) fn check_app_names(
    document: &Manifest,
    scene: &Context<'_>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    if document.apps.is_empty() && document.project.is_some() {
        sink.warn(
            at.key("apps")
                .diagnostic("this environment asks for no app"),
        );
    }
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for key in document.apps.keys() {
        let (Some(name), at) = (scene.app_names.get(key), at.key("apps").key(key)) else {
            continue;
        };
        let spot = at.key("name");
        let parts_fit =
            is_slug(&scene.environment) && document.project.as_deref().is_some_and(is_slug);
        if (spot.is_present() || parts_fit) && (!is_slug(name) || name.len() >= 63) {
            let problem = spot.diagnostic(format!("`{name}` cannot be an app's name on Fly"));
            let rule = "names have fewer than 63 characters: lower-case letters, digits and dashes";
            sink.error(problem.with_help(if spot.is_present() {
                rule.to_owned()
            } else {
                format!("{rule}; say `name`")
            }));
        }
        if let Some(other) = taken.insert(name, key) {
            let problem = spot.diagnostic(format!(
                "app `{key}` has the same name on Fly as app `{other}`: `{name}`"
            ));
            sink.error(problem.with_help("names are unique over all of Fly"));
        }
    }
    for key in scene
        .inputs
        .images
        .keys()
        .filter(|key| !document.apps.contains_key(*key))
    {
        let help = suggest::did_you_mean(key, document.apps.keys().map(String::as_str));
        let mut problem = at
            .diagnostic(format!(
                "--image {key}: this environment has no app `{key}`"
            ))
            .with_optional_help(help);
        problem.location = None;
        sink.error(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_says_whose_it_is() {
        assert_eq!(
            default_app_name("harbor", "web", "review-42"),
            "harbor-web-review-42"
        );
        assert!(
            is_slug("harbor-web-review-42") && !is_slug("Harbor") && !is_slug("-a") && !is_slug("")
        );
    }
}
