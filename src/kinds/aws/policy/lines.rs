//! The difference of two documents as lines: a value that changed is one line; a statement that comes or goes is one
//! line with its meaning in words, since its JSON may be too long for the terminal.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    FIRST_VERSION, Policy, Statement,
    pairs::{self, Pair},
    word::Word,
};
use crate::model::{Line, Shown};

/// The lines from one document to the other; nothing when both are equal.
pub(super) fn of(path: &str, from: Option<&Policy>, to: Option<&Policy>) -> Vec<Line> {
    match (from, to) {
        (None, None) => Vec::new(),
        (Some(from), Some(to)) => changed(path, from, to),
        (Some(whole), None) => alone(path, whole, &|path, value| Line::remove(path, value)),
        (None, Some(whole)) => alone(path, whole, &|path, value| Line::add(path, value)),
    }
}

/// A document that comes or goes as a whole. Today's version of the language goes without saying.
fn alone(path: &str, whole: &Policy, line: &dyn Fn(String, Value) -> Line) -> Vec<Line> {
    let Policy {
        version,
        statements,
        rest,
    } = whole;
    let mut out = Vec::new();
    if statements.is_empty() {
        return vec![line(path.to_owned(), whole.json())];
    }
    if version == FIRST_VERSION {
        out.push(line(format!("{path}.Version"), version.as_str().into()));
    }
    out.extend(
        rest.iter()
            .map(|(key, value)| line(format!("{path}.{key}"), value.clone())),
    );
    let one = |at| {
        line(place(path, statements, at), statements[at].json()).with_note(statements[at].words())
    };
    out.extend((0..statements.len()).map(one));
    out
}

fn changed(path: &str, from: &Policy, to: &Policy) -> Vec<Line> {
    let mut out = Vec::new();
    if from.version != to.version {
        out.push(Line::change(
            format!("{path}.Version"),
            from.version.as_str(),
            to.version.as_str(),
        ));
    }
    rest(&mut out, path, &from.rest, &to.rest);
    for pair in pairs::of(&from.statements, &to.statements) {
        match pair {
            Pair::Changed(there, wanted) => {
                let path = place(path, &to.statements, wanted);
                statement(
                    &mut out,
                    &path,
                    &from.statements[there],
                    &to.statements[wanted],
                );
            }
            Pair::New(at) => {
                let new = &to.statements[at];
                out.push(
                    Line::add(place(path, &to.statements, at), new.json()).with_note(new.words()),
                );
            }
            Pair::Gone(at) => {
                let gone = &from.statements[at];
                out.push(
                    Line::remove(place(path, &from.statements, at), gone.json())
                        .with_note(gone.words()),
                );
            }
        }
    }
    out
}

/// Where a statement is: by its name when it has one that no other has and that no element of a document has.
fn place(path: &str, all: &[Statement], at: usize) -> String {
    let plain = |sid: &&str| {
        sid.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !["Version", "Id", "Statement"].contains(sid)
    };
    match all[at].sid().filter(plain) {
        Some(sid) if all.iter().filter(|one| one.sid() == Some(sid)).count() == 1 => {
            format!("{path}.{sid}")
        }
        _ => format!("{path}[{at}]"),
    }
}

/// What differs in one statement.
fn statement(out: &mut Vec<Line>, path: &str, from: &Statement, to: &Statement) {
    let (there, wanted) = (from.sets(), to.sets());
    let keys: BTreeSet<_> = there.keys().chain(wanted.keys()).collect();
    for key in keys {
        let (there, wanted) = (there.get(key), wanted.get(key));
        let Some((spelt, _)) = wanted.or(there) else {
            continue;
        };
        set(
            out,
            &format!("{path}.{spelt}"),
            there.map(|(_, set)| set),
            wanted.map(|(_, set)| set),
        );
    }
    rest(out, path, &from.rest, &to.rest);
}

/// One line for each value that comes or goes; one that takes the place of one other is a change.
fn set(
    out: &mut Vec<Line>,
    path: &str,
    from: Option<&BTreeSet<Word>>,
    to: Option<&BTreeSet<Word>>,
) {
    let shown = |word: &Word| Shown::Value(word.text().into());
    let without = |side: Option<&BTreeSet<Word>>, other: Option<&BTreeSet<Word>>| -> Vec<Shown> {
        let other = |word: &&Word| other.is_some_and(|other| other.contains(*word));
        side.into_iter()
            .flatten()
            .filter(|word| !other(word))
            .map(shown)
            .collect()
    };
    // A list without values is not the same as no list.
    let empty = |side: Option<&BTreeSet<Word>>| {
        side.filter(|members| members.is_empty())
            .map(|_| Shown::Value(Value::Array(Vec::new())))
    };
    match (&*without(from, to), &*without(to, from)) {
        ([there], [wanted]) => out.push(Line::new(path, Some(there.clone()), Some(wanted.clone()))),
        ([], []) if from.is_some() != to.is_some() => {
            out.push(Line::new(path, empty(from), empty(to)))
        }
        (gone, new) => {
            out.extend(
                gone.iter()
                    .map(|there| Line::new(path, Some(there.clone()), None)),
            );
            out.extend(
                new.iter()
                    .map(|wanted| Line::new(path, None, Some(wanted.clone()))),
            );
        }
    }
}

/// What we do not know, key by key.
fn rest(out: &mut Vec<Line>, path: &str, from: &Map<String, Value>, to: &Map<String, Value>) {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for key in keys {
        let shown = |side: &Map<String, Value>| side.get(key).cloned().map(Shown::Value);
        if from.get(key) != to.get(key) {
            out.push(Line::new(format!("{path}.{key}"), shown(from), shown(to)));
        }
    }
}
