//! The difference of two documents as lines: a value that changed is one line; a statement that comes or goes is one
//! line with its meaning in words, since its JSON may be too long for the terminal.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    DEFAULT_VERSION, PolicyDocument, Statement,
    matching::{self, StatementChange},
    policy_string::PolicyString,
};
use crate::model::{DiffLine, DisplayValue};

/// The lines from one document to the other; nothing when both are equal.
pub(super) fn diff_lines(
    path: &str,
    from: Option<&PolicyDocument>,
    to: Option<&PolicyDocument>,
) -> Vec<DiffLine> {
    match (from, to) {
        (None, None) => Vec::new(),
        (Some(from), Some(to)) => changed_document_lines(path, from, to),
        (Some(whole), None) => {
            whole_document_lines(path, whole, &|path, value| DiffLine::remove(path, value))
        }
        (None, Some(whole)) => {
            whole_document_lines(path, whole, &|path, value| DiffLine::add(path, value))
        }
    }
}

/// A document that comes or goes as a whole. Today's version of the language goes without saying.
fn whole_document_lines(
    path: &str,
    whole: &PolicyDocument,
    line: &dyn Fn(String, Value) -> DiffLine,
) -> Vec<DiffLine> {
    let PolicyDocument {
        version,
        statements,
        other_elements: rest,
    } = whole;
    let mut out = Vec::new();
    if statements.is_empty() {
        return vec![line(path.to_owned(), whole.to_json())];
    }
    if version == DEFAULT_VERSION {
        out.push(line(format!("{path}.Version"), version.as_str().into()));
    }
    out.extend(
        rest.iter()
            .map(|(key, value)| line(format!("{path}.{key}"), value.clone())),
    );
    let one = |at| {
        line(
            statement_path(path, statements, at),
            statements[at].to_json(),
        )
        .with_note(statements[at].describe())
    };
    out.extend((0..statements.len()).map(one));
    out
}

fn changed_document_lines(path: &str, from: &PolicyDocument, to: &PolicyDocument) -> Vec<DiffLine> {
    let mut out = Vec::new();
    if from.version != to.version {
        out.push(DiffLine::change(
            format!("{path}.Version"),
            from.version.as_str(),
            to.version.as_str(),
        ));
    }
    diff_other_elements(&mut out, path, &from.other_elements, &to.other_elements);
    for pair in matching::match_statements(&from.statements, &to.statements) {
        match pair {
            StatementChange::Changed(there, wanted) => {
                let path = statement_path(path, &to.statements, wanted);
                diff_statement(
                    &mut out,
                    &path,
                    &from.statements[there],
                    &to.statements[wanted],
                );
            }
            StatementChange::Added(at) => {
                let new = &to.statements[at];
                out.push(
                    DiffLine::add(statement_path(path, &to.statements, at), new.to_json())
                        .with_note(new.describe()),
                );
            }
            StatementChange::Removed(at) => {
                let gone = &from.statements[at];
                out.push(
                    DiffLine::remove(statement_path(path, &from.statements, at), gone.to_json())
                        .with_note(gone.describe()),
                );
            }
        }
    }
    out
}

/// Where a statement is: by its name when it has one that no other has and that no element of a document has.
fn statement_path(path: &str, all: &[Statement], at: usize) -> String {
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
fn diff_statement(out: &mut Vec<DiffLine>, path: &str, from: &Statement, to: &Statement) {
    let (there, wanted) = (from.value_sets(), to.value_sets());
    let keys: BTreeSet<_> = there.keys().chain(wanted.keys()).collect();
    for key in keys {
        let (there, wanted) = (there.get(key), wanted.get(key));
        let Some((spelt, _)) = wanted.or(there) else {
            continue;
        };
        diff_set(
            out,
            &format!("{path}.{spelt}"),
            there.map(|(_, set)| set),
            wanted.map(|(_, set)| set),
        );
    }
    diff_other_elements(out, path, &from.other_elements, &to.other_elements);
}

/// One line for each value that comes or goes; one that takes the place of one other is a change.
fn diff_set(
    out: &mut Vec<DiffLine>,
    path: &str,
    from: Option<&BTreeSet<PolicyString>>,
    to: Option<&BTreeSet<PolicyString>>,
) {
    let shown = |word: &PolicyString| DisplayValue::Value(word.original().into());
    let without = |side: Option<&BTreeSet<PolicyString>>,
                   other: Option<&BTreeSet<PolicyString>>|
     -> Vec<DisplayValue> {
        let other = |word: &&PolicyString| other.is_some_and(|other| other.contains(*word));
        side.into_iter()
            .flatten()
            .filter(|word| !other(word))
            .map(shown)
            .collect()
    };
    // A list without values is not the same as no list.
    let empty = |side: Option<&BTreeSet<PolicyString>>| {
        side.filter(|members| members.is_empty())
            .map(|_| DisplayValue::Value(Value::Array(Vec::new())))
    };
    match (&*without(from, to), &*without(to, from)) {
        ([there], [wanted]) => out.push(DiffLine::new(
            path,
            Some(there.clone()),
            Some(wanted.clone()),
        )),
        ([], []) if from.is_some() != to.is_some() => {
            out.push(DiffLine::new(path, empty(from), empty(to)));
        }
        (gone, new) => {
            out.extend(
                gone.iter()
                    .map(|there| DiffLine::new(path, Some(there.clone()), None)),
            );
            out.extend(
                new.iter()
                    .map(|wanted| DiffLine::new(path, None, Some(wanted.clone()))),
            );
        }
    }
}

/// What we do not know, key by key.
fn diff_other_elements(
    out: &mut Vec<DiffLine>,
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for key in keys {
        let shown = |side: &Map<String, Value>| side.get(key).cloned().map(DisplayValue::Value);
        if from.get(key) != to.get(key) {
            out.push(DiffLine::new(
                format!("{path}.{key}"),
                shown(from),
                shown(to),
            ));
        }
    }
}
