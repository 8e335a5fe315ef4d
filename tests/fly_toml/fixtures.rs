//! Small files of odd forms, each with its canonical tree beside it.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};

use crate::fly_toml::common::read;

/// Reads a fixture and compares what comes of it, problems included.
#[track_caller]
fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fly_toml");
    let text = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
    let read = read("fly.toml", &text);
    let found = json!({"errors": read.errors(), "warnings": read.warnings(), "fly": read.json()});
    let path = folder.join(format!("{name}.json"));
    let expected: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(found, expected, "{name} is now\n{found:#}");
}

#[test]
fn first_generation() {
    check("nomad");
}

#[test]
fn quirks() {
    check("quirks");
}

#[test]
fn service_beside_http_service() {
    check("mixed");
}

#[test]
fn dotted_with_containers() {
    check("dotted");
}

#[test]
fn groups() {
    check("groups");
}

#[test]
fn refused() {
    check("refused");
}

#[test]
fn invented_keys() {
    check("invented");
}
