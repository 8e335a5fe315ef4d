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
        tags.insert(
            OURS.to_owned(),
            own.keys().map(String::as_str).collect::<Vec<_>>().join(" "),
        );
    }
    tags
}

/// Whether a live resource is protected.
#[must_use]
pub fn is_protected(live: &Tags) -> bool {
    live.get(PROTECTED).is_some_and(|value| value == "true")
}

/// What a plan says of the tags of something new: those that the manifest states, and that it is protected.
pub(super) fn outline(wanted: &Tags) -> impl Iterator<Item = Line> + '_ {
    let protected = is_protected(wanted).then(|| Line::add("protected", true));
    let own = wanted
        .iter()
        .filter(|(key, _)| !key.starts_with(Mark::PREFIX));
    own.map(|(key, value)| Line::add(format!("tags.{key}"), value.clone()))
        .chain(protected)
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
    /// What makes the live tags right, as S3 keeps them; nothing when they are.
    #[must_use]
    pub fn between(wanted: &Tags, live: &Tags) -> Option<Self> {
        Self::where_same(wanted, live, str::to_owned)
    }

    /// The same as IAM keeps tags: `Team` and `team` are one tag, which has the spelling of whoever set it ("Tags for IAM
    /// resources", "Case sensitivity"). Another spelling is taken off before ours is put there, so that it does not matter
    /// whether IAM would have changed it.
    #[must_use]
    pub fn between_caseless(wanted: &Tags, live: &Tags) -> Option<Self> {
        Self::where_same(wanted, live, str::to_lowercase)
    }

    /// `same` gives one text for all names that are one tag.
    fn where_same(wanted: &Tags, live: &Tags, same: fn(&str) -> String) -> Option<Self> {
        let remembered = live.get(OURS).map(String::as_str).unwrap_or_default();
        let ours = remembered.split(' ').chain([OURS, PROTECTED]);
        let ours: BTreeSet<String> = ours
            .chain(wanted.keys().map(String::as_str))
            .map(same)
            .collect();
        let gone: Vec<String> = live
            .keys()
            .filter(|key| ours.contains(&same(key)) && !wanted.contains_key(*key))
            .cloned()
            .collect();
        let differs = |(key, value): &(&String, &String)| live.get(*key) != Some(*value);
        let set: Tags = wanted
            .iter()
            .filter(differs)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let touched = set.keys().chain(&gone);
        let from = touched
            .filter_map(|key| Some((key.clone(), live.get(key)?.clone())))
            .collect();
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

    /// The lines of the difference. Which tags are ours changes with them, and is told only where nothing else does.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let all = self.every_line();
        let told: Vec<Line> = all
            .iter()
            .filter(|line| line.path != format!("tags.{OURS}"))
            .cloned()
            .collect();
        if told.is_empty() { all } else { told }
    }

    fn every_line(&self) -> Vec<Line> {
        let Self { from, set, gone } = self;
        let set = set.iter().map(|(key, to)| match from.get(key) {
            Some(from) => Line::change(format!("tags.{key}"), from.clone(), to.clone()),
            None => Line::add(format!("tags.{key}"), to.clone()),
        });
        let gone = gone
            .iter()
            .filter_map(|key| Some(Line::remove(format!("tags.{key}"), from.get(key)?.clone())));
        set.chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn what_left_the_manifest_goes_and_what_others_put_stays() {
        let live = tags(&[
            ("team", "x"),
            ("cost", "1"),
            (OURS, "cost team"),
            ("audit", "y"),
        ]);
        let change = TagChange::between(&tags(&[("team", "z"), (OURS, "team")]), &live).unwrap();
        assert_eq!(
            change.applied_to(&live),
            tags(&[("team", "z"), (OURS, "team"), ("audit", "y")])
        );
        assert_eq!(
            TagChange::between(
                &tags(&[("team", "z")]),
                &tags(&[("team", "z"), ("audit", "y")])
            ),
            None
        );
    }

    #[test]
    fn to_iam_a_tag_in_other_letters_is_the_same_tag() {
        let live = tags(&[
            ("Team", "x"),
            ("Cost", "1"),
            ("audit", "y"),
            (OURS, "Team cost"),
        ]);
        let wanted = tags(&[("team", "x"), ("cost", "1"), (OURS, "cost team")]);
        let change = TagChange::between_caseless(&wanted, &live).unwrap();
        assert_eq!(change.gone, ["Cost", "Team"], "whoever spelt it so");
        assert_eq!(change.set, wanted);
        let after = change.applied_to(&live);
        assert_eq!(
            after,
            tags(&[
                ("team", "x"),
                ("cost", "1"),
                (OURS, "cost team"),
                ("audit", "y")
            ])
        );
        assert_eq!(TagChange::between_caseless(&wanted, &after), None);
        let lines: Vec<String> = change.lines().into_iter().map(|line| line.path).collect();
        assert_eq!(lines, ["tags.cost", "tags.team", "tags.Cost", "tags.Team"]);

        // One that we put there and somebody spelt anew goes with the manifest's.
        let change =
            TagChange::between_caseless(&Tags::new(), &tags(&[("TEAM", "x"), (OURS, "team")]))
                .unwrap();
        assert_eq!(change.gone, ["TEAM", OURS]);

        // To S3 they are two, and the other one may be somebody else's.
        let change = TagChange::between(&tags(&[("team", "x")]), &tags(&[("Team", "x")])).unwrap();
        assert_eq!(
            (change.set, change.gone),
            (tags(&[("team", "x")]), Vec::new())
        );
    }

    #[test]
    fn a_tag_that_was_removed_is_missed_and_protection_can_be_lifted() {
        let mark = Mark {
            project: "harbor".to_owned(),
            environment: "production".to_owned(),
        };
        let name = Name::parse("backups").unwrap();
        let protected = wanted(&mark, &name, &Tags::new(), true);
        let open = wanted(&mark, &name, &Tags::new(), false);
        let paths = |wanted: &Tags, live: &Tags| -> Vec<String> {
            let change = TagChange::between(wanted, live);
            change
                .map(|change| change.lines())
                .unwrap_or_default()
                .into_iter()
                .map(|l| l.path)
                .collect()
        };
        assert_eq!(paths(&protected, &open), ["tags.trimtab_protected"]);
        assert_eq!(paths(&open, &protected), ["tags.trimtab_protected"]);
        assert_eq!(paths(&open, &Tags::new()).len(), 3);
        assert!(is_protected(&protected) && !is_protected(&open));
    }
}
