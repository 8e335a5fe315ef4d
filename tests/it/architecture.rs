//! Rules that the sources themselves must keep: modules import only lower layers, the planner does no
//! I/O, type names are unique, and files and functions stay within their size budget.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The layers of `src`, lowest first: each module and the modules of this crate that it may import.
/// `cli` is on top and may import everything; `lib.rs` and `main.rs` are not listed either. The
/// sandbox is a crate of its own, so the compiler enforces its boundary.
const ALLOWED_IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clouds", &["model"]),
    ("iam", &["model"]),
    ("lock", &["model", "clouds"]),
    ("kinds", &["model", "iam"]),
    ("manifest", &["model", "iam", "kinds"]),
    ("observe", &["model", "iam", "kinds", "clouds"]),
    ("plan", &["model", "kinds"]),
    ("apply", &["model", "kinds", "plan", "clouds", "lock"]),
    ("github", &["model", "clouds", "plan"]),
    ("status", &["model", "iam", "kinds", "plan"]),
    (
        "render",
        &["model", "iam", "kinds", "plan", "apply", "status"],
    ),
    ("workflows", &["model", "manifest"]),
    (
        "ops",
        &[
            "model",
            "clouds",
            "iam",
            "lock",
            "kinds",
            "manifest",
            "observe",
            "plan",
            "apply",
            "github",
            "status",
            "workflows",
        ],
    ),
];
/// The files of `kinds` that carry out steps and therefore may import the clients in `clouds` and
/// the lease of `lock`. Specs and diffs may not.
const CLOUD_CALLERS: [&str; 3] = ["drive.rs", "list.rs", "writers.rs"];
const CLOUD_MODULES: [&str; 2] = ["clouds", "lock"];

/// Size limits, in lines, of code without unit tests.
const FILE_LIMIT: usize = 500;
/// 150 lines of code that is written by hand are about 165 as rustfmt breaks them by default.
const FILE_MEDIAN: usize = 165;
const FUNCTION_LIMIT: usize = 80;
const FUNCTION_MEDIAN: usize = 10;

/// The Rust files below a folder of the repository, as paths relative to it, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

/// The source folders of every crate in the workspace.
fn all_sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut names: Vec<String> = fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let folders = names.iter().map(|name| format!("crates/{name}/src"));
    [String::from("src")]
        .into_iter()
        .chain(folders)
        .flat_map(|folder| {
            sources(&folder)
                .into_iter()
                .map(move |(path, text)| (Path::new(&folder).join(path), text))
        })
        .collect()
}

/// The text of a file up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// The top-level modules that the paths of a file name: `crate::…`, and `super::…` where it leaves
/// the top-level module. `depth` is the depth of the file's own module: 1 for `lock`, 2 for
/// `lock::lease`.
fn imported_modules(code: &str, depth: usize) -> Vec<String> {
    let code = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut out = Vec::new();
    for path in code.split("crate::").skip(1) {
        add_top_level_names(path, 0, &mut out);
    }
    for (start, keyword) in code.match_indices("super::") {
        // The later keywords of `super::super::` belong to the first one.
        if !code[..start].ends_with("super::") {
            add_top_level_names(&code[start + keyword.len()..], depth - 1, &mut out);
        }
    }
    out
}

/// Adds the names of top-level modules that a path begins with. `levels` says how many more
/// `super::` lead from where the path starts to the root of the crate.
fn add_top_level_names(path: &str, levels: usize, out: &mut Vec<String>) {
    if let Some(rest) = path.strip_prefix("super::")
        && levels > 0
    {
        add_top_level_names(rest, levels - 1, out);
    } else if let Some(group) = path.strip_prefix('{') {
        for element in group_elements(group) {
            add_top_level_names(element, levels, out);
        }
    } else if levels == 0 {
        out.push(identifier(path));
    }
}

