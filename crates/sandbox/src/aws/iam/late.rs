//! What IAM has lost and still shows: it is consistent only after a while, and nobody learns when.
//!
//! Only a fault makes that while longer than nothing. What is removed is always remembered, because the fault may come
//! later than the removal.

use std::borrow::Cow;

use super::query::Call;
use super::{Account, Provider, Role};

/// How many removals are remembered.
const PAST_MAX: usize = 64;

/// What an account lost.
#[derive(Clone, Debug)]
pub(super) enum Lost {
    /// A role, with all that was left in it.
    Role(Role),
    /// A policy of the role with this identifier: its name and its text.
    Inline(String, String, String),
    /// A managed policy that was attached to the role with this identifier.
    Attached(String, String),
    /// A provider, by its ARN.
    Provider(String, Provider),
}

/// The last removals, each with its moment, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past(Vec<(i64, Lost)>);

impl Call<'_> {
    /// Remembers a removal.
    pub(super) fn lose(&mut self, lost: Lost) {
        let now = self.world.now;
        let past = &mut self.change().past.0;
        past.push((now, lost));
        if past.len() > PAST_MAX {
            past.remove(0);
        }
    }

    /// The account as a read shows it: with what it lost a moment ago.
    pub(super) fn seen(&self) -> Option<Cow<'_, Account>> {
        let account = self.look()?;
        let since = self.world.now - self.world.aws.lost_ms;
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
                Lost::Role(role) => {
                    seen.roles
                        .entry(role.name.to_lowercase())
                        .or_insert_with(|| role.clone());
                }
                Lost::Provider(arn, old) => {
                    seen.providers
                        .entry(arn.clone())
                        .or_insert_with(|| old.clone());
                }
                Lost::Inline(..) | Lost::Attached(..) => {}
            }
        }
        for lost in recent() {
            let (Lost::Inline(id, ..) | Lost::Attached(id, _)) = lost else {
                continue;
            };
            let Some(role) = seen.roles.values_mut().find(|role| role.id == *id) else {
                continue;
            };
            match lost {
                Lost::Inline(_, name, text) => {
                    role.inline
                        .entry(name.clone())
                        .or_insert_with(|| text.clone());
                }
                Lost::Attached(_, arn) => {
                    role.attached.insert(arn.clone());
                }
                Lost::Role(_) | Lost::Provider(..) => {}
            }
        }
        Some(Cow::Owned(seen))
    }
}
