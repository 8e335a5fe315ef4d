//! What an environment would ask for without the images of the command line: every app keeps the image that it runs. The id of a
//! reviewed plan is that of this plan, because the image of a release is built after the review.

use crate::{
    kinds::{
        Desired, World,
        fly::workload::{Workload, keep_running_image},
    },
    model::Name,
};

/// Replaces the images of the command line by those that run. The tags of `desired` must not be pinned yet.
pub(super) fn keep_running_images(desired: &mut Desired, world: &World) {
    let given = std::mem::take(&mut desired.meta.given_images);
    let keep = |name: &Name, workload: &mut Workload| {
        let app = name.root();
        if let Some(image) = given.get(&app) {
            keep_running_image(workload, image, world, &app);
        }
    };
    let machines = desired.fly_machine.iter_mut();
    machines.for_each(|(name, spec)| keep(name, &mut spec.workload));
    let crons = desired.fly_cron.iter_mut();
    crons.for_each(|(name, spec)| keep(name, &mut spec.workload));
    let commands = desired.fly_release.iter_mut();
    commands.for_each(|(name, spec)| keep(name, &mut spec.workload));
    desired.meta.given_images = given;
}
