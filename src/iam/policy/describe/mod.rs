//! A statement as a sentence: a reviewer must see what a change lets whom do without knowing the language of policies.
//! What is not known here is said as the document has it, never left out and never in milder words.

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
        // Writing to a text cannot fail.
        let _ = write!(text, ", with \"{key}\": {value}");
    }
    text
}

/// Any statement but one that says who may assume a role.
fn describe_permission(statement: &Statement) -> String {
    let Statement {
        sid: _,
        effect,
        principals: principal,
        actions: action,
        resources: resource,
        conditions: condition,
        other_elements: _,
    } = statement;
    let mut open = condition.clone();
    let denies = *effect == Effect::Deny;
    let what = actions::describe_actions(action, resource.as_ref(), denies, &mut open);
    let what = match what {
        // A bucket's policy speaks of nothing but the bucket.
        ActionPhrases::Everything(_)
            if denies && principal.is_some() && covers_whole_bucket(action, resource.as_ref()) =>
        {
            ActionPhrases::Everything("everything".to_owned())
        }
        other => other,
    };
    let subject = principal
        .as_ref()
        .map(|who| principals::describe_subject(who, denies));
    let nobody = denies
        && principal
            .as_ref()
            .is_some_and(|who| who.is_everyone() && !who.negated);
    let text = match (what, denies) {
        (ActionPhrases::Specific(what), true) if nobody => format!("nobody may ever {what}"),
        (ActionPhrases::Everything(what), true) => {
            with_subject(subject, &format!("is denied {what}"))
        }
        (ActionPhrases::Everything(what), false) => {
            with_subject(subject, &format!("may do {what}"))
        }
        (ActionPhrases::Specific(what), true) => {
            with_subject(subject, &format!("may never {what}"))
        }
        (ActionPhrases::Specific(what), false) => with_subject(subject, &format!("may {what}")),
    };
    format!("{text}{}", conditions::describe_conditions(open, denies))
}

fn with_subject(subject: Option<String>, rest: &str) -> String {
    match subject {
        Some(subject) => format!("{subject} {rest}"),
        None => rest.to_owned(),
    }
}

/// Whether it is every action of S3 on one bucket and everything in it.
fn covers_whole_bucket(action: &ElementValues, resource: Option<&ElementValues>) -> bool {
    let all = matches!(single_value(action), Some(action) if ["*", "s3:*"].contains(&action.normalized()));
    let Some(resource) = resource.filter(|listed| !listed.negated && listed.values.len() == 2)
    else {
        return false;
    };
    let mut names = resource.values.iter().map(PolicyString::original);
    let (bucket, objects) = (
        names.next().unwrap_or_default(),
        names.next().unwrap_or_default(),
    );
    all && resources::is_bucket_arn(bucket) && objects.strip_prefix(bucket) == Some("/*")
}

/// The member of a list that has one.
fn single_value(listed: &ElementValues) -> Option<&PolicyString> {
    let mut members = listed.values.iter();
    members
        .next()
        .filter(|_| !listed.negated && members.next().is_none())
}

/// The one principal of a type when there is no other.
fn single_principal<'a>(who: &'a PrincipalSet, kind: &str) -> Option<&'a str> {
    let mut all = who.by_type.iter();
    let (found, members) = all.next()?;
    let mut members = members.iter();
    let one = members.next()?;
    (!who.negated && found == kind && all.next().is_none() && members.next().is_none())
        .then(|| one.original())
}

/// `a`, `a and b`, `a, b and c`.
fn join_list<T: AsRef<str>>(parts: &[T], word: &str) -> String {
    let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} {word} {last}", before.join(", ")),
    }
}
