//! A statement as a sentence: a reviewer must see what a change lets whom do without knowing the language of policies.
//! What is not known here is said as the document has it, never left out and never in milder words.

mod deeds;
mod places;
mod tokens;
mod when;
mod who;

use std::fmt::Write as _;

use deeds::Deeds;

use super::{
    Effect, Statement,
    statement::{Listed, Who},
    word::Word,
};

/// What a statement grants or denies.
pub(super) fn sentence(statement: &Statement) -> String {
    let mut text = tokens::assumed(statement).unwrap_or_else(|| deed(statement));
    for (key, value) in &statement.rest {
        // Writing to a text cannot fail.
        let _ = write!(text, ", with \"{key}\": {value}");
    }
    text
}

/// Any statement but one that says who may assume a role.
fn deed(statement: &Statement) -> String {
    let Statement {
        sid: _,
        effect,
        principal,
        action,
        resource,
        condition,
        rest: _,
    } = statement;
    let mut open = condition.clone();
    let denies = *effect == Effect::Deny;
    let what = deeds::of(action, resource.as_ref(), denies, &mut open);
    let what = match what {
        // A bucket's policy speaks of nothing but the bucket.
        Deeds::Everything(_)
            if denies && principal.is_some() && is_all_of_a_bucket(action, resource.as_ref()) =>
        {
            Deeds::Everything("everything".to_owned())
        }
        other => other,
    };
    let subject = principal.as_ref().map(|who| who::subject(who, denies));
    let nobody = denies
        && principal
            .as_ref()
            .is_some_and(|who| who.is_everyone() && !who.but);
    let text = match (what, denies) {
        (Deeds::Named(what), true) if nobody => format!("nobody may ever {what}"),
        (Deeds::Everything(what), true) => spaced(subject, &format!("is denied {what}")),
        (Deeds::Everything(what), false) => spaced(subject, &format!("may do {what}")),
        (Deeds::Named(what), true) => spaced(subject, &format!("may never {what}")),
        (Deeds::Named(what), false) => spaced(subject, &format!("may {what}")),
    };
    format!("{text}{}", when::clauses(open, denies))
}

fn spaced(subject: Option<String>, rest: &str) -> String {
    match subject {
        Some(subject) => format!("{subject} {rest}"),
        None => rest.to_owned(),
    }
}

/// Whether it is every action of S3 on one bucket and everything in it.
fn is_all_of_a_bucket(action: &Listed, resource: Option<&Listed>) -> bool {
    let all = matches!(only(action), Some(action) if ["*", "s3:*"].contains(&action.key()));
    let Some(resource) = resource.filter(|listed| !listed.but && listed.members.len() == 2) else {
        return false;
    };
    let mut names = resource.members.iter().map(Word::text);
    let (bucket, objects) = (
        names.next().unwrap_or_default(),
        names.next().unwrap_or_default(),
    );
    all && places::is_bucket(bucket) && objects.strip_prefix(bucket) == Some("/*")
}

/// The member of a list that has one.
fn only(listed: &Listed) -> Option<&Word> {
    let mut members = listed.members.iter();
    members
        .next()
        .filter(|_| !listed.but && members.next().is_none())
}

/// The one principal of a type when there is no other.
fn only_principal<'a>(who: &'a Who, kind: &str) -> Option<&'a str> {
    let mut all = who.kinds.iter();
    let (found, members) = all.next()?;
    let mut members = members.iter();
    let one = members.next()?;
    (!who.but && found == kind && all.next().is_none() && members.next().is_none())
        .then(|| one.text())
}

/// `a`, `a and b`, `a, b and c`.
fn joined<T: AsRef<str>>(parts: &[T], word: &str) -> String {
    let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} {word} {last}", before.join(", ")),
    }
}
