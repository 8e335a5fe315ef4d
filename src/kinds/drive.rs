//! The effects of a kind: the calls that carry its operations to its cloud.

use super::{Kind, Op, RegisteredKind, StepResult, World};
use crate::{clouds::CloudError, kinds::CloudWriters, model::Name};

/// The calls that every kind has.
///
/// # Guarantees
/// Each call is safe to repeat: a creation first looks for an object that an earlier attempt without an answer may have
/// made, and an edit that is already in effect changes nothing. When the process is killed, the next plan finds what
/// is left to do.
pub trait Drive: Kind {
    /// Creates the resource, and returns when it is usable.
    fn create(
        clouds: &CloudWriters,
        name: &Name,
        spec: &Self::Spec,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send;

    /// Makes one change in place, and returns the object as it then is.
    fn edit(
        clouds: &CloudWriters,
        live: &Self::Live,
        edit: &Self::Edit,
        world: &World,
    ) -> impl Future<Output = Result<Self::Live, CloudError>> + Send;

    /// Deletes the resource. An object that does not exist any more is no error.
    fn delete(
        clouds: &CloudWriters,
        live: &Self::Live,
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// The calls of kinds that are rolled out: blue-green successors, and verification.
pub trait DriveRollout: Drive {
    /// Creates a resource beside its predecessor, and returns when it is ready to take over.
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

    /// Switches traffic from the old objects to their successors. `old` also holds objects without a successor that the
    /// plan deletes, so that the old version stops serving everywhere. After a failure only one version serves.
    fn hand_over(
        clouds: &CloudWriters,
        old: &[(Name, Self::Live)],
        world: &World,
    ) -> impl Future<Output = Result<(), CloudError>> + Send {
        let _ = (clouds, old, world);
        async { Ok(()) }
    }

    /// Verifies that the resource works.
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
pub(super) async fn run_op<K: RegisteredKind>(
    op: &Op<K>,
    name: &Name,
    clouds: &CloudWriters,
    world: &World,
) -> Result<StepResult, CloudError> {
    let result = |live| K::into_step_result(Some(live));
    match op {
        Op::Create(spec) => K::create(clouds, name, spec, world).await.map(result),
        Op::CreateSuccessor(spec, old) => K::create_successor(clouds, name, spec, old, world)
            .await
            .map(result),
        Op::Edit(live, edits) => {
            let mut live = live.clone();
            for edit in edits {
                live = K::edit(clouds, &live, edit, world).await?;
            }
            Ok(result(live))
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
