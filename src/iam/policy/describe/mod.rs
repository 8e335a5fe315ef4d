//! Describes a statement in a sentence, so that a reviewer sees what a change allows without
//! knowing the policy language. What cannot be expressed in words is quoted from the document:
//! never left out and never toned down.

mod actions;
mod assume_role;
mod conditions;
mod principals;
mod resources;

use std::fmt::Write as _;

use actions::ActionPhrases;

use super::{
    Effect, Statement,
    policy_string::PolicyString,
    statement::{ElementValues, PrincipalSet},
};

/// What a statement grants or denies.
pub(super) fn describe_statement(statement: &Statement) -> String {
    let mut text = assume_role::describe_assume_role(statement)
        .unwrap_or_else(|| describe_permission(statement));
    for (key, value) in &statement.other_elements {
        // Writing to a `String` cannot fail.
        let _ = write!(text, ", with \"{key}\": {value}");
    }
    text
}

/// Describes any statement except one that says who may assume a role.
fn describe_permission(statement: &Statement) -> String {
    let Statement {
        sid: _,
        effect,
        principals,
        actions,
        resources,
        conditions,
        other_elements: _,
    } = statement;
    let mut remaining = conditions.clone();
    let denies = *effect == Effect::Deny;
    let phrase = actions::describe_actions(actions, resources.as_ref(), denies, &mut remaining);
    let phrase = match phrase {
        // A bucket policy is about its bucket anyway, so the bucket need not be named.
        ActionPhrases::Everything(_)
            if denies
                && principals.is_some()
                && covers_whole_bucket(actions, resources.as_ref()) =>
        {
            ActionPhrases::Everything("everything".to_owned())
        }
        other => other,
    };
    let subject = principals
        .as_ref()
        .map(|principals| principals::describe_subject(principals, denies));
    let nobody = denies
        && principals
            .as_ref()
            .is_some_and(|principals| principals.is_everyone() && !principals.negated);
    let text = match (phrase, denies) {
        (ActionPhrases::Specific(phrase), true) if nobody => format!("nobody may ever {phrase}"),
        (ActionPhrases::Everything(phrase), true) => {
            with_subject(subject, &format!("is denied {phrase}"))
        }
        (ActionPhrases::Everything(phrase), false) => {
            with_subject(subject, &format!("may do {phrase}"))
        }
        (ActionPhrases::Specific(phrase), true) => {
            with_subject(subject, &format!("may never {phrase}"))
        }
        (ActionPhrases::Specific(phrase), false) => with_subject(subject, &format!("may {phrase}")),
    };
    format!(
        "{text}{}",
        conditions::describe_conditions(remaining, denies)
    )
}

fn with_subject(subject: Option<String>, rest: &str) -> String {
    match subject {
        Some(subject) => format!("{subject} {rest}"),
        None => rest.to_owned(),
    }
}

/// Whether this is every S3 action on one bucket and everything in it.
fn covers_whole_bucket(actions: &ElementValues, resources: Option<&ElementValues>) -> bool {
    let is_every_action = matches!(single_value(actions), Some(action) if ["*", "s3:*"].contains(&action.normalized()));
    let Some(resources) = resources.filter(|values| !values.negated && values.values.len() == 2)
    else {
        return false;
    };
    let mut names = resources.values.iter().map(PolicyString::original);
    let (bucket, objects) = (
        names.next().unwrap_or_default(),
        names.next().unwrap_or_default(),
    );
    is_every_action
        && resources::is_bucket_arn(bucket)
        && objects.strip_prefix(bucket) == Some("/*")
}

/// The value of a set that has exactly one.
fn single_value(values: &ElementValues) -> Option<&PolicyString> {
    let mut all = values.values.iter();
    all.next()
        .filter(|_| !values.negated && all.next().is_none())
}

/// The only principal, if it is of this type.
fn single_principal<'a>(principals: &'a PrincipalSet, kind: &str) -> Option<&'a str> {
    let mut by_type = principals.by_type.iter();
    let (found_kind, values) = by_type.next()?;
    let mut values = values.iter();
    let single = values.next()?;
    (!principals.negated
        && found_kind == kind
        && by_type.next().is_none()
        && values.next().is_none())
    .then(|| single.original())
}

/// `a`, `a and b`, `a, b and c`.
fn join_list<T: AsRef<str>>(parts: &[T], conjunction: &str) -> String {
    let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}
