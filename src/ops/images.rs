//! Missing images as diagnostics of the manifest: all of them at once, each at the line that names it.

use std::collections::BTreeSet;

use super::OperationError;
use crate::{
    manifest::{Diagnostic, LoadedEnvironment, ManifestError, SourceLocation},
    model::{Address, Name},
    observe::{ImageLookupFailure, ResolvedImages},
};

/// Fails when an image that the manifest asks for does not exist.
pub(super) fn check_missing_images(
    loaded: &LoadedEnvironment,
    images: &ResolvedImages,
) -> Result<(), OperationError> {
    let diagnostics: Vec<Diagnostic> = images
        .fatal_failures()
        .map(|missing| missing_image_diagnostic(loaded, missing))
        .collect();
    if diagnostics.is_empty() {
        return Ok(());
    }
    Err(OperationError::Manifest(ManifestError {
        files: loaded.files.clone(),
        diagnostics,
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

/// Where the manifest names the image: at the cron machine itself, or else at its app.
fn find_image_place(loaded: &LoadedEnvironment, user: &Address) -> Option<SourceLocation> {
    let name = user.name();
    loaded
        .image_locations
        .get(name)
        .or_else(|| loaded.image_locations.get(&name.root()))
        .cloned()
}
