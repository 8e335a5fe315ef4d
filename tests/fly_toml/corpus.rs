//! Real fly.toml files from public repositories, where they are available. The expected errors are
//! those of flyctl's own patches and validation, run over the same files.

use std::{collections::BTreeMap, fs, path::Path};

use crate::fly_toml::common::{ParsedFile, parse_and_modernise};

/// Every file by name; `None` where the corpus is not available.
fn load_corpus() -> Option<BTreeMap<String, ParsedFile>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/fly-toml");
    let files = fs::read_dir(folder).ok()?;
    let read_file = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        (
            entry.file_name().into_string().unwrap(),
            parse_and_modernise("fly.toml", &text),
        )
    };
    Some(files.map(|entry| read_file(entry.unwrap())).collect())
}

#[test]
fn errors_match_flyctl() {
    let Some(corpus) = load_corpus() else { return };
    let refused: Vec<(&str, Vec<String>)> = corpus
        .iter()
        .filter(|(_, read)| !read.errors().is_empty())
        .map(|(name, read)| (name.as_str(), read.errors()))
        .collect();
    let expected = [
        (
            "BerriAI__litellm-agent-platform__cloud-vault__fly.toml",
            vec!["21:11: the check `health` needs a `type` (neither `http` nor `tcp`)".to_owned()],
        ),
        (
            "jorisfalter__slackRag__fly.cron.toml",
            vec![
                "10:1: `services` must set `processes` (flyctl does not choose a group); add `processes = [\"GROUP\"]` \
                 with a name of `[processes]`"
                    .to_owned(),
            ],
        ),
    ];
    assert_eq!(refused, expected);
    assert_eq!(corpus.len(), 108);
}

/// The subject of a warning, without position and names.
fn warning_category(warning: &str) -> &'static str {
    [
        ("there is no key", "unknown key"),
        ("placeholder", "placeholder"),
        ("becomes the text", "variable that is a table"),
        ("has no ports", "service without ports"),
        ("outside of 1 second", "time that Fly changes"),
    ]
    .into_iter()
    .find(|(words, _)| warning.contains(words))
    .map_or("something else", |(_, category)| category)
}

#[test]
fn warnings_are_counted_by_category() {
    let Some(corpus) = load_corpus() else { return };
    let mut counts = BTreeMap::new();
    for warning in corpus.values().flat_map(ParsedFile::warnings) {
        *counts.entry(warning_category(&warning)).or_insert(0) += 1;
    }
    let expected = BTreeMap::from([
        ("placeholder", 3),
        ("service without ports", 1),
        ("time that Fly changes", 1),
        ("unknown key", 13),
        ("variable that is a table", 1),
    ]);
    assert_eq!(counts, expected);
    let silent = corpus
        .values()
        .filter(|read| read.warnings().is_empty())
        .count();
    assert_eq!(silent, 92);
}
