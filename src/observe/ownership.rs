//! Whose an app is: its label and its machines' marks decide.

use super::fly::collect::AppSnapshot;
use crate::{
    kinds::{
        OwnershipConflict,
        fly::{App, app::AppLive, workload::WorkloadLive},
    },
    model::{Address, Name, Ownership, OwnershipMark},
};

/// Whether there is nothing in an app that anybody could miss.
pub(super) fn is_empty(shot: &AppSnapshot) -> bool {
    let AppSnapshot {
        fly_name: _,
        existence: _,
        machines,
        volumes,
        secrets,
        ips,
        certificates,
    } = shot;
    machines.is_empty()
        && volumes.is_empty()
        && secrets.is_empty()
        && ips.is_empty()
        && certificates.is_empty()
}

/// Judges an app by its label, and by its machines' marks.
///
/// An app with our label or a machine of ours is ours. One with nothing in it is ours as well: it is what a run leaves
/// that was killed between making and labelling it, and its name stands in our manifest. Anything else belongs to
/// somebody, and is taken over only when the user says so.
pub(super) fn ownership_conflict(
    key: &Name,
    app: &AppLive,
    machines: &[WorkloadLive],
    bare: bool,
    mark: &OwnershipMark,
) -> Option<OwnershipConflict> {
    let address = Address::new::<App>(key);
    let fly_name = &app.name;
    if bare
        || app.has_owner_label(mark)
        || machines
            .iter()
            .any(|machine| machine.ownership == Ownership::Ours)
    {
        return None;
    }
    let marked = machines
        .iter()
        .find_map(|machine| match &machine.ownership {
            Ownership::Foreign(mark) => Some(format!("{}/{}", mark.project, mark.environment)),
            _ => None,
        });
    let labelled = app
        .labels
        .iter()
        .find_map(|label| label.strip_prefix(OwnershipMark::LABEL_PREFIX));
    match marked.or_else(|| labelled.map(|label| label.replace("__", "/"))) {
        Some(other) => Some(OwnershipConflict {
            reason: format!("app {fly_name} belongs to another environment: {other}"),
            hint: "give this app another name, or destroy it there first".to_owned(),
            address,
            adoptable: false,
        }),
        None => Some(OwnershipConflict {
            reason: format!(
                "app {fly_name} exists, and nothing in it bears our mark: somebody else made it"
            ),
            hint: format!("take it over with --adopt {address}, or give this app another name"),
            address,
            adoptable: true,
        }),
    }
}

/// The claim on a name that another organization holds.
pub(super) fn name_taken_conflict(key: &Name, fly_name: &str) -> OwnershipConflict {
    OwnershipConflict {
        address: Address::new::<App>(key),
        reason: format!("the name {fly_name} is taken, and this token cannot see the app"),
        hint:
            "app names are unique over all of Fly: choose another, or use a token that can see it"
                .to_owned(),
        adoptable: false,
    }
}
