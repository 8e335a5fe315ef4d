//! Determines the owner of an app from its label and its machines' ownership marks.

use super::fly::collect::AppSnapshot;
use crate::{
    kinds::{
        OwnershipConflict,
        fly::{App, app::AppLive, workload::WorkloadLive},
    },
    model::{Address, Name, Ownership, OwnershipMark},
};

/// Whether an app contains nothing at all.
pub(super) fn is_empty(snapshot: &AppSnapshot) -> bool {
    let AppSnapshot {
        fly_name: _,
        existence: _,
        machines,
        destroyed_machines: _,
        volumes,
        secrets,
        ips,
        certificates,
    } = snapshot;
    machines.is_empty()
        && volumes.is_empty()
        && secrets.is_empty()
        && ips.is_empty()
        && certificates.is_empty()
}

/// The conflict of an app that this environment does not own; `None` if it owns it.
///
/// An app with our label or one of our machines is ours, unless only another owner has labelled it, or every machine in it
/// bears the mark of another. So is an empty app: a run that was killed between creating and labelling an app leaves one
/// behind, and the manifest has its name. Any other app belongs to somebody else, and is only adopted if the user says so.
pub(super) fn ownership_conflict(
    key: &Name,
    app: &AppLive,
    machines: &[WorkloadLive],
    is_empty_app: bool,
    mark: &OwnershipMark,
) -> Option<OwnershipConflict> {
    let address = Address::new::<App>(key);
    let fly_name = &app.name;
    let foreign_mark = |machine: &WorkloadLive| match &machine.ownership {
        Ownership::Foreign(mark) => Some(format!("{}/{}", mark.project, mark.environment)),
        Ownership::Ours | Ownership::Unmarked => None,
    };
    let is_all_foreign = !machines.is_empty()
        && machines
            .iter()
            .all(|machine| foreign_mark(machine).is_some());
    let has_own_machine = machines
        .iter()
        .any(|machine| machine.ownership == Ownership::Ours);
    let owner_by_label = app
        .labels
        .iter()
        .find_map(|label| label.strip_prefix(OwnershipMark::LABEL_PREFIX));
    let is_ours = match app.has_owner_label(mark) {
        true => !is_all_foreign,
        false => has_own_machine && owner_by_label.is_none(),
    };
    if is_empty_app || is_ours {
        return None;
    }
    let owner_by_mark = machines.iter().find_map(foreign_mark);
    match owner_by_mark.or_else(|| owner_by_label.map(|label| label.replace("__", "/"))) {
        Some(owner) => Some(OwnershipConflict {
            reason: format!("app {fly_name} belongs to another environment: {owner}"),
            hint: "give this app another name, or destroy it there first".to_owned(),
            address,
            adoptable: false,
            is_own: false,
        }),
        None => Some(OwnershipConflict {
            reason: format!(
                "app {fly_name} exists, and nothing in it bears our mark: somebody else made it"
            ),
            hint: format!("take it over with --adopt {address}, or give this app another name"),
            address,
            adoptable: true,
            is_own: false,
        }),
    }
}

/// The conflict of an app name that another organization has.
pub(super) fn name_taken_conflict(key: &Name, fly_name: &str) -> OwnershipConflict {
    OwnershipConflict {
        address: Address::new::<App>(key),
        reason: format!("the name {fly_name} is taken, and this token cannot see the app"),
        hint:
            "app names are unique over all of Fly: choose another, or use a token that can see it"
                .to_owned(),
        adoptable: false,
        is_own: false,
    }
}
