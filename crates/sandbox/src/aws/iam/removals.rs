//! What IAM has lost and still shows: it is consistent only after a while, and nobody learns when.
//!
//! Only a fault makes that while longer than nothing. What is removed is always remembered, because the fault may come
//! later than the removal.

use std::borrow::Cow;

use super::query::QueryCall;
use super::{AccountState, IamRole, OidcProvider};

/// How many removals are remembered.
const REMOVALS_MAX: usize = 64;

/// What an account lost.
#[derive(Clone, Debug)]
pub(super) enum Removal {
    /// A role, with all that was left in it.
    Role(IamRole),
    /// A policy of the role with this identifier: its name and its text.
    InlinePolicy(String, String, String),
    /// A managed policy that was attached to the role with this identifier.
    AttachedPolicy(String, String),
    /// A provider, by its ARN.
    Provider(String, OidcProvider),
}

/// The last removals, each with its moment, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovalHistory(Vec<(i64, Removal)>);

impl QueryCall<'_> {
    /// Remembers a removal.
    pub(super) fn record_removal(&mut self, lost: Removal) {
        let now = self.world.now_ms;
        let past = &mut self.account_state_mut().past.0;
        past.push((now, lost));
        if past.len() > REMOVALS_MAX {
            past.remove(0);
        }
    }

    /// The account as a read shows it: with what it lost a moment ago.
    pub(super) fn visible_account(&self) -> Option<Cow<'_, AccountState>> {
        let account = self.account_state()?;
        let since = self.world.now_ms - self.world.aws.removal_lag_ms;
        let recent = || {
            account
                .past
                .0
                .iter()
                .rev()
                .filter(|(moment, _)| *moment > since)
                .map(|(_, lost)| lost)
        };
        if recent().next().is_none() {
            return Some(Cow::Borrowed(account));
        }
        let mut seen = account.clone();
        // Roles first, so that their policies find them. What was made anew since then is not covered by the old.
        for lost in recent() {
            match lost {
                Removal::Role(role) => {
                    seen.roles
                        .entry(role.name.to_lowercase())
                        .or_insert_with(|| role.clone());
                }
                Removal::Provider(arn, old) => {
                    seen.providers
                        .entry(arn.clone())
                        .or_insert_with(|| old.clone());
                }
                Removal::InlinePolicy(..) | Removal::AttachedPolicy(..) => {}
            }
        }
        for lost in recent() {
            let (Removal::InlinePolicy(id, ..) | Removal::AttachedPolicy(id, _)) = lost else {
                continue;
            };
            let Some(role) = seen.roles.values_mut().find(|role| role.id == *id) else {
                continue;
            };
            match lost {
                Removal::InlinePolicy(_, name, text) => {
                    role.inline
                        .entry(name.clone())
                        .or_insert_with(|| text.clone());
                }
                Removal::AttachedPolicy(_, arn) => {
                    role.attached.insert(arn.clone());
                }
                Removal::Role(_) | Removal::Provider(..) => {}
            }
        }
        Some(Cow::Owned(seen))
    }
}
