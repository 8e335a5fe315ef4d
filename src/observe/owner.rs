//! Whose an app is. Apps carry no labels, so their machines' marks decide.

use crate::{
    kinds::{
        Claim,
        fly::{App, workload::WorkloadLive},
    },
    model::{Address, Mark, Name, Ownership},
};

/// Judges an app by its machines.
///
/// An app with a machine of ours is ours. One without machines is ours as well: it is what a run that was killed early
/// leaves, its name was in our manifest, and there is nothing in it that runs. Anything else belongs to somebody, and
/// is taken over only when the user says so.
pub(super) fn claim(key: &Name, fly_name: &str, machines: &[WorkloadLive], adopted: bool) -> Option<Claim> {
    let address = Address::of::<App>(key);
    if machines.is_empty() || machines.iter().any(|machine| machine.ownership == Ownership::Ours) {
        return None;
    }
    let foreign = machines.iter().find_map(|machine| match &machine.ownership {
        Ownership::Foreign(mark) => Some(mark),
        _ => None,
    });
    match foreign {
        Some(Mark { project, environment }) => Some(Claim {
            reason: format!(
                "app {fly_name} belongs to the environment `{environment}` of the project `{project}`"
            ),
            hint: "give this app another name, or destroy it there first".to_owned(),
            address,
            adoptable: false,
        }),
        None if adopted => None,
        None => Some(Claim {
            reason: format!(
                "app {fly_name} exists, and none of its {} machines bears a mark: somebody else made it",
                machines.len()
            ),
            hint: format!("take it over with --adopt {address}, or give this app another name"),
            address,
            adoptable: true,
        }),
    }
}

/// The claim on a name that another organization holds.
pub(super) fn taken(key: &Name, fly_name: &str) -> Claim {
    Claim {
        address: Address::of::<App>(key),
        reason: format!("the name {fly_name} is taken, and this token cannot see the app"),
        hint: "app names are unique over all of Fly: choose another, or use a token that can see it"
            .to_owned(),
        adoptable: false,
    }
}
