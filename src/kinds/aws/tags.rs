//! Tags: our mark, and what the manifest says. Tags that somebody else put there stay; those that we put there and that
//! have left the manifest go, so their names are remembered in a tag.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Line, Mark, Name};

/// A table of tags.
pub type Tags = BTreeMap<String, String>;

/// Which tags the manifest put there: their names, separated by spaces, as no name holds one.
pub const OURS: &str = "trimtab_tags";
/// A resource that must not be removed. It stays when the block leaves the manifest.
pub const PROTECTED: &str = "trimtab_protected";

/// Everything that a resource shall bear.
#[must_use]
pub fn wanted(mark: &Mark, name: &Name, own: &Tags, protected: bool) -> Tags {
    let mut tags = own.clone();
    tags.insert(Mark::PROJECT.to_owned(), mark.project.clone());
    tags.insert(Mark::ENVIRONMENT.to_owned(), mark.environment.clone());
    tags.insert(Mark::NAME.to_owned(), name.to_string());
    if protected {
        tags.insert(PROTECTED.to_owned(), "true".to_owned());
    }
    if !own.is_empty() {
        tags.insert(OURS.to_owned(), own.keys().map(String::as_str).collect::<Vec<_>>().join(" "));
    }
    tags
}

/// Whether a live resource is protected.
#[must_use]
pub fn is_protected(live: &Tags) -> bool {
    live.get(PROTECTED).is_some_and(|value| value == "true")
}

/// One change of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// What is there, for the names below.
    pub from: Tags,
    /// What is set.
    pub set: Tags,
    /// What goes.
    pub gone: Vec<String>,
}

impl TagChange {
    /// What makes the live tags right; nothing when they are.
    #[must_use]
    pub fn between(wanted: &Tags, live: &Tags) -> Option<Self> {
        let remembered = live.get(OURS).map(String::as_str).unwrap_or_default();
        let ours: BTreeSet<&str> = remembered.split(' ').chain([OURS, PROTECTED]).collect();
        let gone: Vec<String> = live
            .keys()
            .filter(|key| ours.contains(key.as_str()) && !wanted.contains_key(*key))
            .cloned()
            .collect();
        let differs = |(key, value): &(&String, &String)| live.get(*key) != Some(*value);
        let set: Tags = wanted.iter().filter(differs).map(|(k, v)| (k.clone(), v.clone())).collect();
        let touched = set.keys().chain(&gone);
        let from = touched.filter_map(|key| Some((key.clone(), live.get(key)?.clone()))).collect();
        (!set.is_empty() || !gone.is_empty()).then_some(Self { from, set, gone })
    }

    /// The tags afterwards.
    #[must_use]
    pub fn applied_to(&self, live: &Tags) -> Tags {
        let mut tags = live.clone();
        tags.retain(|key, _| !self.gone.contains(key));
        tags.extend(self.set.clone());
        tags
    }

    /// The lines of the difference.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let Self { from, set, gone } = self;
        let set = set.iter().map(|(key, to)| match from.get(key) {
            Some(from) => Line::change(format!("tags.{key}"), from.clone(), to.clone()),
            None => Line::add(format!("tags.{key}"), to.clone()),
        });
        let gone =
            gone.iter().filter_map(|key| Some(Line::remove(format!("tags.{key}"), from.get(key)?.clone())));
        set.chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn what_left_the_manifest_goes_and_what_others_put_stays() {
        let live = tags(&[("team", "x"), ("cost", "1"), (OURS, "cost team"), ("audit", "y")]);
        let change = TagChange::between(&tags(&[("team", "z"), (OURS, "team")]), &live).unwrap();
        assert_eq!(change.applied_to(&live), tags(&[("team", "z"), (OURS, "team"), ("audit", "y")]));
        assert_eq!(
            TagChange::between(&tags(&[("team", "z")]), &tags(&[("team", "z"), ("audit", "y")])),
            None
        );
    }

    #[test]
    fn a_tag_that_was_removed_is_missed_and_protection_can_be_lifted() {
        let mark = Mark { project: "harbor".to_owned(), environment: "production".to_owned() };
        let name = Name::parse("backups").unwrap();
        let protected = wanted(&mark, &name, &Tags::new(), true);
        let open = wanted(&mark, &name, &Tags::new(), false);
        let paths = |wanted: &Tags, live: &Tags| -> Vec<String> {
            let change = TagChange::between(wanted, live);
            change.map(|change| change.lines()).unwrap_or_default().into_iter().map(|l| l.path).collect()
        };
        assert_eq!(paths(&protected, &open), ["tags.trimtab_protected"]);
        assert_eq!(paths(&open, &protected), ["tags.trimtab_protected"]);
        assert_eq!(paths(&open, &Tags::new()).len(), 3);
        assert!(is_protected(&protected) && !is_protected(&open));
    }
}
