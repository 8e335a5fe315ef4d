//! Every manifest in the repository is valid.

use trimtab::manifest::{list_environments, load};

use crate::manifest::support::{repo_path, unchecked_inputs};

/// The folders of manifests: the reference team's, one for each user document, and one for AWS
/// settings beyond the defaults.
const FOLDERS: [&str; 7] = [
    "environments",
    "tests/manifests/prism",
    "tests/manifests/vibegrapher",
    "tests/manifests/ledger",
    "tests/manifests/draftguru",
    "tests/manifests/reify",
    "tests/conformance/aws/environments",
];

#[test]
fn every_manifest_loads() {
    for folder in FOLDERS {
        for environment in list_environments(&repo_path(folder)).unwrap() {
            let loaded = load(&repo_path(folder), &environment, &unchecked_inputs());
            let loaded = loaded
                .unwrap_or_else(|diagnostics| panic!("{folder}/{environment}\n{diagnostics}"));
            assert!(!loaded.desired.fly_app.is_empty(), "{folder}/{environment}");
            assert!(
                !loaded.desired.fly_machine.is_empty(),
                "{folder}/{environment}"
            );
        }
    }
}
