//! The README is correct: its manifest is valid, and it lists every command.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use trimtab::manifest::{self, Inputs, SecretsMode};

fn readme_text() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn readme_manifest_is_valid() {
    let text = readme_text();
    let block = text
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("staging.toml"), block).unwrap();
    let inputs = Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Unchecked,
        multiple_environments: false,
    };
    let loaded = manifest::load(dir.path(), "staging", &inputs)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(loaded.desired.fly_machine.len(), 3);
    assert!(
        loaded.desired.meta.warnings.is_empty(),
        "{:?}",
        loaded.desired.meta.warnings
    );
}

#[test]
fn readme_lists_every_command() {
    let output = Command::new(env!("CARGO_BIN_EXE_trimtab"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let text = readme_text();
    let mut seen = 0;
    for name in names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
    {
        assert!(
            text.contains(&format!("`{name}")) || text.contains(&format!("-- {name} ")),
            "{name} is not in the README"
        );
        seen += 1;
    }
    assert!(seen >= 12, "{help}");
}
