//! The default image of a machine whose manifest names none: the image that its app is running.

use super::{Workload, WorkloadLive};
use crate::{
    kinds::{Blocker, DiffContext, World},
    model::{Image, Name, resources_in_app},
};

/// The image of the app's first machine by name, pinned to its digest.
#[must_use]
pub fn default_image(spec: &Workload, context: &DiffContext<'_>) -> Option<Image> {
    running_app_image(context.world, spec.app.name())
}

/// The image of the app's first machine by name that has one, pinned to its digest.
#[must_use]
pub fn running_app_image(world: &World, app: &Name) -> Option<Image> {
    resources_in_app(&world.fly_machine, app)
        .find_map(|(_, machine)| WorkloadLive::running_image(&machine.workload))
}

/// The same workload with an image, which a create needs.
///
/// # Errors
/// When neither the manifest nor a machine of the app has an image.
pub fn with_default_image(spec: &Workload, context: &DiffContext<'_>) -> Result<Workload, Blocker> {
    let mut spec = spec.clone();
    if spec.config.image.is_none() {
        spec.config.image = default_image(&spec, context);
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
