//! What the writer writes is read back by another program as the same value.

use proptest::prelude::*;
use trimtab::workflows::{
    generate,
    yaml::{Yaml, YamlEntry, write_document},
};
use yaml_serde::Value;

use super::{PROJECTS, project};
use crate::support::proptest_config;

fn value_of(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(boolean) => Value::from(*boolean),
        Yaml::Number(number) => Value::from(*number),
        Yaml::Text(text) => Value::from(text.as_str()),
        Yaml::Folded(parts) => Value::from(parts.join(" ")),
        Yaml::List(items) => Value::Sequence(items.iter().map(value_of).collect()),
        Yaml::Map(entries) => value_of_entries(entries),
    }
}

fn value_of_entries(entries: &[YamlEntry]) -> Value {
    let pairs = entries.iter();
    let pairs = pairs.map(|entry| (Value::from(entry.key.as_str()), value_of(&entry.value)));
    Value::Mapping(pairs.collect())
}

/// Texts of which many mean something to YAML.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 .:#'\"{}\\[\\],&*!|>%@`$/_=~<?-]{0,12}",
        "[a-z \\n:#'-]{0,20}",
        any::<String>(),
        "[0-9xXoOeE._+-]{1,6}",
        prop::sample::select(vec![
            "true",
            "No",
            "null",
            "~",
            "",
            "on",
            "1e5",
            "0x1F",
            ".5",
            "-",
            "- a",
            "? a",
            "a: b",
            "a #b",
            "#a",
            "'",
            "\"",
            "@a",
            "`a",
            "%a",
            "!a",
            "&a",
            "*a",
            "|",
            ">",
            "{}",
            "[]",
            "a:",
            ": a",
            " a",
            "a ",
            "a\nb",
            "a\n",
            "\na",
            "a\n\n",
            "a\n  b\n",
            "  a\nb",
            "a\t",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "a\r\nb",
            "<<",
            "=",
            "2026-01-01",
            "1:30",
            "v*",
            "${{ secrets.A }}",
            "${{ a || 'b' }}",
            "...",
            "---",
        ])
        .prop_map(str::to_owned),
    ]
}

fn comment() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-z:#'\"{} ]{1,12}")
}

fn entries(value: impl Strategy<Value = Yaml>) -> impl Strategy<Value = Vec<YamlEntry>> {
    prop::collection::vec((text(), value, comment(), comment()), 0..5).prop_map(|list| {
        let mut entries: Vec<YamlEntry> = Vec::new();
        for (key, value, comment_above, comment) in list {
            // No key stands twice.
            if entries.iter().all(|entry| entry.key != key) {
                entries.push(YamlEntry {
                    key,
                    value,
                    comment_above,
                    comment,
                });
            }
        }
        entries
    })
}

fn yaml() -> impl Strategy<Value = Yaml> {
    let scalar = prop_oneof![
        Just(Yaml::Null),
        any::<bool>().prop_map(Yaml::Boolean),
        any::<u32>().prop_map(|number| Yaml::Number(u64::from(number))),
        text().prop_map(Yaml::Text),
        prop::collection::vec(text(), 1..4).prop_map(Yaml::Folded),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Yaml::List),
            entries(inner).prop_map(Yaml::Map),
        ]
    })
}

proptest! {
    #![proptest_config(proptest_config(1_000))]

    #[test]
    fn what_is_written_is_read_back(entries in entries(yaml())) {
        let text = write_document(&entries);
        let read: Value = yaml_serde::from_str(&text)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let wanted = if entries.is_empty() { Value::Null } else { value_of_entries(&entries) };
        prop_assert_eq!(read, wanted, "{}", text);
    }
}

#[test]
fn stored_workflows_have_the_values_of_their_models() {
    for (name, folder) in PROJECTS {
        let project = project(folder);
        let workflows = trimtab::workflows::workflows(&project);
        for (workflow, file) in workflows.iter().zip(generate(&project)) {
            let read: Value = yaml_serde::from_str(&file.text).unwrap();
            assert_eq!(read, value_of_entries(&workflow.entries()), "{name}");
        }
    }
}
