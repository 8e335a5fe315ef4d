//! Adds the verifications at the end of rollouts.

use super::{Action, differ::Differ, steps::new_step};
use crate::{
    kinds::{KindVisitor, Op, RegisteredKind},
    model::{Address, Name, ResourceMap},
};

/// Adds the verifications. It runs after the differ, when it is known which apps change.
pub(super) struct VerificationPlanner<'w> {
    pub(super) differ: Differ<'w>,
}

impl KindVisitor for VerificationPlanner<'_> {
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &ResourceMap<K::Spec>,
        _: &ResourceMap<K::Live>,
    ) {
        let Differ {
            rolling_out: rolling,
            unverified,
            builder,
            ownership_conflicts: conflicts,
            ..
        } = &mut self.differ;
        let due = |name: &Name| {
            let changes = rolling.contains(name)
                || unverified.contains(name)
                || builder.post_rollout.contains_key(name);
            changes && !conflicts.contains(&Address::new::<K>(name))
        };
        let due: Vec<_> = desired
            .iter()
            .filter(|(name, spec)| K::has_verification(spec) && due(name))
            .collect();
        for (name, spec) in due {
            let (address, op) = (Address::new::<K>(name), Op::Verify(spec.clone()));
            let node = builder.add_step(new_step::<K>(&address, Action::Verify, op, Vec::new()));
            builder.verifications.insert(name.clone(), node);
            if unverified.contains(name) {
                let warning = format!(
                    "the last rollout of {name} was not verified; it is verified again now"
                );
                builder.findings.warnings.push(warning);
            }
        }
    }
}
