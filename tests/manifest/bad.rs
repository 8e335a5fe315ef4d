//! Broken manifests, each with what is said of it stored beside it. `SNAPSHOTS=overwrite` rewrites the stored texts.

use std::path::Path;

use snapbox::{Assert, Data};
use trimtab::manifest::{SecretsMode, list, load};

use crate::manifest::support::unchecked;

/// Relative, so that messages name no folder of this machine.
const FOLDER: &str = "tests/manifests/bad";

#[test]
fn every_broken_manifest_says_what_is_wrong() {
    let mut inputs = unchecked();
    inputs.secrets = SecretsMode::Required;
    let assert = Assert::new().action_env("SNAPSHOTS").normalize_paths(false);
    let mut wrong = Vec::new();
    for environment in list(Path::new(FOLDER)).unwrap() {
        let said = match load(Path::new(FOLDER), &environment, &inputs) {
            Ok(_) => "nothing is wrong\n".to_owned(),
            Err(problems) => format!("{}\n", problems.render(false, 100)),
        };
        let stored = Data::read_from(
            &Path::new(FOLDER).join(format!("{environment}.stderr")),
            None,
        );
        if let Err(difference) = assert.try_eq(Some(&environment), said.into(), stored) {
            wrong.push(difference.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_something_wrong_with_each_of_many() {
    let environments = list(Path::new(FOLDER)).unwrap();
    assert!(environments.len() >= 60, "{}", environments.len());
    for environment in environments {
        let mut inputs = unchecked();
        inputs.secrets = SecretsMode::Required;
        assert!(
            load(Path::new(FOLDER), &environment, &inputs).is_err(),
            "{environment}"
        );
    }
}
