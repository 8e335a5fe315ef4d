//! Replays the corpus of the fuzz targets, so that a bug that fuzzing found once stays fixed.

use std::{fs, path::Path};

#[path = "../../fuzz/entries.rs"]
pub(crate) mod entries;

/// Calls one entry point with every file of its corpus.
fn replay(target: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    for file in files {
        let content = fs::read(&file).unwrap();
        let done = std::panic::catch_unwind(|| entry(&content));
        assert!(done.is_ok(), "{}", file.display());
    }
}

#[test]
fn manifests() {
    replay("manifest", entries::manifest);
}

#[test]
fn fly_toml() {
    replay("fly_toml", entries::fly_toml);
}

#[test]
fn plan_files() {
    replay("plan_file", entries::plan_file);
}

#[test]
fn api_responses() {
    replay("answers", entries::api_responses);
}

#[test]
fn policies() {
    replay("policy", entries::policy);
}
