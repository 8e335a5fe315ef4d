//! Checks every key and its type as flyctl's JSON decoder does, and keeps what the canonical form has.

use std::collections::BTreeSet;

use super::{
    mistakes,
    report::{Report, within},
    scalars::{self, Decoded, Wrong},
    schema::{Fate, Key, Section, Shape},
    text,
};
use crate::manifest::node::{Entry, Node, Table, Value};

/// Decodes a section.
pub(super) fn table(section: &'static Section, table: Table, report: &mut Report) -> Table {
    let written: BTreeSet<String> = table.0.iter().map(|entry| entry.key.clone()).collect();
    let mut kept = Vec::new();
    for entry in table.0 {
        let Some(key) = known(section, &entry, &written, report) else {
            continue;
        };
        let Entry { key_at, node, .. } = entry;
        let Some(node) = value(key.shape, &within(key.name, section.name), node, report) else {
            continue;
        };
        match key.fate {
            Fate::Keep => kept.push(Entry {
                key: key.name.to_owned(),
                key_at,
                node,
            }),
            Fate::Drop => {}
            Fate::Note(why) => {
                let message = format!("{} has no effect here", within(key.name, section.name));
                report.odd(&key_at, message, "left out", Some(why.to_owned()));
            }
        }
    }
    Table(kept)
}

/// The key of the section that an entry means. flyctl passes over what it does not know in silence.
fn known(
    section: &Section,
    entry: &Entry,
    written: &BTreeSet<String>,
    report: &mut Report,
) -> Option<&'static Key> {
    match section.key(&entry.key) {
        Some(key) if key.name == entry.key => Some(key),
        // In other capitals it only counts when the usual spelling is absent.
        Some(key) if !written.contains(key.name) => {
            let help = format!("write `{}`", key.name);
            let message = format!(
                "{} is spelled with other capitals",
                within(&entry.key, section.name)
            );
            report.odd(
                &entry.key_at,
                message,
                "flyctl takes it all the same",
                Some(help),
            );
            Some(key)
        }
        _ => {
            unknown(section, entry, report);
            None
        }
    }
}

fn unknown(section: &Section, entry: &Entry, report: &mut Report) {
    let nearest = || {
        section
            .nearest(&entry.key)
            .map(|name| format!("did you mean `{name}`?"))
    };
    let help = mistakes::meant(section.name, &entry.key)
        .map(str::to_owned)
        .or_else(nearest);
    let place = if section.name.is_empty() {
        "at the top of a fly.toml".to_owned()
    } else {
        format!("in `{}`", section.name)
    };
    let message = format!("there is no key `{}` {place}", entry.key);
    report.odd(&entry.key_at, message, "flyctl ignores it", help);
}

/// Decodes a value. `None` when it is wrong, which has been reported, or says nothing.
fn value(shape: Shape, name: &str, node: Node, report: &mut Report) -> Option<Node> {
    let Node { at, value: found } = node;
    let kind = text::kind(&found);
    let decoded = match shape {
        Shape::Anything => Ok(Some(found)),
        Shape::Text => scalars::string(found),
        Shape::Free => scalars::free(found),
        Shape::Command => scalars::command(found),
        Shape::Capitals => scalars::capitals(found),
        Shape::OneOf(words) => scalars::one_of(words, found),
        Shape::Whole => scalars::whole(i64::MIN, i64::MAX, &found),
        Shape::Count => scalars::count(&found),
        Shape::Between(least, most) => scalars::whole(least, most, &found),
        Shape::Number => scalars::number(found),
        Shape::Truth => scalars::truth(found),
        Shape::Autostop => scalars::autostop(found),
        Shape::Persist => scalars::persist(found),
        Shape::Duration => scalars::duration(name, &at, found, report),
        Shape::Texts => texts(name, found, report),
        Shape::TextMap => text_map(name, found, report),
        Shape::One(section) => one(section, found, report),
        Shape::Many(section) => many(section, found, report),
        Shape::Named(section) => named(section, found, report),
    };
    match decoded {
        Ok(value) => value.map(|value| Node { at, value }),
        Err(Wrong { wanted, help }) => {
            report.wrong(&at, format!("{name} must be {wanted}"), kind, help);
            None
        }
    }
}

/// An empty list says nothing.
fn list(items: Vec<Node>) -> Decoded {
    Ok((!items.is_empty()).then_some(Value::Array(items)))
}

fn texts(name: &str, found: Value, report: &mut Report) -> Decoded {
    let items = match found {
        Value::Array(items) => items,
        Value::String(text) => {
            return Err(Wrong::help("a list of texts", format!("write [{text:?}]")));
        }
        _ => return Err(Wrong::wanted("a list of texts")),
    };
    let name = format!("an item of {name}");
    list(
        items
            .into_iter()
            .filter_map(|item| entire(&name, item, report))
            .collect(),
    )
}

fn text_map(name: &str, found: Value, report: &mut Report) -> Decoded {
    let Value::Table(Table(entries)) = found else {
        return Err(Wrong::wanted("a table of texts"));
    };
    let mut entry = |entry: Entry| {
        let node = entire(&format!("`{}` of {name}", entry.key), entry.node, report)?;
        Some(Entry { node, ..entry })
    };
    let entries: Vec<Entry> = entries.into_iter().filter_map(&mut entry).collect();
    Ok((!entries.is_empty()).then_some(Value::Table(Table(entries))))
}

/// A text that stays although it may be empty, as a part of something.
fn entire(name: &str, node: Node, report: &mut Report) -> Option<Node> {
    if node.as_str().is_some_and(str::is_empty) {
        return Some(node);
    }
    value(Shape::Text, name, node, report)
}

fn one(section: &'static Section, found: Value, report: &mut Report) -> Decoded {
    match found {
        Value::Table(found) => Ok(Some(Value::Table(table(section, found, report)))),
        Value::Array(_) => Err(Wrong::help(
            "one table",
            "write it once, with single brackets".to_owned(),
        )),
        _ => Err(Wrong::wanted("a table")),
    }
}

fn many(section: &'static Section, found: Value, report: &mut Report) -> Decoded {
    let items = match found {
        Value::Array(items) => items,
        Value::Table(_) => {
            let help = format!("write double brackets: `[[{}]]`", section.name);
            return Err(Wrong::help("a list of tables", help));
        }
        _ => return Err(Wrong::wanted("a list of tables")),
    };
    let name = format!("an item of `{}`", section.name);
    list(
        items
            .into_iter()
            .filter_map(|item| value(Shape::One(section), &name, item, report))
            .collect(),
    )
}

fn named(section: &'static Section, found: Value, report: &mut Report) -> Decoded {
    let Value::Table(Table(entries)) = found else {
        return Err(Wrong::wanted("a table of tables"));
    };
    let mut entry = |entry: Entry| {
        let name = within(&entry.key, section.name);
        let node = value(Shape::One(section), &name, entry.node, report)?;
        Some(Entry { node, ..entry })
    };
    Ok(Some(Value::Table(Table(
        entries.into_iter().filter_map(&mut entry).collect(),
    ))))
}
