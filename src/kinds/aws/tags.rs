//! Tags: our mark, and what the manifest says. Tags that somebody else put there stay; those that we put there and that
//! have left the manifest go, so their names are remembered in a tag.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{DiffLine, Name, OwnershipMark};

/// A table of tags.
pub type Tags = BTreeMap<String, String>;

/// Which tags the manifest put there: their names, separated by spaces, as no name holds one.
pub const MANAGED_KEYS_TAG: &str = "trimtab_tags";
/// A resource that must not be removed. It stays when the block leaves the manifest.
pub const PROTECTED_TAG: &str = "trimtab_protected";

/// Everything that a resource shall bear.
#[must_use]
pub fn desired_tags(mark: &OwnershipMark, name: &Name, own: &Tags, protected: bool) -> Tags {
    let mut tags = own.clone();
    tags.insert(OwnershipMark::PROJECT_KEY.to_owned(), mark.project.clone());
    tags.insert(
        OwnershipMark::ENVIRONMENT_KEY.to_owned(),
        mark.environment.clone(),
    );
    tags.insert(OwnershipMark::NAME_KEY.to_owned(), name.to_string());
    if protected {
        tags.insert(PROTECTED_TAG.to_owned(), "true".to_owned());
    }
    if !own.is_empty() {
        tags.insert(
            MANAGED_KEYS_TAG.to_owned(),
            own.keys().map(String::as_str).collect::<Vec<_>>().join(" "),
        );
    }
    tags
}

/// Whether a live resource is protected.
#[must_use]
pub fn is_protected(live: &Tags) -> bool {
    live.get(PROTECTED_TAG).is_some_and(|value| value == "true")
}

/// What a plan says of the tags of something new: those that the manifest states, and that it is protected.
pub(super) fn tag_lines(wanted: &Tags) -> impl Iterator<Item = DiffLine> + '_ {
    let protected = is_protected(wanted).then(|| DiffLine::add("protected", true));
    let own = wanted
        .iter()
        .filter(|(key, _)| !key.starts_with(OwnershipMark::METADATA_PREFIX));
    own.map(|(key, value)| DiffLine::add(format!("tags.{key}"), value.clone()))
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
    pub removed: Vec<String>,
}

impl TagChange {
    /// What makes the live tags right, as S3 keeps them; nothing when they are.
    #[must_use]
    pub fn diff(wanted: &Tags, live: &Tags) -> Option<Self> {
        Self::diff_by_key(wanted, live, str::to_owned)
    }

    /// The same as IAM keeps tags: `Team` and `team` are one tag, which has the spelling of whoever set it ("Tags for IAM
    /// resources", "Case sensitivity"). Another spelling is taken off before ours is put there, so that it does not matter
    /// whether IAM would have changed it.
    #[must_use]
    pub fn diff_ignoring_case(wanted: &Tags, live: &Tags) -> Option<Self> {
        Self::diff_by_key(wanted, live, str::to_lowercase)
    }

    /// `same` gives one text for all names that are one tag.
    fn diff_by_key(wanted: &Tags, live: &Tags, same: fn(&str) -> String) -> Option<Self> {
        let remembered = live
            .get(MANAGED_KEYS_TAG)
            .map(String::as_str)
            .unwrap_or_default();
        let ours = remembered
            .split(' ')
            .chain([MANAGED_KEYS_TAG, PROTECTED_TAG]);
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
        (!set.is_empty() || !gone.is_empty()).then_some(Self {
            from,
            set,
            removed: gone,
        })
    }

    /// The tags afterwards.
    #[must_use]
    pub fn apply_to(&self, live: &Tags) -> Tags {
        let mut tags = live.clone();
        tags.retain(|key, _| !self.removed.contains(key));
        tags.extend(self.set.clone());
        tags
    }

    /// The lines of the difference. Which tags are ours changes with them, and is told only where nothing else does.
    #[must_use]
    pub fn lines(&self) -> Vec<DiffLine> {
        let all = self.all_lines();
        let told: Vec<DiffLine> = all
            .iter()
            .filter(|line| line.path != format!("tags.{MANAGED_KEYS_TAG}"))
            .cloned()
            .collect();
        if told.is_empty() { all } else { told }
    }

    fn all_lines(&self) -> Vec<DiffLine> {
        let Self {
            from,
            set,
            removed: gone,
        } = self;
        let set = set.iter().map(|(key, to)| match from.get(key) {
            Some(from) => DiffLine::change(format!("tags.{key}"), from.clone(), to.clone()),
            None => DiffLine::add(format!("tags.{key}"), to.clone()),
        });
        let gone = gone.iter().filter_map(|key| {
            Some(DiffLine::remove(
                format!("tags.{key}"),
                from.get(key)?.clone(),
            ))
        });
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
            (MANAGED_KEYS_TAG, "cost team"),
            ("audit", "y"),
        ]);
        let change =
            TagChange::diff(&tags(&[("team", "z"), (MANAGED_KEYS_TAG, "team")]), &live).unwrap();
        assert_eq!(
            change.apply_to(&live),
            tags(&[("team", "z"), (MANAGED_KEYS_TAG, "team"), ("audit", "y")])
        );
        assert_eq!(
            TagChange::diff(
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
            (MANAGED_KEYS_TAG, "Team cost"),
        ]);
        let wanted = tags(&[
            ("team", "x"),
            ("cost", "1"),
            (MANAGED_KEYS_TAG, "cost team"),
        ]);
        let change = TagChange::diff_ignoring_case(&wanted, &live).unwrap();
        assert_eq!(change.removed, ["Cost", "Team"], "whoever spelt it so");
        assert_eq!(change.set, wanted);
        let after = change.apply_to(&live);
        assert_eq!(
            after,
            tags(&[
                ("team", "x"),
                ("cost", "1"),
                (MANAGED_KEYS_TAG, "cost team"),
                ("audit", "y")
            ])
        );
        assert_eq!(TagChange::diff_ignoring_case(&wanted, &after), None);
        let lines: Vec<String> = change.lines().into_iter().map(|line| line.path).collect();
        assert_eq!(lines, ["tags.cost", "tags.team", "tags.Cost", "tags.Team"]);

        // One that we put there and somebody spelt anew goes with the manifest's.
        let change = TagChange::diff_ignoring_case(
            &Tags::new(),
            &tags(&[("TEAM", "x"), (MANAGED_KEYS_TAG, "team")]),
        )
        .unwrap();
        assert_eq!(change.removed, ["TEAM", MANAGED_KEYS_TAG]);

        // To S3 they are two, and the other one may be somebody else's.
        let change = TagChange::diff(&tags(&[("team", "x")]), &tags(&[("Team", "x")])).unwrap();
        assert_eq!(
            (change.set, change.removed),
            (tags(&[("team", "x")]), Vec::new())
        );
    }

    #[test]
    fn a_tag_that_was_removed_is_missed_and_protection_can_be_lifted() {
        let mark = OwnershipMark {
            project: "harbor".to_owned(),
            environment: "production".to_owned(),
        };
        let name = Name::parse("backups").unwrap();
        let protected = desired_tags(&mark, &name, &Tags::new(), true);
        let open = desired_tags(&mark, &name, &Tags::new(), false);
        let paths = |wanted: &Tags, live: &Tags| -> Vec<String> {
            let change = TagChange::diff(wanted, live);
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
