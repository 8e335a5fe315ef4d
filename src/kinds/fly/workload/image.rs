//! Which image a machine runs when the manifest names none: the one that its app runs.

use super::{Workload, WorkloadLive};
use crate::{
    kinds::{Around, Refused, World},
    model::{Image, Name, within},
};

/// The image of the app's first machine, in the order of names, by its digest.
#[must_use]
pub fn app_image(spec: &Workload, around: &Around<'_>) -> Option<Image> {
    running(around.world, spec.app.name())
}

/// The image of an app's first machine that has one, by its digest.
#[must_use]
pub fn running(world: &World, app: &Name) -> Option<Image> {
    within(&world.fly_machine, app)
        .find_map(|(_, machine)| WorkloadLive::running(&machine.workload))
}

/// The same workload with an image, for a creation.
///
/// # Errors
/// When neither the manifest nor a running machine of the app names one.
pub fn with_image(spec: &Workload, around: &Around<'_>) -> Result<Workload, Refused> {
    let mut spec = spec.clone();
    if spec.config.image.is_none() {
        spec.config.image = app_image(&spec, around);
    }
    let app = spec.app.name();
    if spec.config.image.is_some() || spec.config.verbatim.contains_key("containers") {
        return Ok(spec);
    }
    Err(Refused {
        reason: format!("app {app} has no image, and no machine of it runs one"),
        hint: format!("say `image = \"…\"` in [apps.{app}], or pass --image {app}=REFERENCE"),
    })
}
