//! Which image a machine runs when the manifest names none: the one that its app runs.

use super::{Workload, WorkloadLive};
use crate::{
    kinds::{Blocker, DiffContext, World},
    model::{Image, Name, resources_in_app},
};

/// The image of the app's first machine, in the order of names, by its digest.
#[must_use]
pub fn default_image(spec: &Workload, around: &DiffContext<'_>) -> Option<Image> {
    running_app_image(around.world, spec.app.name())
}

/// The image of an app's first machine that has one, by its digest.
#[must_use]
pub fn running_app_image(world: &World, app: &Name) -> Option<Image> {
    resources_in_app(&world.fly_machine, app)
        .find_map(|(_, machine)| WorkloadLive::running_image(&machine.workload))
}

/// The same workload with an image, for a creation.
///
/// # Errors
/// When neither the manifest nor a running machine of the app names one.
pub fn with_default_image(spec: &Workload, around: &DiffContext<'_>) -> Result<Workload, Blocker> {
    let mut spec = spec.clone();
    if spec.config.image.is_none() {
        spec.config.image = default_image(&spec, around);
    }
    let app = spec.app.name();
    if spec.config.image.is_some() || spec.config.verbatim.contains_key("containers") {
        return Ok(spec);
    }
    Err(Blocker {
        reason: format!("app {app} has no image, and no machine of it runs one"),
        hint: format!("say `image = \"…\"` in [apps.{app}], or pass --image {app}=REFERENCE"),
    })
}
