//! The workflows on GitHub: the stored ones of every project in the repository, what the writer
//! promises, and the files in a repository.

mod files;
mod stored;
mod writer;

use std::path::Path;

use trimtab::{
    manifest::{LoadedEnvironment, SecretsMode, list_environments, load},
    workflows::Project,
};

/// The folders of manifests whose workflows are stored, each with its name.
pub(crate) const PROJECTS: [(&str, &str); 6] = [
    ("harbor", "environments"),
    ("draftguru", "tests/manifests/draftguru"),
    ("ledger", "tests/manifests/ledger"),
    ("prism", "tests/manifests/prism"),
    ("reify", "tests/manifests/reify"),
    ("vibegrapher", "tests/manifests/vibegrapher"),
];

/// Loads all environments of a folder, as the command does.
pub(crate) fn load_all(folder: &Path) -> Vec<LoadedEnvironment> {
    let mut inputs = crate::support::inputs_with(&[]);
    inputs.secrets_mode = SecretsMode::Unchecked;
    inputs.multiple_environments = true;
    let names = list_environments(folder).unwrap();
    let load = |name: &String| {
        load(folder, name, &inputs).unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
    };
    names.iter().map(load).collect()
}

/// The project of a folder of the repository.
pub(crate) fn project(folder: &str) -> Project {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let joined = Project::from_manifests(&load_all(&folder), "environments");
    joined.unwrap().unwrap()
}
