//! The difference of two policies as lines. A changed value is one line. A statement that is added
//! or removed is one line with a description in words, because its JSON may be too long for a
//! terminal.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    DEFAULT_VERSION, PolicyDocument, Statement,
    matching::{self, StatementChange},
    policy_string::PolicyString,
};
use crate::model::{DiffLine, DisplayValue};

/// The lines of the change from one document to the other; none if they are equal.
pub(super) fn diff_lines(
    path: &str,
    from: Option<&PolicyDocument>,
    to: Option<&PolicyDocument>,
) -> Vec<DiffLine> {
    match (from, to) {
        (None, None) => Vec::new(),
        (Some(from), Some(to)) => changed_document_lines(path, from, to),
        (Some(document), None) => {
            whole_document_lines(path, document, &|path, value| DiffLine::remove(path, value))
        }
        (None, Some(document)) => {
            whole_document_lines(path, document, &|path, value| DiffLine::add(path, value))
        }
    }
}

/// The lines of a document that is added or removed as a whole. The current version of the language
/// is not mentioned.
fn whole_document_lines(
    path: &str,
    document: &PolicyDocument,
    line: &dyn Fn(String, Value) -> DiffLine,
) -> Vec<DiffLine> {
    let PolicyDocument {
        version,
        statements,
        other_elements,
    } = document;
    let mut lines = Vec::new();
    if statements.is_empty() {
        return vec![line(path.to_owned(), document.to_json())];
    }
    if version == DEFAULT_VERSION {
        lines.push(line(format!("{path}.Version"), version.as_str().into()));
    }
    lines.extend(
        other_elements
            .iter()
            .map(|(key, value)| line(format!("{path}.{key}"), value.clone())),
    );
    let statement_line = |index| {
        line(
            statement_path(path, statements, index),
            statements[index].to_json(),
        )
        .with_note(statements[index].describe())
    };
    lines.extend((0..statements.len()).map(statement_line));
    lines
}

fn changed_document_lines(path: &str, from: &PolicyDocument, to: &PolicyDocument) -> Vec<DiffLine> {
    let mut lines = Vec::new();
    if from.version != to.version {
        lines.push(DiffLine::change(
            format!("{path}.Version"),
            from.version.as_str(),
            to.version.as_str(),
        ));
    }
    diff_other_elements(&mut lines, path, &from.other_elements, &to.other_elements);
    for change in matching::match_statements(&from.statements, &to.statements) {
        match change {
            StatementChange::Changed(old, new) => {
                let path = statement_path(path, &to.statements, new);
                diff_statement(
                    &mut lines,
                    &path,
                    &from.statements[old],
                    &to.statements[new],
                );
            }
            StatementChange::Added(index) => {
                let new = &to.statements[index];
                lines.push(
                    DiffLine::add(statement_path(path, &to.statements, index), new.to_json())
                        .with_note(new.describe()),
                );
            }
            StatementChange::Removed(index) => {
                let removed = &from.statements[index];
                lines.push(
                    DiffLine::remove(
                        statement_path(path, &from.statements, index),
                        removed.to_json(),
                    )
                    .with_note(removed.describe()),
                );
            }
        }
    }
    lines
}

/// The path of a statement: by its `Sid`, if it is unique and cannot be mistaken for an element of
/// the document, or else by its index.
fn statement_path(path: &str, all: &[Statement], index: usize) -> String {
    let is_usable = |sid: &&str| {
        sid.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !["Version", "Id", "Statement"].contains(sid)
    };
    match all[index].sid().filter(is_usable) {
        Some(sid)
            if all
                .iter()
                .filter(|statement_line| statement_line.sid() == Some(sid))
                .count()
                == 1 =>
        {
            format!("{path}.{sid}")
        }
        _ => format!("{path}[{index}]"),
    }
}

/// The lines of one changed statement.
fn diff_statement(lines: &mut Vec<DiffLine>, path: &str, from: &Statement, to: &Statement) {
    let (old, new) = (from.value_sets(), to.value_sets());
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (old, new) = (old.get(key), new.get(key));
        let Some((path_suffix, _)) = new.or(old) else {
            continue;
        };
        diff_set(
            lines,
            &format!("{path}.{path_suffix}"),
            old.map(|(_, set)| set),
            new.map(|(_, set)| set),
        );
    }
    diff_other_elements(lines, path, &from.other_elements, &to.other_elements);
}

/// One line for each value that is added or removed. If exactly one value replaces one other, it is
/// shown as a change.
fn diff_set(
    lines: &mut Vec<DiffLine>,
    path: &str,
    from: Option<&BTreeSet<PolicyString>>,
    to: Option<&BTreeSet<PolicyString>>,
) {
    let display = |value: &PolicyString| DisplayValue::Value(value.original().into());
    let without = |values: Option<&BTreeSet<PolicyString>>,
                   other: Option<&BTreeSet<PolicyString>>|
     -> Vec<DisplayValue> {
        let other = |value: &&PolicyString| other.is_some_and(|other| other.contains(*value));
        values
            .into_iter()
            .flatten()
            .filter(|value| !other(value))
            .map(display)
            .collect()
    };
    // An empty list is not the same as a missing element.
    let empty = |values: Option<&BTreeSet<PolicyString>>| {
        values
            .filter(|values| values.is_empty())
            .map(|_| DisplayValue::Value(Value::Array(Vec::new())))
    };
    match (&*without(from, to), &*without(to, from)) {
        ([old], [new]) => lines.push(DiffLine::new(path, Some(old.clone()), Some(new.clone()))),
        ([], []) if from.is_some() != to.is_some() => {
            lines.push(DiffLine::new(path, empty(from), empty(to)));
        }
        (removed, new) => {
            lines.extend(
                removed
                    .iter()
                    .map(|old| DiffLine::new(path, Some(old.clone()), None)),
            );
            lines.extend(
                new.iter()
                    .map(|new| DiffLine::new(path, None, Some(new.clone()))),
            );
        }
    }
}

/// The lines of unknown elements, key by key.
fn diff_other_elements(
    lines: &mut Vec<DiffLine>,
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for key in keys {
        let display =
            |values: &Map<String, Value>| values.get(key).cloned().map(DisplayValue::Value);
        if from.get(key) != to.get(key) {
            lines.push(DiffLine::new(
                format!("{path}.{key}"),
                display(from),
                display(to),
            ));
        }
    }
}
