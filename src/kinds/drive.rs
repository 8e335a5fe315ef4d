//! The effects of a kind: the calls that carry its operations to its cloud.

use super::{Kind, Op, World};
use crate::{
    clouds::{CloudError, Clouds},
    model::Name,
};

/// The three calls of a kind.
///
/// # Guarantees
/// Each is safe to repeat: a creation first looks for what an earlier, unanswered attempt may have made, and an edit
/// that was already done changes nothing. A process killed at any point loses nothing; the next plan tells the rest.
pub trait Drive: Kind {
    /// Makes it, and returns once it is usable.
    fn create(
        clouds: &Clouds,
        name: &Name,
        spec: &Self::Spec,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send;

    /// Makes one change in place.
    fn edit(
        clouds: &Clouds,
        live: &Self::Live,
        edit: &Self::Edit,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send;

    /// Removes it; it is no error when it is gone already.
    fn delete(
        clouds: &Clouds,
        live: &Self::Live,
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// Runs one operation of one kind.
pub(super) async fn run<K: Drive>(
    op: &Op<K>,
    name: &Name,
    clouds: &Clouds,
    world: &World,
) -> Result<Option<K::Live>, CloudError> {
    match op {
        Op::Create(spec) => K::create(clouds, name, spec, world).await.map(Some),
        Op::Edit(live, edits) => {
            let mut live = live.clone();
            for edit in edits {
                live = K::edit(clouds, &live, edit, world).await?;
            }
            Ok(Some(live))
        }
        Op::Delete(live) => K::delete(clouds, live, world).await.map(|()| None),
    }
}
