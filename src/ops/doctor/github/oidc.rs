//! Whether the roles on AWS trust the subjects that GitHub gives to the jobs. Repositories that were made, renamed or moved since
//! July 2026 have subjects with ids in them, and a repository may choose other claims altogether.

use serde_json::Value;

use super::super::{DoctorFinding, FindingArea::Github, Unseen};
use super::{
    GitHubFacts, GitHubQuestions, ref_pattern,
    secrets::{Presence, find_variable},
};
use crate::{
    clouds::github::OidcSubjectForm,
    kinds::aws::role::{Role, Trust},
    manifest::LoadedEnvironment,
    model::Address,
};

/// The condition key of the subject.
const SUBJECT_KEY: &str = "token.actions.githubusercontent.com:sub";

/// A subject that a role of a manifest trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TrustedSubject {
    /// The ARN of the role.
    role: String,
    /// The role, and where its trust policy is written.
    place: String,
    value: String,
    /// Whether `*` and `?` in it are wildcards.
    has_wildcards: bool,
}

impl TrustedSubject {
    fn admits(&self, subject: &str) -> bool {
        match self.has_wildcards {
            true => ref_pattern::matches_any(&self.value, subject),
            false => self.value == subject,
        }
    }

    /// Whether it is about this repository, in either form.
    fn concerns(&self, repository: &str) -> bool {
        let Some(rest) = self.value.strip_prefix("repo:") else {
            return false;
        };
        let named = rest.split(':').next().unwrap_or_default();
        let parts = named.split('/');
        let parts: Vec<&str> = parts
            .map(|part| part.split('@').next().unwrap_or_default())
            .collect();
        let pattern = parts.join("/").to_ascii_lowercase();
        ref_pattern::matches_any(&pattern, &repository.to_ascii_lowercase())
    }

    /// What stands behind the repository, such as `environment:production`.
    fn context(&self) -> &str {
        let rest = self.value.strip_prefix("repo:").unwrap_or_default();
        rest.split_once(':').map_or("*", |(_, context)| context)
    }
}

pub(super) fn check(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let subjects: Vec<TrustedSubject> = questions
        .manifests
        .iter()
        .flat_map(trusted_subjects)
        .collect();
    let uses_aws = questions.needs().values().any(|needs| {
        let mut variables = needs.vars.iter();
        variables.any(|name| name.ends_with("ROLE_ARN"))
    });
    if subjects.is_empty() && !uses_aws {
        return Vec::new();
    }
    let Some(form) = unseen.look(
        "how the subjects of identity tokens are made",
        &facts.subject,
    ) else {
        return Vec::new();
    };
    let repository = &facts.repository.full_name;
    let mut findings = check_form(form, repository, &subjects);
    if findings.is_empty() && has_own_form(form) {
        let prefix = prefix_of(form, repository);
        findings.extend(check_roles(questions, facts, &prefix, &subjects, unseen));
    }
    findings
}

/// Whether the subject is the repository and the context, as without any customization.
fn has_own_form(form: &OidcSubjectForm) -> bool {
    form.use_default || form.include_claim_keys == ["repo", "context"]
}

fn prefix_of(form: &OidcSubjectForm, repository: &str) -> String {
    let stated = form.sub_claim_prefix.clone();
    stated.unwrap_or_else(|| format!("repo:{repository}"))
}

/// Trust policies in a form that no token of this repository has.
fn check_form(
    form: &OidcSubjectForm,
    repository: &str,
    subjects: &[TrustedSubject],
) -> Vec<DoctorFinding> {
    let prefix = prefix_of(form, repository);
    let mut findings = Vec::new();
    for subject in subjects.iter().filter(|one| one.concerns(repository)) {
        let value = &subject.value;
        if has_own_form(form) {
            let context = subject.context();
            let issued = format!("{prefix}:{context}");
            // The context of a trust policy may have wildcards; here it stands for itself.
            if !subject.admits(&issued) {
                findings.push(DoctorFinding::wrong(
                    Github,
                    &subject.place,
                    format!(
                        "it trusts `{value}`, and GitHub gives this repository's jobs `{issued}`"
                    ),
                    format!("write `{issued}` there, and apply that manifest"),
                ));
            }
            continue;
        }
        let keys = form.include_claim_keys.join(", ");
        let claims = form.include_claim_keys.iter();
        let claims: Vec<String> = claims
            .map(|key| match key.as_str() {
                "repo" => prefix.clone(),
                "context" => "*".to_owned(),
                key => format!("{key}:*"),
            })
            .collect();
        if !ref_pattern::matches_any(&claims.join(":"), value) {
            findings.push(
                DoctorFinding::wrong(
                    Github,
                    &subject.place,
                    format!("it trusts `{value}`, and the repository makes its subjects of other claims: {keys}"),
                    format!("gh api --method PUT repos/{repository}/actions/oidc/customization/sub -F use_default=true"),
                )
                .and_step(format!("or trust the form `{}`", claims.join(":"))),
            );
        }
    }
    findings
}

