//! Whether the secrets and variables that the jobs read are there, by name. A secret of the environment, of the repository or of
//! the organization is one.

use std::collections::BTreeSet;

use super::super::{DoctorFinding, FindingArea::Github, Lookup, Unseen};
use super::{GitHubFacts, GitHubQuestions};
use crate::workflows::ProjectEnvironment;

/// How long a new token of Fly is valid.
const TOKEN_LIFE: &str = "8760h";

pub(super) fn check(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    let optional: BTreeSet<&str> = questions
        .project
        .environments
        .iter()
        .flat_map(|environment| &environment.deployment.optional_secrets)
        .map(String::as_str)
        .collect();
    for (environment, needs) in questions.needs() {
        let place = match environment.as_str() {
            "" => "repository".to_owned(),
            name => format!("environment {name}"),
        };
        let target = match environment.as_str() {
            "" => format!("--repo {}", questions.repository),
            name => format!("--env {} --repo {}", shell_word(name), questions.repository),
        };
        for secret in &needs.secrets {
            if optional.contains(secret.as_str()) || has_secret(facts, &environment, secret, unseen)
            {
                continue;
            }
            findings.push(DoctorFinding::wrong(
                Github,
                &place,
                format!("the secret {secret} is missing"),
                secret_step(questions, secret, &target),
            ));
        }
        for variable in &needs.vars {
            if find_variable(facts, &environment, variable, unseen) != Presence::Missing {
                continue;
            }
            findings.push(DoctorFinding::wrong(
                Github,
                &place,
                format!("the variable {variable} is missing"),
                variable_step(variable, &target),
            ));
        }
    }
    findings
}

/// A name in a command: those of environments may have spaces.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        // GitHub allows no quotes in them.
        false => format!("'{text}'"),
    }
}

/// A token goes from Fly to GitHub without being typed or shown.
fn secret_step(questions: &GitHubQuestions<'_>, secret: &str, target: &str) -> String {
    let set = format!("gh secret set {secret} {target}");
    let org_of = |names: fn(&ProjectEnvironment) -> &str| {
        let mut environments = questions.project.environments.iter();
        let environment = environments.find(|environment| names(environment) == secret)?;
        let mut manifests = questions.manifests.iter();
        let loaded = manifests.find(|loaded| {
            loaded
                .path
                .file_stem()
                .is_some_and(|stem| *stem == *environment.name)
        })?;
        Some(loaded.desired.meta.org.clone())
    };
    if let Some(org) = org_of(|environment| &environment.deployment.token) {
        format!("fly tokens create org --org {org} --expiry {TOKEN_LIFE} | {set}")
    } else if let Some(org) = org_of(|environment| &environment.deployment.read_token) {
        format!("fly tokens create readonly {org} --expiry {TOKEN_LIFE} | {set}")
    } else {
        format!("{set}   # asks for the value")
    }
}

fn variable_step(variable: &str, target: &str) -> String {
    let value = match variable.ends_with("ROLE_ARN") {
        true => "arn:aws:iam::ACCOUNT:role/NAME",
        false => "VALUE",
    };
    format!("gh variable set {variable} {target} --body {value}")
}

/// Whether a secret is there, or may be where the token cannot see.
fn has_secret(facts: &GitHubFacts, environment: &str, secret: &str, unseen: &mut Unseen) -> bool {
    let has = |lookup: &Lookup<Vec<String>>| {
        let names = lookup.seen().into_iter().flatten();
        names
            .into_iter()
            .any(|name| name.eq_ignore_ascii_case(secret))
    };
    let own = facts.details.get(environment).map(|facts| &facts.secrets);
    let of_environment = own.map(|own| (format!("the secrets of environment {environment}"), own));
    let places = [
        ("the secrets of the repository".to_owned(), &facts.secrets),
        (
            "the secrets of the organization".to_owned(),
            &facts.organization_secrets,
        ),
    ];
    let places: Vec<_> = of_environment.into_iter().chain(places).collect();
    if places.iter().any(|(_, lookup)| has(lookup)) {
        return true;
    }
    let mut is_hidden = false;
    for (what, lookup) in places {
        unseen.look(&what, lookup);
        is_hidden |= matches!(lookup, Lookup::Hidden(_) | Lookup::Failed(_));
    }
    is_hidden
}

/// Whether something is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has this value.
    Value(String),
    /// It is not there.
    Missing,
    /// The token may not see whether it is.
    Unknown,
}

/// The value of a variable: the environment's own goes before that of the repository, and that before the organization's.
pub(super) fn find_variable(
    facts: &GitHubFacts,
    environment: &str,
    variable: &str,
    unseen: &mut Unseen,
) -> Presence {
    let own = facts.details.get(environment).map(|facts| &facts.variables);
    let of_environment =
        own.map(|own| (format!("the variables of environment {environment}"), own));
    let places = [
        (
            "the variables of the repository".to_owned(),
            &facts.variables,
        ),
        (
            "the variables of the organization".to_owned(),
            &facts.organization_variables,
        ),
    ];
    for (what, lookup) in of_environment.into_iter().chain(places) {
        let values = unseen.look(&what, lookup);
        let mut found = values.into_iter().flatten();
        if let Some(found) = found.find(|one| one.name.eq_ignore_ascii_case(variable)) {
            return Presence::Value(found.value.clone());
        }
        if matches!(lookup, Lookup::Hidden(_) | Lookup::Failed(_)) {
            return Presence::Unknown;
        }
    }
    Presence::Missing
}
