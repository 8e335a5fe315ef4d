//! The mark of a rollback that is under way. Without it, a rollback that is killed after its last change looks complete, and the
//! same command would go back one release more.
//!
//! It is metadata of one machine of the app: written before the first change, and removed after what runs was shown. When another
//! release has begun since, it counts for nothing, so a mark that is left behind does no harm.

use std::collections::BTreeMap;

use super::{OperationError, Workspace};
use crate::{
    kinds::World,
    model::{Name, OwnershipMark, resources_in_app},
    plan::{PreviousState, PreviousStates},
};

/// The marks on the machines of an app.
pub(super) fn find<'w>(world: &'w World, app: &Name) -> impl Iterator<Item = &'w str> {
    let machines = resources_in_app(&world.fly_machine, app).map(|(_, live)| &live.workload);
    let crons = resources_in_app(&world.fly_cron, app).map(|(_, live)| &live.workload);
    let marks = machines
        .chain(crons)
        .filter_map(|live| live.metadata.get(OwnershipMark::ROLLBACK_KEY));
    marks.map(String::as_str)
}

/// Chooses the machine of an app that bears the mark: one that is there before the rollback and after it.
pub(super) fn choose_machine(states: &mut PreviousStates, world: &World, app: &Name, mark: String) {
    for (name, state) in states
        .machines
        .iter_mut()
        .filter(|(name, _)| name.root() == *app)
    {
        let id = match state {
            PreviousState::OtherMachine(id) => id.clone(),
            PreviousState::Config(config) => {
                let Some(live) = world.fly_machine.get(name) else {
                    continue;
                };
                *config = config.clone().with_rollback_mark(mark.clone());
                live.workload.id.clone()
            }
            PreviousState::Absent | PreviousState::Uncordoned => continue,
        };
        states.marks.insert(app.clone(), (id, mark));
        return;
    }
    for (name, config) in states
        .crons
        .iter_mut()
        .filter(|(name, _)| name.root() == *app)
    {
        if let Some(live) = world.fly_cron.get(name) {
            *config = config.clone().with_rollback_mark(mark.clone());
            states
                .marks
                .insert(app.clone(), (live.workload.id.clone(), mark));
            return;
        }
    }
}

/// Writes the marks.
///
/// # Errors
/// When a request fails.
pub(super) async fn write(
    workspace: &Workspace,
    world: &World,
    states: &PreviousStates,
) -> Result<(), OperationError> {
    for (app, (id, mark)) in &states.marks {
        set(workspace, world, app, id, mark).await?;
    }
    Ok(())
}

/// Removes the marks, also those that an earlier rollback has left on other machines.
///
/// # Errors
/// When a request fails.
pub(super) async fn remove(
    workspace: &Workspace,
    world: &World,
    states: &PreviousStates,
) -> Result<(), OperationError> {
    for app in states.marks.keys() {
        let machines = resources_in_app(&world.fly_machine, app).map(|(_, live)| &live.workload);
        let crons = resources_in_app(&world.fly_cron, app).map(|(_, live)| &live.workload);
        let marked = machines
            .chain(crons)
            .filter(|live| live.metadata.contains_key(OwnershipMark::ROLLBACK_KEY));
        for live in marked {
            set(workspace, world, app, &live.id, "").await?;
        }
    }
    Ok(())
}

/// Sets the mark of a machine; an empty one removes it.
async fn set(
    workspace: &Workspace,
    world: &World,
    app: &Name,
    id: &str,
    mark: &str,
) -> Result<(), OperationError> {
    let Some(live) = world.fly_app.get(app) else {
        return Ok(());
    };
    let metadata = BTreeMap::from([(OwnershipMark::ROLLBACK_KEY.to_owned(), mark.to_owned())]);
    let fly = workspace.writers("rollback").fly;
    match fly.set_metadata(&live.name, id, &metadata).await {
        // Destroyed by hand meanwhile: the rollback itself finds out.
        Err(error) if error.is_not_found() => Ok(()),
        result => Ok(result?),
    }
}
