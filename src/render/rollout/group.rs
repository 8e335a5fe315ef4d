//! The rollout of one process group in phrases: which machines change, how many at once, which are created and which
//! are deleted.

use super::{MAX_LISTED, Phrase, slot_name};
use crate::{
    model::RolloutStrategy,
    plan::GroupRollout,
    render::wording::{format_count, join_limited},
};

/// What a plan does to one process group.
#[derive(Default)]
pub(super) struct GroupChanges<'p> {
    /// How existing machines change, if any does.
    pub(super) rollout: Option<&'p GroupRollout>,
    /// Whether a machine is replaced in place: deleted first, then created.
    pub(super) replaces_in_place: bool,
    /// The slots of new machines. They reduce no capacity, so they take no turns.
    pub(super) created: Vec<String>,
    /// The slots of machines that the manifest no longer declares.
    pub(super) deleted: Vec<String>,
}

impl GroupChanges<'_> {
    /// The number of machines that change in any way.
    pub(super) fn machine_count(&self) -> usize {
        let rollout = self.rollout.map_or(0, |rollout| {
            rollout.members.len() + rollout.successors + rollout.asleep
        });
        rollout + self.created.len() + self.deleted.len()
    }

    /// What happens before the app is verified. Without a verification, that includes removals.
    pub(super) fn phrases(&self, is_verified: bool) -> Vec<Phrase> {
        let mut phrases: Vec<Phrase> = self
            .rollout
            .and_then(|rollout| self.in_place_phrase(rollout))
            .into_iter()
            .collect();
        phrases.extend(self.rollout.and_then(successor_phrase));
        if !self.created.is_empty() {
            let count = u64::try_from(self.created.len()).unwrap_or(u64::MAX);
            phrases.push(Phrase::List(
                format_count(count, "new machine"),
                self.created.clone(),
            ));
        }
        phrases.extend(self.rollout.and_then(asleep_phrase));
        if !is_verified {
            phrases.extend(self.removal_phrases(if phrases.is_empty() { "" } else { "then " }));
        }
        phrases
    }

    /// Machines that restart or are replaced in place.
    fn in_place_phrase(&self, rollout: &GroupRollout) -> Option<Phrase> {
        let slots: Vec<String> = rollout
            .members
            .iter()
            .map(|name| slot_name(name, 2))
            .collect();
        let phrase = match (rollout.policy.strategy, slots.as_slice()) {
            (_, []) => return None,
            (_, [slot]) if self.replaces_in_place => Phrase::Text(format!("{slot} is replaced")),
            (_, [slot]) => Phrase::Text(format!("{slot} restarts")),
            (RolloutStrategy::Canary, [first, other]) => {
                Phrase::Text(format!("{first} first, then {other}"))
            }
            (RolloutStrategy::Canary, [first, others @ ..]) => Phrase::List(
                format!(
                    "{first} first, then {}",
                    concurrency_text(rollout, others.len())
                ),
                others.to_vec(),
            ),
            (_, slots) => Phrase::List(concurrency_text(rollout, slots.len()), slots.to_vec()),
        };
        Some(phrase)
    }

    /// Removals, which come last: superseded machines, and machines that the manifest no longer declares.
    pub(super) fn removal_phrases(&self, prefix: &str) -> Vec<Phrase> {
        let superseded = match self.rollout.map_or(0, |rollout| rollout.successors) {
            0 => None,
            1 => Some(format!("{prefix}the old one goes")),
            count => Some(format!("{prefix}the {count} old ones go")),
        };
        let deleted = (!self.deleted.is_empty()).then(|| {
            let verb = if self.deleted.len() == 1 {
                "goes"
            } else {
                "go"
            };
            format!("{prefix}{} {verb}", join_limited(&self.deleted, MAX_LISTED))
        });
        superseded
            .into_iter()
            .chain(deleted)
            .map(Phrase::Text)
            .collect()
    }
}

/// Successors that start next to the machines they replace.
fn successor_phrase(rollout: &GroupRollout) -> Option<Phrase> {
    let text = match rollout.successors {
        0 => return None,
        1 => "1 new machine beside the old; when it is healthy, it takes over".to_owned(),
        count => {
            format!(
                "{count} new machines beside the old; when all are healthy, they take over at once"
            )
        }
    };
    Some(Phrase::Text(text))
}

/// Sleeping machines, which are updated without a start.
fn asleep_phrase(rollout: &GroupRollout) -> Option<Phrase> {
    // Sleeping machines come after the running ones; only `immediate` has no order.
    let is_after_others =
        !rollout.members.is_empty() && rollout.policy.strategy != RolloutStrategy::Immediate;
    let prefix = if is_after_others { "then " } else { "" };
    let text = format!(
        "{prefix}{} asleep, updated without being started",
        rollout.asleep
    );
    (rollout.asleep > 0).then_some(Phrase::Text(text))
}

/// How many of `count` machines change at the same time; empty for fewer than two.
fn concurrency_text(rollout: &GroupRollout, count: usize) -> String {
    let at_once = match rollout.policy.strategy {
        RolloutStrategy::Immediate => usize::MAX,
        _ => usize::try_from(rollout.policy.at_once).unwrap_or(usize::MAX),
    };
    match at_once {
        _ if count < 2 => String::new(),
        at_once if at_once >= count => format!("all {count} at once"),
        1 => "one at a time".to_owned(),
        at_once => format!("at most {at_once} at once"),
    }
}

/// How many machines restart at the same time, as a label for many machines that a diagram draws as one box. `index` is
/// the turn of the machine. The canary has no label: it always restarts alone.
pub(in crate::render) fn concurrency_label(rollout: &GroupRollout, index: usize) -> String {
    let count = match rollout.policy.strategy {
        RolloutStrategy::Canary if index == 0 => 0,
        RolloutStrategy::Canary => rollout.members.len() - 1,
        _ => rollout.members.len(),
    };
    // Shorten it, because it stands next to a count such as `×30`.
    concurrency_text(rollout, count)
        .trim_start_matches("at most ")
        .replace(&format!("all {count} "), "all ")
}
