//! The clouds as they are, read once: what belongs to an environment, whose it is, and which live object is which of
//! the manifest's resources.
//!
//! ```text
//! collect.rs   every list at once; complete, or an error        clouds  →  Snapshot
//! owner.rs     whose an app is, from its machines' marks                            (pure)
//! slots.rs     which machine is which slot, so that the least changes               (pure)
//! assemble.rs  everything together                              Snapshot →  World    (pure)
//! images.rs    which image each tag means now, at the same time  registries → Images
//! ```

use crate::{
    clouds::{CloudError, fly::Reader},
    kinds::{Desired, World},
};

mod assemble;
mod collect;
mod images;
mod inside;
mod owner;
mod slots;

pub use collect::{AppShot, Existence, Snapshot};
pub use images::{Images, NoImage, images};

/// Reads everything that concerns an environment.
///
/// # Flow
/// All lists of all apps of the manifest at once, and the organization's machines for apps that bear our mark and have
/// left the manifest; those, if any, in a second wave.
///
/// # Errors
/// Any list that cannot be read to its end: an unfinished look would read as "the rest is gone".
pub async fn observe(reader: &Reader, desired: &Desired) -> Result<World, CloudError> {
    tracing::info!(apps = desired.fly_app.len(), org = desired.meta.org, "looks at the world");
    let snapshot = collect::collect(reader, desired).await?;
    tracing::info!(requests = reader.sent(), "has seen it");
    assemble::assemble(&snapshot, desired)
}
