//! The order in which roles that trust each other are created. IAM accepts no principal that does not
//! exist, so a role comes after those that its trust policy names. Where they name each other, or a role
//! names itself, the trust policy is written after the creation.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    kinds::aws::{
        Role,
        role::{RoleSpec, Trust},
    },
    model::{Address, Name, ResourceMap},
};

/// The roles that the trust policy of each role names.
type Mentions = BTreeMap<Name, BTreeSet<Name>>;

/// Records for every role which roles come before it, and whether its trust policy is written later.
pub(super) fn order_trust(roles: &mut ResourceMap<RoleSpec>) {
    let by_arn: BTreeMap<String, Name> = roles
        .iter()
        .map(|(name, spec)| (spec.arn(), name.clone()))
        .collect();
    let mentions: Mentions = roles
        .iter()
        .map(|(name, spec)| {
            let principals = match &spec.trust {
                Trust::Document(policy) => policy.aws_principals(),
                Trust::Fly { .. } => BTreeSet::new(),
            };
            let mentioned = principals.into_iter().filter_map(|arn| by_arn.get(arn));
            (name.clone(), mentioned.cloned().collect())
        })
        .collect();
    for (name, spec) in roles.iter_mut() {
        let mentioned = mentions.get(name).into_iter().flatten();
        let (mutual, earlier): (Vec<&Name>, Vec<&Name>) =
            mentioned.partition(|other| reaches(&mentions, other, name));
        spec.trusts_later = !mutual.is_empty();
        spec.trusted_roles = earlier.into_iter().map(Address::new::<Role>).collect();
    }
}

/// Whether `from` is `to`, or names it through any number of trust policies.
fn reaches(mentions: &Mentions, from: &Name, to: &Name) -> bool {
    let (mut pending, mut seen) = (vec![from], BTreeSet::new());
    while let Some(name) = pending.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            pending.extend(mentions.get(name).into_iter().flatten());
        }
    }
    false
}
