//! Which image a machine runs when the manifest names none: the one that its app runs.

use std::ops::Bound;

use super::{Workload, WorkloadLive};
use crate::{
    kinds::{Around, Refused},
    model::Image,
};

/// The image of the app's first machine, in the order of names, by its digest.
#[must_use]
pub fn app_image(spec: &Workload, around: &Around<'_>) -> Option<Image> {
    let inside = spec.app.name().inside();
    let from = around.world.fly_machine.range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded));
    let mut machines =
        from.take_while(|(name, _)| name.as_str().starts_with(&inside)).map(|(_, machine)| &machine.workload);
    machines.find_map(WorkloadLive::running)
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
