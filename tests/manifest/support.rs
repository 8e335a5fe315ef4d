//! Folders, inputs and shorthands that the tests share.

use std::{collections::BTreeMap, path::PathBuf};

use trimtab::manifest::{Inputs, LoadedEnvironment, ManifestError, SecretsMode, load};

/// A path in the repository.
pub(crate) fn repo_path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// No inputs, and secrets unread.
pub(crate) fn unchecked_inputs() -> Inputs {
    Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Unchecked,
        multiple_environments: false,
    }
}

/// A map of texts.
pub(crate) fn string_map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Files in a folder that vanishes, and an environment of them.
pub(crate) struct ManifestDir(tempfile::TempDir);

impl ManifestDir {
    /// Writes the files.
    pub(crate) fn with_files(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    /// Writes one more, or writes it anew.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Loads the environment `x`.
    pub(crate) fn load(&self, inputs: &Inputs) -> Result<LoadedEnvironment, ManifestError> {
        load(self.0.path(), "x", inputs)
    }
}

/// Loads one manifest from text.
pub(crate) fn load_text(text: &str, inputs: &Inputs) -> Result<LoadedEnvironment, ManifestError> {
    ManifestDir::with_files(&[("x.toml", text)]).load(inputs)
}

/// The messages of what is wrong.
pub(crate) fn messages(result: Result<LoadedEnvironment, ManifestError>) -> Vec<String> {
    let problems = result
        .err()
        .map(|problems| problems.diagnostics)
        .unwrap_or_default();
    problems
        .into_iter()
        .map(|problem| problem.message)
        .collect()
}