/// Roles that the variables name, and that do not trust the environment of the job.
fn check_roles(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    prefix: &str,
    subjects: &[TrustedSubject],
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for (environment, needs) in questions.needs() {
        if environment.is_empty() {
            continue;
        }
        // A colon in a claim is encoded, so that it does not look like the next claim.
        let issued = format!("{prefix}:environment:{}", environment.replace(':', "%3A"));
        for variable in needs.vars.iter().filter(|name| name.ends_with("ROLE_ARN")) {
            let value = find_variable(facts, &environment, variable, unseen);
            let Presence::Value(arn) = value else {
                continue;
            };
            let mut own = subjects
                .iter()
                .filter(|subject| subject.role == arn)
                .peekable();
            // A role of another manifest, or of nobody's.
            let Some(place) = own.peek().map(|subject| subject.place.clone()) else {
                continue;
            };
            if !own.any(|subject| subject.admits(&issued)) {
                findings.push(DoctorFinding::wrong(
                    Github,
                    place,
                    format!("{variable} of environment {environment} names it, and it does not trust `{issued}`"),
                    format!("add `{issued}` to the values of `{SUBJECT_KEY}`, and apply that manifest"),
                ));
            }
        }
    }
    findings
}

/// The subjects that the roles of a manifest trust.
fn trusted_subjects(loaded: &LoadedEnvironment) -> Vec<TrustedSubject> {
    let mut subjects = Vec::new();
    for (name, role) in &loaded.desired.aws_role {
        let Trust::Document(document) = &role.trust else {
            continue;
        };
        let address = Address::new::<Role>(name);
        let written = loaded.locate(&address, "trust");
        let written = written.map_or_else(
            || loaded.path.display().to_string(),
            |place| format!("{}:{}", place.path.display(), place.line),
        );
        for (value, has_wildcards) in subjects_of(&document.to_json()) {
            subjects.push(TrustedSubject {
                role: role.arn(),
                place: format!("role {} ({written})", role.name),
                value,
                has_wildcards,
            });
        }
    }
    subjects
}

/// The values of the subject in the statements that allow something, and whether they have wildcards.
fn subjects_of(document: &Value) -> Vec<(String, bool)> {
    let each = |value: &Value| match value {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    };
    let mut subjects = Vec::new();
    for statement in document.get("Statement").map(each).unwrap_or_default() {
        let conditions = statement.get("Condition").and_then(Value::as_object);
        if statement.get("Effect").and_then(Value::as_str) != Some("Allow") {
            continue;
        }
        for (operator, keys) in conditions.into_iter().flatten() {
            let operator = operator.to_ascii_lowercase();
            let operator = operator.rsplit(':').next().unwrap_or_default();
            let has_wildcards = match operator {
                "stringequals" | "stringequalsignorecase" => false,
                "stringlike" => true,
                _ => continue,
            };
            for (key, values) in keys.as_object().into_iter().flatten() {
                if key.eq_ignore_ascii_case(SUBJECT_KEY) {
                    let values = each(values);
                    let values = values.iter().filter_map(Value::as_str);
                    subjects.extend(values.map(|value| (value.to_owned(), has_wildcards)));
                }
            }
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(value: &str, has_wildcards: bool) -> TrustedSubject {
        TrustedSubject {
            role: "arn".to_owned(),
            place: "role deploy".to_owned(),
            value: value.to_owned(),
            has_wildcards,
        }
    }

    fn form(keys: &[&str], prefix: &str) -> OidcSubjectForm {
        OidcSubjectForm {
            use_default: keys.is_empty(),
            include_claim_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            sub_claim_prefix: Some(prefix.to_owned()),
        }
    }

    #[test]
    fn a_trust_policy_has_the_form_of_the_repository() {
        let (old, new) = ("repo:acme/shop", "repo:acme@1/shop@2");
        for (keys, prefix, value, has_wildcards, fits) in [
            (
                &[][..],
                old,
                "repo:acme/shop:environment:production",
                false,
                true,
            ),
            (
                &[],
                new,
                "repo:acme/shop:environment:production",
                false,
                false,
            ),
            (
                &[],
                new,
                "repo:acme@1/shop@2:environment:production",
                false,
                true,
            ),
            (
                &[],
                old,
                "repo:acme@1/shop@2:environment:production",
                false,
                false,
            ),
            (&[], new, "repo:acme*/shop*:environment:*", true, true),
            (&[], old, "repo:acme/*:environment:production", true, true),
            (&[], new, "repo:acme/*:environment:production", true, false),
            // Another repository may use the role as well.
            (
                &[],
                new,
                "repo:acme/other:environment:production",
                false,
                true,
            ),
            (
                &["repo", "context"],
                old,
                "repo:acme/shop:environment:x",
                false,
                true,
            ),
            (
                &["repo", "job_workflow_ref"],
                old,
                "repo:acme/shop:environment:x",
                false,
                false,
            ),
            (
                &["repo", "job_workflow_ref"],
                old,
                "repo:acme/shop:job_workflow_ref:a",
                false,
                true,
            ),
        ] {
            let found = check_form(
                &form(keys, prefix),
                "acme/shop",
                &[subject(value, has_wildcards)],
            );
            assert_eq!(found.is_empty(), fits, "{keys:?} {prefix} {value}");
        }
    }

    #[test]
    fn subjects_are_found_in_every_spelling() {
        let document = serde_json::json!({ "Statement": {
            "Effect": "Allow",
            "Condition": {
                "StringLike": { "Token.actions.githubusercontent.com:sub": ["a", "b"] },
                "StringEquals": { "token.actions.githubusercontent.com:aud": "c" },
            },
        }});
        let found = subjects_of(&document);
        assert_eq!(found, [("a".to_owned(), true), ("b".to_owned(), true)]);
    }
}
