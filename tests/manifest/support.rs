//! Folders, inputs and shorthands for the tests of manifests.

use std::{collections::BTreeMap, path::PathBuf};

use trimtab::manifest::{Inputs, LoadedEnvironment, ManifestError, SecretsMode, load};

pub(crate) fn repo_path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// No inputs; secrets are not read.
pub(crate) fn unchecked_inputs() -> Inputs {
    Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Unchecked,
        multiple_environments: false,
    }
}

pub(crate) fn string_map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A temporary folder of manifests.
pub(crate) struct ManifestDir(tempfile::TempDir);

impl ManifestDir {
    pub(crate) fn with_files(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    /// The folder.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Writes or overwrites a file.
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

/// Loads a single manifest.
pub(crate) fn load_text(text: &str, inputs: &Inputs) -> Result<LoadedEnvironment, ManifestError> {
    ManifestDir::with_files(&[("x.toml", text)]).load(inputs)
}

/// The messages of all errors.
pub(crate) fn messages(result: Result<LoadedEnvironment, ManifestError>) -> Vec<String> {
    let diagnostics = result
        .err()
        .map(|diagnostics| diagnostics.diagnostics)
        .unwrap_or_default();
    diagnostics
        .into_iter()
        .map(|diagnostic| diagnostic.message)
        .collect()
}
