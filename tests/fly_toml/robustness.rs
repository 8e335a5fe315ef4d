//! No text makes the parser panic, and the canonical form is a fixed point.

use std::{fs, path::Path};

use proptest::prelude::*;

use crate::fly_toml::common::parse_and_modernise;

/// The texts of all fixtures.
fn fixtures() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fly_toml");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn truncated_files_do_not_panic() {
    for text in fixtures() {
        for (end, _) in text.char_indices() {
            parse_and_modernise("fly.toml", &text[..end]);
        }
    }
}

/// Except for the image, the canonical form is itself a valid fly.toml, so parsing it again must
/// change nothing.
#[test]
fn canonical_form_is_a_fixed_point() {
    for text in fixtures() {
        let first = parse_and_modernise("fly.toml", &text);
        let expected = first.json();
        let mut again = expected.clone();
        let fields = again.as_object_mut().unwrap();
        if let Some(image) = fields.remove("image") {
            fields.insert("build".to_owned(), serde_json::json!({ "image": image }));
        }
        let second = parse_and_modernise("fly.json", &again.to_string());
        assert_eq!(second.json(), expected);
    }
}

const SECTIONS: [&str; 14] = [
    "",
    "env",
    "processes",
    "build",
    "deploy",
    "experimental",
    "mounts",
    "services",
    "services.ports",
    "http_service",
    "checks.a",
    "vm",
    "restart",
    "metrics",
];
const KEYS: [&str; 16] = [
    "app",
    "env",
    "processes",
    "concurrency",
    "ports",
    "port",
    "tcp_checks",
    "headers",
    "interval",
    "kill_timeout",
    "memory",
    "initial_size",
    "checks",
    "cmd",
    "persist_rootfs",
    "auto_extend_size_limit",
];
const VALUES: [&str; 16] = [
    "1",
    "-9223372036854775808",
    "1e308",
    "nan",
    "true",
    "\"\"",
    "\"µs\"",
    "\"1h\"",
    "\"1.e\"",
    "[]",
    "[[1]]",
    "{}",
    "[{}]",
    "{ a = {} }",
    "1979-05-27",
    "[{ name = 1, value = {} }]",
];

proptest! {
    #[test]
    fn any_value_in_any_key_does_not_panic(parts in prop::collection::vec((0..14_usize, 0..16_usize, 0..16_usize, any::<bool>()), 1..6)) {
        let mut text = String::new();
        for (section, key, value, list) in parts {
            let (open, close) = if list { ("[[", "]]") } else { ("[", "]") };
            if !SECTIONS[section].is_empty() {
                text += &format!("{open}{}{close}\n", SECTIONS[section]);
            }
            text += &format!("{} = {}\n", KEYS[key], VALUES[value]);
        }
        parse_and_modernise("fly.toml", &text);
    }

    #[test]
    fn any_json_does_not_panic(text in "[\\[\\]{}:,\" a-c0-9.\\\\e-]{0,60}") {
        parse_and_modernise("fly.json", &text);
    }
}
