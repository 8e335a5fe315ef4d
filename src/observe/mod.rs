//! The clouds as they are, read once: what belongs to an environment, whose it is, and which live object is which of
//! the manifest's resources.
//!
//! ```text
//! collect.rs   every list at once; complete, or an error        clouds  →  Snapshot
//! aws.rs       the same of AWS, at the same time                clouds  →  AwsShot
//! owner.rs     whose an app is, from its machines' marks                            (pure)
//! slots.rs     which machine is which slot, so that the least changes               (pure)
//! assemble.rs  everything together                              Snapshot →  World    (pure)
//! aws_world.rs what is there of AWS, and whose it is            AwsShot →  World    (pure)
//! left_behind.rs  what a manifest without an account leaves there    World → claims   (pure)
//! images.rs    which image each tag means now, at the same time  registries → Images
//! ```

use crate::{
    clouds::{CloudError, CloudReaders},
    kinds::{Desired, World},
};

mod aws;
mod fly;
mod images;
mod ownership;

pub use aws::collect::{AwsSnapshot, BucketSnapshot};
pub use fly::collect::{AppExistence, AppSnapshot, FlySnapshot};
pub use images::{ImageLookupFailure, ResolvedImages, resolve_images};

/// Reads everything that concerns an environment.
///
/// # Flow
/// All lists of all apps of the manifest at once, and the organization's machines for apps that bear our mark and have
/// left the manifest; those, if any, in a second wave.
///
/// # Errors
/// Any list that cannot be read to its end: an unfinished look would read as "the rest is gone".
pub async fn observe(readers: &CloudReaders, desired: &Desired) -> Result<World, CloudError> {
    tracing::info!(
        apps = desired.fly_app.len(),
        org = desired.meta.org,
        "looks at the world"
    );
    let (fly, aws) = tokio::join!(
        fly::collect::collect(&readers.fly, desired),
        aws::collect::collect(readers, desired)
    );
    // An answer that the account is another one matters more than whatever else went wrong.
    let (aws, fly) = (aws?, fly?);
    tracing::info!(requests = readers.fly.request_count(), "has seen it");
    assemble_world(&fly, &aws, desired)
}

/// What was read, put together: which live object is which resource, and whose it is. It sends nothing.
///
/// # Errors
/// When an answer cannot be understood: taking it for "absent" could remove what is there.
pub fn assemble_world(
    fly: &FlySnapshot,
    aws: &AwsSnapshot,
    desired: &Desired,
) -> Result<World, CloudError> {
    let mut world = fly::assemble::assemble(fly, desired)?;
    aws::assemble::assemble(&mut world, aws, desired)?;
    world
        .findings
        .warnings
        .extend(aws::assemble::credential_override_warnings(fly, desired));
    let left = aws::orphaned_roles::orphaned_role_conflicts(&world, desired);
    world.findings.ownership_conflicts.extend(left);
    Ok(world)
}
