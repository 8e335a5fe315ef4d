//! Loading any text gives a result or an error: it never panics and never hangs.

use std::path::Path;

use trimtab::manifest::{SecretsMode, load};

use crate::{
    manifest::support::{repo_path, unchecked_inputs},
    support::sample,
};

/// Replacements for the value of a key: values of every type, and texts with special characters.
const REPLACEMENTS: [&str; 16] = [
    "",
    "0",
    "-1",
    "99999999999",
    "1e400",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "\"${\"",
    "\"ü→\"",
    "=",
    "1979-05-27",
    "nan",
    "\"SIGTERM\"",
];

/// Loads a manifest with each value replaced, and cut off at many places.
fn load_mangled(folder: &str, environment: &str) {
    let text =
        std::fs::read_to_string(repo_path(folder).join(format!("{environment}.toml"))).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(repo_path(folder))
        .unwrap()
        .map(|file| file.unwrap().path())
    {
        if file
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains(['=', '[']))
    {
        for piece in sample(REPLACEMENTS, index, 6) {
            let broken = line
                .split_once('=')
                .map_or(piece.to_owned(), |(key, _)| format!("{key}= {piece}"));
            let mut lines = lines.clone();
            lines[index] = &broken;
            load_text_in(copy.path(), &lines.join("\n"));
        }
    }
    for end in sample((0..text.len()).step_by(29), 0, 4).filter(|end| text.is_char_boundary(*end)) {
        load_text_in(copy.path(), &text[..end]);
    }
}

fn load_text_in(folder: &Path, text: &str) {
    std::fs::write(folder.join("junk.toml"), text).unwrap();
    let mut inputs = unchecked_inputs();
    inputs.secrets_mode = SecretsMode::Lenient;
    if let Err(diagnostics) = load(folder, "junk", &inputs) {
        assert!(!diagnostics.render(false, 80).is_empty(), "{text}");
    }
}

#[test]
fn mangled_manifests_do_not_panic() {
    for (folder, environment) in [
        ("environments", "_base"),
        ("environments", "production"),
        ("environments", "review"),
        ("tests/manifests/draftguru", "_base"),
        ("tests/manifests/bad", "handlers"),
        ("tests/manifests/bad", "ips"),
        ("tests/manifests/bad", "file-sources"),
    ] {
        load_mangled(folder, environment);
    }
}
