//! Which statement of one document became which of another: by name, else by likeness, so that a change of one value
//! reads as that.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::Statement;

/// How much of two statements must be the same, in thousandths of both, for one to be a change of the other. Below it
/// two whole statements read better than a list of everything in them.
const MIN_SIMILARITY: usize = 500;

/// Places in the two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatementChange {
    /// The same statement, changed.
    Changed(usize, usize),
    /// In the first document only.
    Removed(usize),
    /// In the second document only.
    Added(usize),
}

/// Everything that differs, in the order of the second document; what is gone comes last. Equal statements are left out.
pub(super) fn match_statements(from: &[Statement], to: &[Statement]) -> Vec<StatementChange> {
    let mut open = Unmatched {
        from: (0..from.len()).collect(),
        to: (0..to.len()).collect(),
        matches: BTreeMap::new(),
    };
    let meaning = |all: &[Statement]| -> Vec<_> {
        all.iter().map(|one| Some(one.canonical_text())).collect()
    };
    open.match_by_name(&meaning(from), &meaning(to));
    open.matches.clear();
    let sid = |all: &[Statement]| -> Vec<_> { all.iter().map(|one| one.sid.clone()).collect() };
    open.match_by_name(&sid(from), &sid(to));
    open.match_by_similarity(from, to);
    let Unmatched {
        from,
        to,
        matches: pairs,
    } = open;
    let mut out: BTreeMap<usize, StatementChange> = to
        .into_iter()
        .map(|at| (at, StatementChange::Added(at)))
        .collect();
    out.extend(
        pairs
            .into_iter()
            .map(|(to, from)| (to, StatementChange::Changed(from, to))),
    );
    out.into_values()
        .chain(from.into_iter().map(StatementChange::Removed))
        .collect()
}

/// What has no partner yet, and the pairs found, each from its place in the second document to that in the first.
struct Unmatched {
    from: BTreeSet<usize>,
    to: BTreeSet<usize>,
    matches: BTreeMap<usize, usize>,
}

impl Unmatched {
    fn record_match(&mut self, from: usize, to: usize) {
        if self.from.contains(&from) && self.to.contains(&to) {
            self.from.remove(&from);
            self.to.remove(&to);
            self.matches.insert(to, from);
        }
    }

    /// Pairs what has the same name, in order. What has no name stays.
    fn match_by_name(&mut self, from: &[Option<String>], to: &[Option<String>]) {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for at in self.from.iter().rev() {
            if let Some(name) = &from[*at] {
                places.entry(name).or_default().push(*at);
            }
        }
        for at in self.to.clone() {
            let name = to[at].as_deref();
            if let Some(place) = name
                .and_then(|name| places.get_mut(name))
                .and_then(Vec::pop)
            {
                self.record_match(place, at);
            }
        }
    }

    /// Pairs what is most alike first.
    fn match_by_similarity(&mut self, from: &[Statement], to: &[Statement]) {
        let facts = |all: &[Statement], open: &BTreeSet<usize>| -> Vec<(usize, BTreeSet<String>)> {
            open.iter()
                .map(|at| (*at, statement_facts(&all[*at])))
                .collect()
        };
        let (there, wanted) = (facts(from, &self.from), facts(to, &self.to));
        let mut alike = Vec::new();
        for (from, there) in &there {
            for (to, wanted) in &wanted {
                let same =
                    there.intersection(wanted).count() * 2000 / (there.len() + wanted.len()).max(1);
                if same >= MIN_SIMILARITY {
                    alike.push((Reverse(same), *from, *to));
                }
            }
        }
        alike.sort_unstable();
        for (_, from, to) in alike {
            self.record_match(from, to);
        }
    }
}

/// Everything that a statement says, each as one text. Its name is no fact about what it does.
fn statement_facts(statement: &Statement) -> BTreeSet<String> {
    let sets = statement
        .value_sets()
        .into_iter()
        .filter(|(_, (path, _))| path != "Sid");
    let facts = sets.flat_map(|(key, (_, members))| {
        members
            .into_iter()
            .map(move |member| format!("{key:?} {}", member.normalized()))
    });
    facts
        .chain(
            statement
                .other_elements
                .iter()
                .map(|(key, value)| format!("{key} {value}")),
        )
        .collect()
}
