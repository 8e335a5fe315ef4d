//! Images that are not there, shown like every other mistake of a manifest: all at once, each with its place.

use std::collections::BTreeSet;

use super::CommandError;
use crate::{
    manifest::{Diagnostic, LoadedEnvironment, ManifestError, SourceLocation},
    model::{Address, Name},
    observe::{ImageLookupFailure, ResolvedImages},
};

/// Stops when an image is missing.
pub(super) fn check_missing_images(
    loaded: &LoadedEnvironment,
    images: &ResolvedImages,
) -> Result<(), CommandError> {
    let problems: Vec<Diagnostic> = images
        .fatal_failures()
        .map(|missing| missing_image_diagnostic(loaded, missing))
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(CommandError::from(ManifestError {
        files: loaded.files.clone(),
        diagnostics: problems,
    }))
}

fn missing_image_diagnostic(
    loaded: &LoadedEnvironment,
    missing: &ImageLookupFailure,
) -> Diagnostic {
    let apps: BTreeSet<Name> = missing
        .used_by
        .iter()
        .map(|user| user.name().root())
        .collect();
    let apps: Vec<&str> = apps.iter().map(Name::as_str).collect();
    Diagnostic {
        message: format!("{} (for {})", missing.reason(), apps.join(", ")),
        location: missing
            .used_by
            .iter()
            .find_map(|user| find_image_place(loaded, user)),
        label: String::new(),
        help: Some(missing.hint()),
    }
}

/// Where the manifest names the image: for the cron machine alone, or for its app.
fn find_image_place(loaded: &LoadedEnvironment, user: &Address) -> Option<SourceLocation> {
    let name = user.name();
    loaded
        .image_locations
        .get(name)
        .or_else(|| loaded.image_locations.get(&name.root()))
        .cloned()
}
