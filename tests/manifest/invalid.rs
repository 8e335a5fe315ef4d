//! Broken manifests, each with what is said of it stored beside it. `SNAPSHOTS=overwrite` rewrites the stored texts.

use std::path::Path;

use snapbox::{Assert, Data};
use trimtab::manifest::{SecretsMode, list_environments, load};

use crate::manifest::support::unchecked_inputs;

/// Relative, so that messages name no folder of this machine.
const FOLDER: &str = "tests/manifests/bad";

#[test]
fn invalid_manifests_match_stored_diagnostics() {
    let mut inputs = unchecked_inputs();
    inputs.secrets_mode = SecretsMode::Required;
    let assert = Assert::new().action_env("SNAPSHOTS").normalize_paths(false);
    let mut wrong = Vec::new();
    for environment in list_environments(Path::new(FOLDER)).unwrap() {
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
fn every_invalid_manifest_is_rejected() {
    let environments = list_environments(Path::new(FOLDER)).unwrap();
    assert!(environments.len() >= 60, "{}", environments.len());
    for environment in environments {
        let mut inputs = unchecked_inputs();
        inputs.secrets_mode = SecretsMode::Required;
        assert!(
            load(Path::new(FOLDER), &environment, &inputs).is_err(),
            "{environment}"
        );
    }
}
