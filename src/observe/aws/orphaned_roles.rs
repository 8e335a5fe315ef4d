//! Detects what an environment still has on AWS although its manifest no longer names an AWS
//! account. AWS is not read then, so these resources would stay forever, and the roles could still
//! be assumed.

use std::collections::BTreeMap;

use crate::{
    kinds::{
        Desired, OwnershipConflict, World,
        aws::{Role, role},
    },
    model::{Address, Name},
};

/// The environment variable from which AWS SDKs take the role.
const ROLE_ARN_VARIABLE: &str = "AWS_ROLE_ARN";

/// A conflict for each role of this environment that its machines still name.
pub(crate) fn orphaned_role_conflicts(world: &World, desired: &Desired) -> Vec<OwnershipConflict> {
    if desired.meta.aws.is_some() {
        return Vec::new();
    }
    let path = role::role_path(&desired.meta.mark);
    let machines = world
        .fly_machine
        .iter()
        .map(|(name, live)| (name, &live.workload));
    let workloads = machines.chain(
        world
            .fly_cron
            .iter()
            .map(|(name, live)| (name, &live.workload)),
    );
    let role_and_app = workloads.filter_map(|(name, live)| {
        let (_, role) = live
            .config
            .env
            .get(ROLE_ARN_VARIABLE)?
            .split_once(&format!(":role{path}"))?;
        Some((Name::parse(role).ok()?, name.root()))
    });
    let roles: BTreeMap<Name, Name> = role_and_app.collect();
    let to_conflict = |(role, app): (Name, Name)| OwnershipConflict {
        reason: format!(
            "role {role} was made for this environment and app {app} takes it, but the manifest has no [aws]: the role \
             would stay and be forgotten, and so would buckets"
        ),
        hint: "put `[aws]` with its account back; take it out when nothing is left there"
            .to_owned(),
        address: Address::new::<Role>(&role),
        adoptable: false,
        is_own: true,
    };
    roles.into_iter().map(to_conflict).collect()
}
