//! Finds which statement of one document became which of another, by `Sid` or else by similarity,
//! so that a change of one value is shown as exactly that.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::Statement;

/// The least similarity for a pair of statements to count as a change of one statement, in
/// thousandths: the facts that both share, out of all facts of both. Below this, showing both
/// statements whole reads better than a list of everything in them.
const MIN_SIMILARITY: usize = 500;

/// What happened to a statement, with its index in the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatementChange {
    /// The same statement, changed: its index in the first and in the second document.
    Changed(usize, usize),
    /// In the first document only.
    Removed(usize),
    /// In the second document only.
    Added(usize),
}

/// Everything that differs, in the order of the second document, and then what was removed. Equal
/// statements are left out.
pub(super) fn match_statements(from: &[Statement], to: &[Statement]) -> Vec<StatementChange> {
    let mut unmatched = Unmatched {
        from: (0..from.len()).collect(),
        to: (0..to.len()).collect(),
        matches: BTreeMap::new(),
    };
    let canonical_texts = |statements: &[Statement]| -> Vec<_> {
        statements
            .iter()
            .map(|statement| Some(statement.canonical_text()))
            .collect()
    };
    // Set equal statements aside first, so that a statement that merely moved is never taken for a
    // change of another one.
    unmatched.match_by_name(&canonical_texts(from), &canonical_texts(to));
    unmatched.matches.clear();
    let sids = |statements: &[Statement]| -> Vec<_> {
        statements
            .iter()
            .map(|statement| statement.sid.clone())
            .collect()
    };
    // A `Sid` is the author's own statement of identity, so it precedes similarity.
    unmatched.match_by_name(&sids(from), &sids(to));
    unmatched.match_by_similarity(from, to);
    let Unmatched { from, to, matches } = unmatched;
    let mut changes: BTreeMap<usize, StatementChange> = to
        .into_iter()
        .map(|index| (index, StatementChange::Added(index)))
        .collect();
    changes.extend(
        matches
            .into_iter()
            .map(|(to, from)| (to, StatementChange::Changed(from, to))),
    );
    changes
        .into_values()
        .chain(from.into_iter().map(StatementChange::Removed))
        .collect()
}

/// The statements without a match so far, and the matches found, from the index in the second
/// document to the one in the first.
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

    /// Matches statements with equal names, in order. Statements without a name are left.
    fn match_by_name(&mut self, from: &[Option<String>], to: &[Option<String>]) {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        // Reversed, so that `pop` below returns the first one.
        for index in self.from.iter().rev() {
            if let Some(name) = &from[*index] {
                by_name.entry(name).or_default().push(*index);
            }
        }
        for index in self.to.clone() {
            let name = to[index].as_deref();
            if let Some(old_index) = name
                .and_then(|name| by_name.get_mut(name))
                .and_then(Vec::pop)
            {
                self.record_match(old_index, index);
            }
        }
    }

    /// Matches the most similar statements first.
    fn match_by_similarity(&mut self, from: &[Statement], to: &[Statement]) {
        let facts_of = |statements: &[Statement],
                        unmatched: &BTreeSet<usize>|
         -> Vec<(usize, BTreeSet<String>)> {
            unmatched
                .iter()
                .map(|index| (*index, statement_facts(&statements[*index])))
                .collect()
        };
        let (old_facts, new_facts) = (facts_of(from, &self.from), facts_of(to, &self.to));
        let mut candidates = Vec::new();
        for (from, old_facts) in &old_facts {
            for (to, new_facts) in &new_facts {
                let similarity = old_facts.intersection(new_facts).count() * 2000
                    / (old_facts.len() + new_facts.len()).max(1);
                if similarity >= MIN_SIMILARITY {
                    candidates.push((Reverse(similarity), *from, *to));
                }
            }
        }
        // Greedy: the best pairs first, and the order of the documents decides ties, so the result
        // is deterministic.
        candidates.sort_unstable();
        for (_, from, to) in candidates {
            self.record_match(from, to);
        }
    }
}

/// Everything that a statement says, each as one string. The `Sid` is left out: it says nothing
/// about what the statement does.
fn statement_facts(statement: &Statement) -> BTreeSet<String> {
    let sets = statement
        .value_sets()
        .into_iter()
        .filter(|(_, (path, _))| path != "Sid");
    let facts_of = sets.flat_map(|(key, (_, values))| {
        values
            .into_iter()
            .map(move |value| format!("{key:?} {}", value.normalized()))
    });
    facts_of
        .chain(
            statement
                .other_elements
                .iter()
                .map(|(key, value)| format!("{key} {value}")),
        )
        .collect()
}
