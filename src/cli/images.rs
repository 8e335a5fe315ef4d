//! Images that are not there, shown like every other mistake of a manifest: all at once, each with its place.

use std::collections::BTreeSet;

use super::Failure;
use crate::{
    manifest::{Loaded, Place, Problem, Problems},
    model::{Address, Name},
    observe::{Images, NoImage},
};

/// Stops when an image is missing.
pub(super) fn check(loaded: &Loaded, images: &Images) -> Result<(), Failure> {
    let problems: Vec<Problem> = images
        .missing()
        .map(|missing| problem(loaded, missing))
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::from(Problems {
        files: loaded.files.clone(),
        problems,
    }))
}

fn problem(loaded: &Loaded, missing: &NoImage) -> Problem {
    let apps: BTreeSet<Name> = missing
        .users
        .iter()
        .map(|user| user.name().root())
        .collect();
    let apps: Vec<&str> = apps.iter().map(Name::as_str).collect();
    Problem {
        message: format!("{} (for {})", missing.reason(), apps.join(", ")),
        at: missing.users.iter().find_map(|user| place(loaded, user)),
        label: String::new(),
        help: Some(missing.hint()),
    }
}

/// Where the manifest names the image: for the cron machine alone, or for its app.
fn place(loaded: &Loaded, user: &Address) -> Option<Place> {
    let name = user.name();
    loaded
        .images
        .get(name)
        .or_else(|| loaded.images.get(&name.root()))
        .cloned()
}
