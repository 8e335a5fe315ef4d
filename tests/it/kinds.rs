//! Adding a kind must not change the planner or the apply loop: they ask a kind through its traits, and never by its name.

use std::{fs, path::Path};

/// Texts that only code with knowledge of one kind contains.
const SIGNS: [&str; 8] = [
    "AnyOp::",
    "KindName",
    "\"fly.",
    "\"aws.",
    "kinds::fly",
    "kinds::aws",
    "fly::",
    "aws::",
];

/// A rollback restores machines and cron machines, whatever other kinds there are.
const EXCEPTIONS: [&str; 1] = ["src/plan/rollback.rs"];

#[test]
fn planner_and_apply_name_no_kind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for folder in ["src/plan", "src/apply"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if EXCEPTIONS.contains(&name.as_str()) {
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let sign = SIGNS.iter().find(|sign| code.contains(**sign));
                assert_eq!(sign, None, "{name}:{} names a kind: {line}", number + 1);
            }
        }
    }
    assert!(files > 10, "only {files} files were found");
}
