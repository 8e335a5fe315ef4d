//! Where secrets come from: the environment, files and dotenv files. Nothing read here reaches a message.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Scene, Sink};
use crate::manifest::{disk, dotenv, read::beside, spot::Spot};

/// Sources that were opened, so that each file is read once.
pub(super) struct Found<'a> {
    scene: &'a Scene<'a>,
    dotenv: Option<PathBuf>,
    read: BTreeMap<PathBuf, Result<BTreeMap<String, String>, String>>,
}

impl<'a> Found<'a> {
    /// `dotenv` is asked for what the environment lacks.
    pub(super) fn new(scene: &'a Scene<'a>, dotenv: Option<&str>, at: Spot<'_>) -> Self {
        let from = at.value_place();
        let dotenv = dotenv
            .zip(from)
            .map(|(dotenv, from)| beside(&scene.files.get(from.file).path, dotenv));
        Self {
            scene,
            dotenv,
            read: BTreeMap::new(),
        }
    }

    /// A variable of the environment, else of the dotenv file. An empty one counts as missing: that is what CI gives
    /// for a secret that nobody set.
    pub(super) fn variable(&mut self, name: &str, at: Spot<'_>, sink: &mut Sink) -> Option<String> {
        let stated = self
            .scene
            .inputs
            .environment
            .get(name)
            .filter(|value| !value.is_empty());
        if let Some(value) = stated {
            return Some(value.clone());
        }
        let path = self.dotenv.clone().filter(|path| path.exists())?;
        self.in_dotenv(&path, name, at, sink)
    }

    /// A value of a dotenv file; a file that is not there has none.
    pub(super) fn in_dotenv(
        &mut self,
        path: &Path,
        name: &str,
        at: Spot<'_>,
        sink: &mut Sink,
    ) -> Option<String> {
        if !path.exists() {
            return None;
        }
        match self
            .read
            .entry(path.to_owned())
            .or_insert_with(|| parse(path))
        {
            Ok(values) => values.get(name).filter(|value| !value.is_empty()).cloned(),
            Err(error) => {
                sink.error(
                    at.problem(error.clone())
                        .help("one NAME=VALUE for each line"),
                );
                None
            }
        }
    }

    /// The content of a file, without its final newline.
    pub(super) fn file(path: &Path) -> Option<String> {
        let text = disk::text(path).ok()?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| {
            text.strip_suffix('\r').unwrap_or(text)
        });
        Some(text.to_owned()).filter(|text| !text.is_empty())
    }
}

/// Reads a dotenv file. An error tells the line's number, never the line, which may hold a secret.
fn parse(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text =
        disk::text(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    dotenv::parse(&text).map_err(|line| {
        format!(
            "line {line} of `{}` is not of the form NAME=VALUE",
            path.display()
        )
    })
}
