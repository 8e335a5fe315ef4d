//! The effects of a kind: the calls that carry its operations to its cloud.

use super::{Kind, Listed, Op, Settled, World};
use crate::{
    clouds::{CloudError, Clouds},
    model::Name,
};

/// The calls of a kind. Every kind has the first three; the others are for what is rolled out.
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

    /// Makes one beside the one that is there, and returns once it could take over.
    fn succeed(
        clouds: &Clouds,
        name: &Name,
        spec: &Self::Spec,
        old: &Self::Live,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send {
        let _ = old;
        Self::create(clouds, name, spec, world)
    }

    /// Lets successors take over from the old ones, whose names and records are given, those among them that have no
    /// successor and are to go. When it fails, one version serves all the same.
    fn hand_over(
        clouds: &Clouds,
        old: &[(Name, Self::Live)],
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send {
        let _ = (clouds, old, world);
        async { Ok(()) }
    }

    /// Proves that it works.
    fn prove(
        clouds: &Clouds,
        name: &Name,
        spec: &Self::Spec,
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send {
        let _ = (clouds, name, spec, world);
        async { Ok(()) }
    }
}

/// Runs one operation of one kind.
pub(super) async fn run<K: Drive + Listed>(
    op: &Op<K>,
    name: &Name,
    clouds: &Clouds,
    world: &World,
) -> Result<Settled, CloudError> {
    let there = |live| K::settled(Some(live));
    match op {
        Op::Create(spec) => K::create(clouds, name, spec, world).await.map(there),
        Op::Succeed(spec, old) => K::succeed(clouds, name, spec, old, world).await.map(there),
        Op::Edit(live, edits) => {
            let mut live = live.clone();
            for edit in edits {
                live = K::edit(clouds, &live, edit, world).await?;
            }
            Ok(there(live))
        }
        Op::Delete(live) => K::delete(clouds, live, world)
            .await
            .map(|()| K::settled(None)),
        Op::Retire(live) => K::delete(clouds, live, world)
            .await
            .map(|()| Settled::AsBefore),
        Op::HandOver(old) => K::hand_over(clouds, old, world)
            .await
            .map(|()| Settled::AsBefore),
        Op::Prove(spec) => K::prove(clouds, name, spec, world)
            .await
            .map(|()| Settled::AsBefore),
    }
}
