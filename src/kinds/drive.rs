//! The effects of a kind: the calls that carry its operations to its cloud.

use super::{Kind, Op, RegisteredKind, StepResult, World};
use crate::{clouds::CloudError, kinds::CloudWriters, model::Name};

/// The calls of a kind. Every kind has the first three; the others are for what is rolled out.
///
/// # Guarantees
/// Each is safe to repeat: a creation first looks for what an earlier, unanswered attempt may have made, and an edit
/// that was already done changes nothing. A process killed at any point loses nothing; the next plan tells the rest.
pub trait Drive: Kind {
    /// Makes it, and returns once it is usable.
    fn create(
        clouds: &CloudWriters,
        name: &Name,
        spec: &Self::Spec,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send;

    /// Makes one change in place.
    fn edit(
        clouds: &CloudWriters,
        live: &Self::Live,
        edit: &Self::Edit,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send;

    /// Removes it; it is no error when it is gone already.
    fn delete(
        clouds: &CloudWriters,
        live: &Self::Live,
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Makes one beside the one that is there, and returns once it could take over.
    fn create_successor(
        clouds: &CloudWriters,
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
        clouds: &CloudWriters,
        old: &[(Name, Self::Live)],
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send {
        let _ = (clouds, old, world);
        async { Ok(()) }
    }

    /// Proves that it works.
    fn verify(
        clouds: &CloudWriters,
        name: &Name,
        spec: &Self::Spec,
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send {
        let _ = (clouds, name, spec, world);
        async { Ok(()) }
    }
}

/// Runs one operation of one kind.
pub(super) async fn run_op<K: Drive + RegisteredKind>(
    op: &Op<K>,
    name: &Name,
    clouds: &CloudWriters,
    world: &World,
) -> Result<StepResult, CloudError> {
    let there = |live| K::into_step_result(Some(live));
    match op {
        Op::Create(spec) => K::create(clouds, name, spec, world).await.map(there),
        Op::CreateSuccessor(spec, old) => K::create_successor(clouds, name, spec, old, world)
            .await
            .map(there),
        Op::Edit(live, edits) => {
            let mut live = live.clone();
            for edit in edits {
                live = K::edit(clouds, &live, edit, world).await?;
            }
            Ok(there(live))
        }
        Op::Delete(live) => K::delete(clouds, live, world)
            .await
            .map(|()| K::into_step_result(None)),
        Op::Retire(live) => K::delete(clouds, live, world)
            .await
            .map(|()| StepResult::Unchanged),
        Op::HandOver(old) => K::hand_over(clouds, old, world)
            .await
            .map(|()| StepResult::Unchanged),
        Op::Verify(spec) => K::verify(clouds, name, spec, world)
            .await
            .map(|()| StepResult::Unchanged),
    }
}
