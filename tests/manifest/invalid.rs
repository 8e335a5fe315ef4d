//! Invalid manifests, each with its stored diagnostics next to it. `SNAPSHOTS=overwrite` rewrites
//! them.

use std::path::Path;

use snapbox::{Assert, Data};
use trimtab::manifest::{SecretsMode, list_environments, load};

use crate::manifest::support::unchecked_inputs;

/// Relative, so that diagnostics do not depend on the location of the repository.
const FOLDER: &str = "tests/manifests/bad";

#[test]
fn invalid_manifests_match_stored_diagnostics() {
    let mut inputs = unchecked_inputs();
    inputs.secrets_mode = SecretsMode::Required;
    let assert = Assert::new().action_env("SNAPSHOTS").normalize_paths(false);
    let mut failures = Vec::new();
    for environment in list_environments(Path::new(FOLDER)).unwrap() {
        let rendered = match load(Path::new(FOLDER), &environment, &inputs) {
            Ok(_) => "nothing is wrong\n".to_owned(),
            Err(diagnostics) => format!("{}\n", diagnostics.render(false, 100)),
        };
        let stored = Data::read_from(
            &Path::new(FOLDER).join(format!("{environment}.stderr")),
            None,
        );
        if let Err(difference) = assert.try_eq(Some(&environment), rendered.into(), stored) {
            failures.push(difference.to_string());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
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
