//! Small files with unusual spellings, each with its canonical tree next to it.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};

use crate::fly_toml::common::parse_and_modernise;

/// Asserts that a fixture has the stored canonical tree, errors and warnings.
#[track_caller]
fn assert_fixture(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fly_toml");
    let text = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
    let read = parse_and_modernise("fly.toml", &text);
    let actual = json!({"errors": read.errors(), "warnings": read.warnings(), "fly": read.json()});
    let path = folder.join(format!("{name}.json"));
    let expected: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(actual, expected, "{name} is now\n{actual:#}");
}

#[test]
fn first_generation_file() {
    assert_fixture("nomad");
}

#[test]
fn quirks() {
    assert_fixture("quirks");
}

#[test]
fn service_beside_http_service() {
    assert_fixture("mixed");
}

#[test]
fn dotted_with_containers() {
    assert_fixture("dotted");
}

#[test]
fn process_groups() {
    assert_fixture("groups");
}

#[test]
fn file_rejected_by_flyctl() {
    assert_fixture("refused");
}

#[test]
fn invented_keys() {
    assert_fixture("invented");
}