/// The elements of a group such as `a::b, c::{d, e}}`, whose opening brace has been removed.
fn group_elements(group: &str) -> Vec<&str> {
    let (mut elements, mut start, mut open_braces) = (Vec::new(), 0, 0);
    for (index, c) in group.char_indices() {
        match c {
            '{' => open_braces += 1,
            ',' | '}' if open_braces == 0 => {
                elements.push(group[start..index].trim());
                start = index + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => open_braces -= 1,
            _ => {}
        }
    }
    elements.retain(|element| !element.is_empty());
    elements
}

#[test]
fn imports_are_recognised_in_every_form() {
    let imports = |code: &str, depth| imported_modules(code, depth).join(" ");
    assert_eq!(
        imports("use crate::{\n    lock,\n    model::{Name, Region},\n};", 2),
        "lock model"
    );
    assert_eq!(imports("fn f(name: crate::model::Name) {}", 3), "model");
    assert_eq!(imports("// use crate::cli;", 1), "");
    // From `lock`, one `super` leaves the module; from `lock::lease`, two do.
    assert_eq!(imports("use super::clouds::aws;", 1), "clouds");
    assert_eq!(imports("use super::record::LockRecord;", 2), "");
    assert_eq!(
        imports("use super::super::{clouds::aws, model};", 2),
        "clouds model"
    );
    assert_eq!(
        imports("use super::{record, super::clouds::aws};", 2),
        "clouds"
    );
}

/// How deep the module of a file is nested, from its path below `src`: 1 for `lock/mod.rs`.
fn module_depth(path: &Path) -> usize {
    path.components().count() - usize::from(path.ends_with("mod.rs"))
}

#[test]
fn modules_import_only_lower_layers() {
    let mut violations = Vec::new();
    for (path, text) in sources("src") {
        let top = path.components().next().unwrap().as_os_str();
        let module = top.to_str().unwrap().trim_end_matches(".rs");
        let Some((_, allowed)) = ALLOWED_IMPORTS.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        let file = path.file_name().unwrap().to_str().unwrap();
        // A `drive.rs` that was split has a folder beside it.
        let in_drive_folder = path
            .parent()
            .is_some_and(|folder| folder.ends_with("drive"));
        let may_call_clouds =
            module == "kinds" && (CLOUD_CALLERS.contains(&file) || in_drive_folder);
        for import in imported_modules(without_tests(&text), module_depth(&path)) {
            let is_exempt = may_call_clouds && CLOUD_MODULES.contains(&import.as_str());
            if import != module && !allowed.contains(&import.as_str()) && !is_exempt {
                violations.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

/// A module that is added must be given its place in the layers.
#[test]
fn every_module_has_a_layer() {
    for (path, _) in sources("src") {
        let top = path.components().next().unwrap().as_os_str();
        let module = top.to_str().unwrap();
        let is_known = ["lib.rs", "main.rs", "cli"].contains(&module)
            || ALLOWED_IMPORTS.iter().any(|(name, _)| *name == module);
        assert!(is_known, "{} is in no layer", path.display());
    }
}

#[test]
fn planner_has_no_async_code() {
    let violations: Vec<_> = sources("src/plan")
        .into_iter()
        .filter(|(_, text)| {
            let code = without_tests(text);
            code.contains("async ") || code.contains(".await")
        })
        .map(|(path, _)| path)
        .collect();
    assert!(violations.is_empty(), "{violations:?}");
}

#[test]
fn render_does_not_call_apply_or_print() {
    for (path, text) in sources("src/render") {
        let code = without_tests(&text).replace(char::is_whitespace, "");
        assert!(!code.contains("apply::apply"), "{}", path.display());
        assert!(!code.contains("println!"), "{}", path.display());
    }
}

#[test]
fn every_file_has_a_module_doc() {
    let undocumented: Vec<_> = all_sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

/// Type names that are deliberately the same in every module of a sort.
const SHARED_TYPE_NAMES: [&str; 3] = ["Spec", "Live", "Edit"];

/// Whoever searches for a type finds one definition. Each crate is searched on its own: the sandbox
/// models the same clouds from the other side.
#[test]
fn public_type_names_are_unique() {
    for folder in ["src", "crates/sandbox/src"] {
        let mut definitions: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (path, text) in sources(folder) {
            for name in public_types(without_tests(&text)) {
                definitions.entry(name).or_default().push(path.clone());
            }
        }
        definitions
            .retain(|name, paths| paths.len() > 1 && !SHARED_TYPE_NAMES.contains(&name.as_str()));
        assert!(definitions.is_empty(), "{folder}: {definitions:#?}");
    }
}

/// The structs, enums and traits that a file declares as public in any scope.
fn public_types(code: &str) -> Vec<String> {
    let name = |line: &str| -> Option<String> {
        let rest = line.trim_start().strip_prefix("pub")?;
        // The scope of `pub(crate)` and the like.
        let rest = match rest.strip_prefix('(') {
            Some(scoped) => scoped.split_once(')')?.1,
            None => rest,
        };
        let (keyword, rest) = rest.trim_start().split_once(' ')?;
        let is_type = ["struct", "enum", "trait"].contains(&keyword);
        is_type.then(|| identifier(rest))
    };
    code.lines().filter_map(name).collect()
}

/// The identifier that a text begins with.
fn identifier(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// The number of lines between the braces of each function.
fn function_lengths(code: &str) -> Vec<(String, usize)> {
    let clean = blank_strings_and_comments(code);
    let mut out = Vec::new();
    for (at, _) in clean.match_indices("fn ") {
        // `fn` must be a word of its own, not the end of another.
        let before = clean[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name = identifier(&clean[at + 3..]);
        let Some(open) = clean[at..].find(['{', ';']).map(|offset| at + offset) else {
            continue;
        };
        // Function pointer types have no name, and declarations in traits no body.
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

/// Removes strings and comments, whose braces do not count, and keeps their line breaks.
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
    let sources = all_sources();
    let file_sizes: Vec<(usize, &PathBuf)> = sources
        .iter()
        .map(|(path, text)| (without_tests(text).lines().count(), path))
        .collect();
    let long: Vec<_> = file_sizes
        .iter()
        .filter(|(lines, _)| *lines > FILE_LIMIT)
        .collect();
    assert!(long.is_empty(), "files over {FILE_LIMIT} lines: {long:#?}");
    // Files of unit tests are bounded, but tables of cases say nothing about the size of the code.
    let is_test = |path: &Path| path.components().any(|part| part.as_os_str() == "tests");
    let code = file_sizes.iter().filter(|(_, path)| !is_test(path));
    let file_median = median(code.map(|(lines, _)| *lines).collect());
    assert!(
        file_median <= FILE_MEDIAN,
        "the median file has {file_median} lines"
    );
    let mut function_sizes = Vec::new();
    let mut long = Vec::new();
    for (path, text) in &sources {
        for (name, lines) in function_lengths(without_tests(text)) {
            function_sizes.push(lines);
            if lines > FUNCTION_LIMIT {
                long.push(format!("{}: {name} has {lines} lines", path.display()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "functions over {FUNCTION_LIMIT} lines: {long:#?}"
    );
    let function_median = median(function_sizes);
    assert!(
        function_median <= FUNCTION_MEDIAN,
        "the median function has {function_median} lines"
    );
}
