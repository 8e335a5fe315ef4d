//! What a review can see of an environment. A plan is reviewed in a pull request, before its image is built, and in a job without
//! the values of secrets. So the id of a plan is that of the plan with the images that run and without those values.

use crate::{
    kinds::{
        Desired, World,
        fly::{
            secrets::SecretsSpec,
            workload::{Workload, keep_running_image},
        },
    },
    model::Name,
};

/// What is asked for, as far as a review can see it. The tags of images must not be pinned yet.
pub(super) fn reviewable_part(desired: &Desired, world: &World) -> Desired {
    let mut part = desired.clone();
    keep_running_images(&mut part, world);
    part.fly_secrets
        .values_mut()
        .for_each(SecretsSpec::forget_values);
    part
}

/// Replaces the images of the command line by those that run.
fn keep_running_images(part: &mut Desired, world: &World) {
    let given = std::mem::take(&mut part.meta.given_images);
    let keep = |name: &Name, workload: &mut Workload| {
        let app = name.root();
        if let Some(image) = given.get(&app) {
            keep_running_image(workload, image, world, &app);
        }
    };
    let machines = part.fly_machine.iter_mut();
    machines.for_each(|(name, spec)| keep(name, &mut spec.workload));
    let crons = part.fly_cron.iter_mut();
    crons.for_each(|(name, spec)| keep(name, &mut spec.workload));
    let commands = part.fly_release.iter_mut();
    commands.for_each(|(name, spec)| keep(name, &mut spec.workload));
}
