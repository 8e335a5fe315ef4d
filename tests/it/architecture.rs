//! The one-way rule between modules and the size budget, read from the sources themselves.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module, and what of ours it may name. `kinds` is two floors: only files called `drive.rs` see the clouds.
const ALLOWED_IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clouds", &["model"]),
    ("kinds", &["model"]),
    ("manifest", &["model", "kinds"]),
    ("observe", &["model", "kinds", "clouds"]),
    ("plan", &["model", "kinds"]),
    ("apply", &["model", "kinds", "plan", "clouds"]),
    ("render", &["model", "kinds", "plan", "apply"]),
    ("sandbox", &["model"]),
];
/// `kinds/list.rs` generates the one `match` that runs an operation, so it names the clients' types.
const CLOUD_CALLERS: [&str; 2] = ["drive.rs", "list.rs"];

const FILE_LIMIT: usize = 500;
const FILE_MEDIAN: usize = 150;
const FUNCTION_LIMIT: usize = 80;
const FUNCTION_MEDIAN: usize = 10;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let inside = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    paths.into_iter().map(inside).collect()
}

/// A file without its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// The modules that a file's `use crate::…` and `crate::…` paths name.
fn imported_modules(code: &str) -> Vec<String> {
    let first = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut out = Vec::new();
    for rest in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
        .split("crate::")
        .skip(1)
    {
        match rest.strip_prefix('{') {
            None => out.push(first(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    if start && depth == 0 && (c.is_alphabetic() || c == '_') {
                        out.push(first(&group[at..]));
                        start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    out
}

#[test]
fn modules_import_only_lower_layers() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = path
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        let Some((_, allowed)) = ALLOWED_IMPORTS.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        let file = path.file_name().unwrap().to_str().unwrap();
        for name in imported_modules(without_tests(&text)) {
            let sees_clouds =
                module == "kinds" && name == "clouds" && CLOUD_CALLERS.contains(&file);
            if name != module && !allowed.contains(&name.as_str()) && !sees_clouds {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn planner_has_no_async_code() {
    let waits = |text: &str| {
        without_tests(text).contains("async ") || without_tests(text).contains(".await")
    };
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| path.starts_with("plan") && waits(text))
        .map(|(path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn render_does_not_call_apply_or_print() {
    for (path, text) in sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with("render"))
    {
        let whole = without_tests(&text).replace(char::is_whitespace, "");
        assert!(!whole.contains("apply::apply"), "{}", path.display());
        assert!(!whole.contains("println!"), "{}", path.display());
    }
}

#[test]
fn every_file_has_a_module_doc() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Lines between the braces of each function, by matching braces outside of strings and comments.
fn function_lengths(code: &str) -> Vec<(String, usize)> {
    let clean = blank_strings_and_comments(code);
    let mut out = Vec::new();
    for (at, _) in clean.match_indices("fn ") {
        let before = clean[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = clean[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let Some(open) = clean[at..].find(['{', ';']).map(|offset| at + offset) else {
            continue;
        };
        if name.is_empty() || clean.as_bytes()[open] == b';' {
            continue;
        }
        let mut depth = 0;
        for (offset, c) in clean[open..].char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 {
                out.push((name, clean[open..open + offset].matches('\n').count() + 1));
                break;
            }
        }
    }
    out
}

/// Blanks strings and comments, so that braces in them do not count.
fn blank_strings_and_comments(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let raw = rest
            .starts_with("r#\"")
            .then(|| rest[3..].find("\"#").map(|end| end + 5))
            .flatten();
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw {
            raw
        } else if c == '"' {
            string_literal_end(rest)
        } else if ["'{'", "'}'", "'\"'"]
            .iter()
            .any(|literal| rest.starts_with(literal))
        {
            3
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.extend(rest[..skip].chars().filter(|c| *c == '\n'));
        rest = &rest[skip..];
    }
    out
}

fn string_literal_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

#[test]
fn file_and_function_sizes_stay_within_budget() {
    let all = sources();
    let lines: Vec<(usize, &PathBuf)> = all
        .iter()
        .map(|(path, text)| (without_tests(text).lines().count(), path))
        .collect();
    let long: Vec<_> = lines
        .iter()
        .filter(|(lines, _)| *lines > FILE_LIMIT)
        .collect();
    assert!(long.is_empty(), "files over {FILE_LIMIT} lines: {long:#?}");
    let middle = median(lines.iter().map(|(lines, _)| *lines).collect());
    assert!(middle <= FILE_MEDIAN, "the median file has {middle} lines");
    let mut sizes = Vec::new();
    let mut long = Vec::new();
    for (path, text) in &all {
        for (name, lines) in function_lengths(without_tests(text)) {
            sizes.push(lines);
            if lines > FUNCTION_LIMIT {
                long.push(format!("{}: {name} has {lines} lines", path.display()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "functions over {FUNCTION_LIMIT} lines: {long:#?}"
    );
    let middle = median(sizes);
    assert!(
        middle <= FUNCTION_MEDIAN,
        "the median function has {middle} lines"
    );
}
