//! One process group in words: how its machines take turns, which come new, and which go.

use super::{FEW, Say, slot};
use crate::{
    model::Strategy,
    plan::Rollout,
    render::words::{count, few},
};

/// One process group.
#[derive(Default)]
pub(super) struct Group<'p> {
    /// How the machines that are there change, when any does.
    pub(super) told: Option<&'p Rollout>,
    /// Whether any of them is replaced where it is.
    pub(super) replaces: bool,
    /// New machines, which take nothing from what serves.
    pub(super) starts: Vec<String>,
    /// Machines that the manifest no longer asks for.
    pub(super) ends: Vec<String>,
}

impl Group<'_> {
    /// How many machines it is about.
    pub(super) fn weight(&self) -> usize {
        let told = self
            .told
            .map_or(0, |told| told.members.len() + told.successors + told.asleep);
        told + self.starts.len() + self.ends.len()
    }

    /// What happens before the app is proven, or all of it when nothing proves it.
    pub(super) fn says(&self, proven: bool) -> Vec<Say> {
        let mut says: Vec<Say> = self
            .told
            .and_then(|told| self.turns(told))
            .into_iter()
            .collect();
        says.extend(self.told.and_then(beside));
        if !self.starts.is_empty() {
            let number = u64::try_from(self.starts.len()).unwrap_or(u64::MAX);
            says.push(Say::List(count(number, "new machine"), self.starts.clone()));
        }
        says.extend(self.told.and_then(asleep));
        if !proven {
            says.extend(self.endings(if says.is_empty() { "" } else { "then " }));
        }
        says
    }

    /// Those that restart, or are replaced where they are.
    fn turns(&self, told: &Rollout) -> Option<Say> {
        let slots: Vec<String> = told.members.iter().map(|name| slot(name, 2)).collect();
        let say = match (told.turns.strategy, slots.as_slice()) {
            (_, []) => return None,
            (_, [one]) if self.replaces => Say::Words(format!("{one} is replaced")),
            (_, [one]) => Say::Words(format!("{one} restarts")),
            (Strategy::Canary, [first, other]) => {
                Say::Words(format!("{first} first, then {other}"))
            }
            (Strategy::Canary, [first, others @ ..]) => Say::List(
                format!("{first} first, then {}", pace(told, others.len())),
                others.to_vec(),
            ),
            (_, slots) => Say::List(pace(told, slots.len()), slots.to_vec()),
        };
        Some(say)
    }

    /// What goes, goes last: old machines that others have taken over from, and those that nobody asks for.
    pub(super) fn endings(&self, then: &str) -> Vec<Say> {
        let old = match self.told.map_or(0, |told| told.successors) {
            0 => None,
            1 => Some(format!("{then}the old one goes")),
            number => Some(format!("{then}the {number} old ones go")),
        };
        let gone = (!self.ends.is_empty()).then(|| {
            let go = if self.ends.len() == 1 { "goes" } else { "go" };
            format!("{then}{} {go}", few(&self.ends, FEW))
        });
        old.into_iter().chain(gone).map(Say::Words).collect()
    }
}

/// New ones that come up beside old ones.
fn beside(told: &Rollout) -> Option<Say> {
    let words = match told.successors {
        0 => return None,
        1 => "1 new machine beside the old; when it is healthy, it takes over".to_owned(),
        number => {
            format!(
                "{number} new machines beside the old; when all are healthy, they take over at once"
            )
        }
    };
    Some(Say::Words(words))
}

fn asleep(told: &Rollout) -> Option<Say> {
    let waits = !told.members.is_empty() && told.turns.strategy != Strategy::Immediate;
    let then = if waits { "then " } else { "" };
    let words = format!(
        "{then}{} asleep, updated without being started",
        told.asleep
    );
    (told.asleep > 0).then_some(Say::Words(words))
}

/// How many of so many change at the same time; empty below two.
fn pace(told: &Rollout, number: usize) -> String {
    let at_once = match told.turns.strategy {
        Strategy::Immediate => usize::MAX,
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
pub(in crate::render) fn together(told: &Rollout, at: usize) -> String {
    let number = match told.turns.strategy {
        Strategy::Canary if at == 0 => 0,
        Strategy::Canary => told.members.len() - 1,
        _ => told.members.len(),
    };
    // Beside `×30` it is short.
    pace(told, number)
        .trim_start_matches("at most ")
        .replace(&format!("all {number} "), "all ")
}
