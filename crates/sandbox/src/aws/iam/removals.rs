//! Eventual consistency of IAM: reads can still show what was just removed.
//!
//! Only a fault makes that delay longer than zero. Removals are always recorded, because the fault can
//! be set after the removal.

use std::borrow::Cow;

use super::query::QueryCall;
use super::{AccountState, IamRole, OidcProvider};

/// How many removals are kept per account.
const REMOVALS_MAX: usize = 64;

/// Something that was removed from an account.
#[derive(Clone, Debug)]
pub(super) enum Removal {
    /// A role with everything it contained.
    Role(IamRole),
    /// An inline policy of a role.
    InlinePolicy {
        role_id: String,
        name: String,
        document: String,
    },
    /// A managed policy that was detached from a role.
    AttachedPolicy { role_id: String, arn: String },
    /// An OIDC provider.
    Provider { arn: String, provider: OidcProvider },
}

/// The most recent removals with their time in milliseconds, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovalHistory(Vec<(i64, Removal)>);

impl QueryCall<'_> {
    /// Records a removal.
    pub(super) fn record_removal(&mut self, removal: Removal) {
        let now = self.world.now_ms;
        let removals = &mut self.account_state_mut().removals.0;
        removals.push((now, removal));
        if removals.len() > REMOVALS_MAX {
            removals.remove(0);
        }
    }

    /// The account as reads show it: with what was removed within the delay that a fault sets.
    pub(super) fn visible_account(&self) -> Option<Cow<'_, AccountState>> {
        let account = self.account_state()?;
        let since = self.world.now_ms - self.world.aws.removal_lag_ms;
        let recent = || {
            account
                .removals
                .0
                .iter()
                .rev()
                .filter(|(removed_ms, _)| *removed_ms > since)
                .map(|(_, removal)| removal)
        };
        if recent().next().is_none() {
            return Some(Cow::Borrowed(account));
        }
        let mut visible = account.clone();
        // Roles come back first, so that the policies removed from them have a place to go. What was
        // created again since the removal is newer and stays.
        recent().for_each(|removal| restore_entity(&mut visible, removal));
        recent().for_each(|removal| restore_role_policy(&mut visible, removal));
        Some(Cow::Owned(visible))
    }
}

fn restore_entity(account: &mut AccountState, removal: &Removal) {
    match removal {
        Removal::Role(role) => {
            let key = role.name.to_lowercase();
            account.roles.entry(key).or_insert_with(|| role.clone());
        }
        Removal::Provider { arn, provider } => {
            let entry = account.providers.entry(arn.clone());
            entry.or_insert_with(|| provider.clone());
        }
        Removal::InlinePolicy { .. } | Removal::AttachedPolicy { .. } => {}
    }
}

fn restore_role_policy(account: &mut AccountState, removal: &Removal) {
    let (Removal::InlinePolicy { role_id, .. } | Removal::AttachedPolicy { role_id, .. }) = removal
    else {
        return;
    };
    // By id: a role that was created again with the same name does not get the old policies.
    let mut roles = account.roles.values_mut();
    let Some(role) = roles.find(|role| role.id == *role_id) else {
        return;
    };
    match removal {
        Removal::InlinePolicy { name, document, .. } => {
            let entry = role.inline.entry(name.clone());
            entry.or_insert_with(|| document.clone());
        }
        Removal::AttachedPolicy { arn, .. } => {
            role.attached.insert(arn.clone());
        }
        Removal::Role(_) | Removal::Provider { .. } => {}
    }
}
