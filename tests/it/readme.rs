//! What the README shows is true: its manifest is valid, and it names every command.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use trimtab::manifest::{self, Inputs, SecretsMode};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_manifest_in_the_readme_is_valid() {
    let text = readme();
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
        environment: BTreeMap::new(),
        secrets: SecretsMode::Unchecked,
        shared: false,
    };
    let loaded =
        manifest::load(dir.path(), "staging", &inputs).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(loaded.desired.fly_machine.len(), 3);
    assert!(
        loaded.desired.meta.warnings.is_empty(),
        "{:?}",
        loaded.desired.meta.warnings
    );
}

#[test]
fn the_readme_names_every_command() {
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
    let text = readme();
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
