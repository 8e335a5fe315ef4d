//! The images of a machine: the default one of a machine whose manifest names none, which is what its
//! app is running, and those of its containers.

use serde_json::Value;

use super::{MachineConfig, Workload, WorkloadLive};
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

/// The images that the containers of a machine run.
pub fn container_images(config: &MachineConfig) -> impl Iterator<Item = Image> {
    let containers = config.verbatim.get("containers").and_then(Value::as_array);
    let images = containers.into_iter().flatten();
    images.filter_map(|container| Some(Image::new(container.get("image")?.as_str()?)))
}

/// Replaces the images of the containers; `None` from `replace` keeps one.
pub fn replace_container_images(
    config: &mut MachineConfig,
    replace: impl Fn(&Image) -> Option<Image>,
) {
    let containers = config.verbatim.get_mut("containers");
    for container in containers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(Value::String(text)) = container.get_mut("image")
            && let Some(image) = replace(&Image::new(text.clone()))
        {
            *text = image.to_string();
        }
    }
}

/// Replaces `given`, where a workload names it, by the image that the app runs: in the workload itself and in its containers. A
/// container that runs nowhere yet keeps the given one.
pub fn keep_running_image(spec: &mut Workload, given: &Image, world: &World, app: &Name) {
    if spec.config.image.as_ref() == Some(given) {
        spec.config.image = None;
    }
    let containers = spec.config.verbatim.get_mut("containers");
    let containers = containers.and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let is_given = container.get("image").and_then(Value::as_str) == Some(given.as_str());
        let running = container
            .get("name")
            .and_then(|name| running_container_image(world, app, name));
        if let Some(running) = running.filter(|_| is_given) {
            container["image"] = running.clone();
        }
    }
}

/// The image of a container in the app's first machine by name that has it.
fn running_container_image<'a>(world: &'a World, app: &Name, name: &Value) -> Option<&'a Value> {
    resources_in_app(&world.fly_machine, app).find_map(|(_, machine)| {
        let containers = machine.workload.raw.get("containers")?.as_array()?;
        containers
            .iter()
            .find(|container| container.get("name") == Some(name))?
            .get("image")
    })
}

/// Whether two texts name the same image: by digest where both have one.
pub(super) fn is_same_image(a: &str, b: &str) -> bool {
    let (first, second) = (Image::new(a), Image::new(b));
    match (first.digest(), second.digest()) {
        (Some(a), Some(b)) => a == b && first.repository() == second.repository(),
        _ => a == b,
    }
}
