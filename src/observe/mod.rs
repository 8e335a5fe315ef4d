//! Reads the live state of all clouds once and matches it to the manifest: what belongs to the
//! environment, who owns it, and which live object is which resource.
//!
//! | file | does | pure |
//! |---|---|---|
//! | `fly/collect.rs`, `aws/collect.rs` | all lists concurrently, complete or an error: cloud → snapshot | no |
//! | `fly/undeclared.rs` | which apps outside the manifest are ours, by their owner label | no |
//! | `fly/assemble.rs`, `aws/assemble.rs` | snapshot → [`World`] | yes |
//! | `fly/slots.rs` | which machine is which slot, so that the fewest machines change | yes |
//! | `fly/app_resources.rs` | the same for volumes, secrets, addresses and certificates | yes |
//! | `ownership.rs` | who owns an app, from its label and its machines' marks | yes |
//! | `aws/sharing.rs` | settings that let others into a bucket, policies that shut this run out | yes |
//! | `aws/orphaned_roles.rs` | what a manifest without an AWS account would leave behind | yes |
//! | `images.rs` | the current digest of each image tag | no |

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
pub use fly::inventory::{AppInventory, take_inventory};
pub use images::{ImageLookupFailure, ResolvedImages, resolve_images};

/// Reads everything that concerns an environment, and matches it to the manifest.
///
/// # Flow
/// First wave: all lists of all apps of the manifest, and the organization's machines, to find apps
/// in which a machine bears our mark but that the manifest does not have. Then, if there are any: their owner labels, and the
/// lists of those that are ours.
///
/// # Errors
/// When a list cannot be read completely: missing resources would look deleted.
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
    // Prefer the error of AWS: that the credentials are for another account matters more than
    // whatever else went wrong.
    let (aws, fly) = (aws?, fly?);
    tracing::info!(requests = readers.fly.request_count(), "has seen it");
    assemble_world(&fly, &aws, desired)
}

/// Assembles the world from snapshots, without any request.
///
/// # Errors
/// When a response cannot be parsed: treating the object as absent could delete it.
pub fn assemble_world(
    fly: &FlySnapshot,
    aws: &AwsSnapshot,
    desired: &Desired,
) -> Result<World, CloudError> {
    let mut world = fly::assemble::assemble(fly, desired)?;
    aws::assemble::assemble(&mut world, aws, desired);
    world
        .findings
        .warnings
        .extend(aws::assemble::credential_override_warnings(fly, desired));
    let waiting = fly::slots::waiting_successor_warnings(&world);
    world.findings.warnings.extend(waiting);
    let conflicts = aws::orphaned_roles::orphaned_role_conflicts(&world, desired);
    world.findings.ownership_conflicts.extend(conflicts);
    Ok(world)
}
