//! One process group in words: how its machines take turns, which come new, and which go.

use super::{MAX_LISTED, Phrase, slot_name};
use crate::{
    model::RolloutStrategy,
    plan::GroupRollout,
    render::wording::{format_count, join_limited},
};

/// One process group.
#[derive(Default)]
pub(super) struct GroupProgress<'p> {
    /// How the machines that are there change, when any does.
    pub(super) rollout: Option<&'p GroupRollout>,
    /// Whether any of them is replaced where it is.
    pub(super) replaces_in_place: bool,
    /// New machines, which take nothing from what serves.
    pub(super) created: Vec<String>,
    /// Machines that the manifest no longer asks for.
    pub(super) deleted: Vec<String>,
}

impl GroupProgress<'_> {
    /// How many machines it is about.
    pub(super) fn machine_count(&self) -> usize {
        let told = self
            .rollout
            .map_or(0, |told| told.members.len() + told.successors + told.asleep);
        told + self.created.len() + self.deleted.len()
    }

    /// What happens before the app is proven, or all of it when nothing proves it.
    pub(super) fn phrases(&self, proven: bool) -> Vec<Phrase> {
        let mut says: Vec<Phrase> = self
            .rollout
            .and_then(|told| self.in_place_phrase(told))
            .into_iter()
            .collect();
        says.extend(self.rollout.and_then(successor_phrase));
        if !self.created.is_empty() {
            let number = u64::try_from(self.created.len()).unwrap_or(u64::MAX);
            says.push(Phrase::List(
                format_count(number, "new machine"),
                self.created.clone(),
            ));
        }
        says.extend(self.rollout.and_then(asleep_phrase));
        if !proven {
            says.extend(self.removal_phrases(if says.is_empty() { "" } else { "then " }));
        }
        says
    }

    /// Those that restart, or are replaced where they are.
    fn in_place_phrase(&self, told: &GroupRollout) -> Option<Phrase> {
        let slots: Vec<String> = told.members.iter().map(|name| slot_name(name, 2)).collect();
        let say = match (told.turns.strategy, slots.as_slice()) {
            (_, []) => return None,
            (_, [one]) if self.replaces_in_place => Phrase::Text(format!("{one} is replaced")),
            (_, [one]) => Phrase::Text(format!("{one} restarts")),
            (RolloutStrategy::Canary, [first, other]) => {
                Phrase::Text(format!("{first} first, then {other}"))
            }
            (RolloutStrategy::Canary, [first, others @ ..]) => Phrase::List(
                format!(
                    "{first} first, then {}",
                    concurrency_text(told, others.len())
                ),
                others.to_vec(),
            ),
            (_, slots) => Phrase::List(concurrency_text(told, slots.len()), slots.to_vec()),
        };
        Some(say)
    }

    /// What goes, goes last: old machines that others have taken over from, and those that nobody asks for.
    pub(super) fn removal_phrases(&self, then: &str) -> Vec<Phrase> {
        let old = match self.rollout.map_or(0, |told| told.successors) {
            0 => None,
            1 => Some(format!("{then}the old one goes")),
            number => Some(format!("{then}the {number} old ones go")),
        };
        let gone = (!self.deleted.is_empty()).then(|| {
            let go = if self.deleted.len() == 1 {
                "goes"
            } else {
                "go"
            };
            format!("{then}{} {go}", join_limited(&self.deleted, MAX_LISTED))
        });
        old.into_iter().chain(gone).map(Phrase::Text).collect()
    }
}

/// New ones that come up beside old ones.
fn successor_phrase(told: &GroupRollout) -> Option<Phrase> {
    let words = match told.successors {
        0 => return None,
        1 => "1 new machine beside the old; when it is healthy, it takes over".to_owned(),
        number => {
            format!(
                "{number} new machines beside the old; when all are healthy, they take over at once"
            )
        }
    };
    Some(Phrase::Text(words))
}

fn asleep_phrase(told: &GroupRollout) -> Option<Phrase> {
    let waits = !told.members.is_empty() && told.turns.strategy != RolloutStrategy::Immediate;
    let then = if waits { "then " } else { "" };
    let words = format!(
        "{then}{} asleep, updated without being started",
        told.asleep
    );
    (told.asleep > 0).then_some(Phrase::Text(words))
}

/// How many of so many change at the same time; empty below two.
fn concurrency_text(told: &GroupRollout, number: usize) -> String {
    let at_once = match told.turns.strategy {
        RolloutStrategy::Immediate => usize::MAX,
        _ => usize::try_from(told.turns.at_once).unwrap_or(usize::MAX),
    };
    match at_once {
        _ if number < 2 => String::new(),
        at_once if at_once >= number => format!("all {number} at once"),
        1 => "one at a time".to_owned(),
        at_once => format!("at most {at_once} at once"),
    }
}

/// How many of those that restart do so at the same time: what a picture says of many machines that it draws as one box.
/// Of a canary nothing is said: it comes alone.
pub(in crate::render) fn concurrency_label(told: &GroupRollout, at: usize) -> String {
    let number = match told.turns.strategy {
        RolloutStrategy::Canary if at == 0 => 0,
        RolloutStrategy::Canary => told.members.len() - 1,
        _ => told.members.len(),
    };
    // Beside `×30` it is short.
    concurrency_text(told, number)
        .trim_start_matches("at most ")
        .replace(&format!("all {number} "), "all ")
}
