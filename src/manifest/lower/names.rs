//! Names: of the project, the environment, the organization and the apps.

use std::collections::BTreeMap;

use super::{Scene, Sink};
use crate::manifest::{sensitive, shape::Document, spot::Spot, suggest};

/// The name on Fly of an app that states none: `PROJECT-KEY-ENVIRONMENT`.
pub(in crate::manifest) fn default_name(project: &str, key: &str, environment: &str) -> String {
    format!("{project}-{key}-{environment}").replace('_', "-")
}

/// Lower-case letters, digits and dashes, with no dash at either end.
fn is_slug(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

/// Names that marks are made of, and the organization.
pub(super) fn check_labels(document: &Document, scene: &Scene<'_>, at: Spot<'_>, sink: &mut Sink) {
    if let Some(project) = document
        .project
        .as_deref()
        .filter(|project| !is_slug(project))
    {
        let problem = at
            .key("project")
            .problem(format!("`{project}` cannot be a project's name"));
        sink.error(problem.help("use lower-case letters, digits and dashes"));
    }
    if !is_slug(&scene.environment) {
        let problem = at.key("name").problem(format!(
            "`{}` cannot be an environment's name",
            scene.environment
        ));
        sink.error(
            problem
                .help("use lower-case letters, digits and dashes; rename the file, or say `name`"),
        );
    }
    let org = document.fly.as_ref().and_then(|fly| fly.org.as_deref());
    if let Some(org) = org.filter(|org| !is_slug(org)) {
        let problem = at
            .key("fly")
            .key("org")
            .problem(format!("`{org}` is not an organization's slug"));
        sink.error(problem.help("`fly orgs list` shows it: lower-case letters, digits and dashes"));
    }
    let token = document
        .fly
        .as_ref()
        .and_then(|fly| fly.token.as_ref()?.env.as_deref());
    if let Some(token) = token.filter(|name| !sensitive::is_key(name)) {
        // The text is not repeated: whoever mistakes this for the token's place would read it in a log.
        let problem = at
            .key("fly")
            .key("token")
            .key("env")
            .problem("this is not the name of an environment variable");
        sink.error(problem.help(format!(
            "name the variable that holds the token ({} characters stand here)",
            token.len()
        )));
    }
}

/// Whether an app's key can be used in addresses and references.
pub(super) fn check_key(key: &str, at: Spot<'_>, sink: &mut Sink) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(fits) {
        return true;
    }
    let problem = at.problem(format!("`{key}` cannot be the key of an app"));
    sink.error(
        problem.help(
            "use lower-case letters, digits, dashes and underscores; the name on Fly is `name`",
        ),
    );
    false
}

/// The apps' names on Fly: their form, and that no two are the same.
pub(super) fn check_apps(document: &Document, scene: &Scene<'_>, at: Spot<'_>, sink: &mut Sink) {
    if document.apps.is_empty() && document.project.is_some() {
        sink.warn(at.key("apps").problem("this environment asks for no app"));
    }
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for key in document.apps.keys() {
        let (Some(name), at) = (scene.names.get(key), at.key("apps").key(key)) else {
            continue;
        };
        let spot = at.key("name");
        let parts_fit =
            is_slug(&scene.environment) && document.project.as_deref().is_some_and(is_slug);
        if (spot.is_written() || parts_fit) && (!is_slug(name) || name.len() >= 63) {
            let problem = spot.problem(format!("`{name}` cannot be an app's name on Fly"));
            let rule = "names have fewer than 63 characters: lower-case letters, digits and dashes";
            sink.error(problem.help(if spot.is_written() {
                rule.to_owned()
            } else {
                format!("{rule}; say `name`")
            }));
        }
        if let Some(other) = taken.insert(name, key) {
            let problem = spot.problem(format!(
                "app `{key}` has the same name on Fly as app `{other}`: `{name}`"
            ));
            sink.error(problem.help("names are unique over all of Fly"));
        }
    }
    for key in scene
        .inputs
        .images
        .keys()
        .filter(|key| !document.apps.contains_key(*key))
    {
        let help = suggest::help(key, document.apps.keys().map(String::as_str));
        let mut problem = at
            .problem(format!(
                "--image {key}: this environment has no app `{key}`"
            ))
            .maybe_help(help);
        problem.at = None;
        sink.error(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_says_whose_it_is() {
        assert_eq!(
            default_name("harbor", "web", "review-42"),
            "harbor-web-review-42"
        );
        assert!(
            is_slug("harbor-web-review-42") && !is_slug("Harbor") && !is_slug("-a") && !is_slug("")
        );
    }
}
