//! Which secrets to set, and why, without knowing what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{SecretLive, SecretSpec, Secrets, SecretsLive, SecretsSpec};
use crate::{
    kinds::{Cause, DescribeEdit, Diff, DiffContext, Kind, References},
    model::{Address, DiffLine, DisplayValue, Fingerprint, Secret},
};

/// The one batched call: some set, some unset.
#[derive(Clone, Debug)]
pub struct SecretsEdit {
    /// What to set.
    pub set: BTreeMap<String, SetSecret>,
    /// What to remove.
    pub unset: BTreeSet<String>,
}

/// One secret to set.
#[derive(Clone, Debug)]
pub struct SetSecret {
    /// The value and its fingerprint. A command that only looks has none, and what it plans is never carried out.
    pub value: Option<(Secret, Fingerprint)>,
    /// Why it is set.
    pub reason: SetReason,
}

/// Why a secret is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetReason {
    /// It is not there.
    Missing,
    /// Our value is another than the one that was set last.
    Changed,
    /// Fly's digest is another than the one we saw after setting it: somebody set it outside.
    Outside,
    /// No machine remembers what it is.
    Unverified,
}

impl SetReason {
    fn note(self) -> Option<&'static str> {
        match self {
            Self::Missing | Self::Changed => None,
            Self::Outside => Some("changed outside"),
            Self::Unverified => Some("cannot be verified, set again"),
        }
    }
}

impl DescribeEdit for SecretsEdit {
    fn lines(&self) -> Vec<DiffLine> {
        let Self { set, unset } = self;
        let set = set.iter().map(
            |(
                name,
                SetSecret {
                    value: _,
                    reason: why,
                },
            )| {
                let from = (*why != SetReason::Missing).then_some(DisplayValue::Sensitive);
                let line = DiffLine::new(name.clone(), from, Some(DisplayValue::Sensitive));
                match why.note() {
                    Some(note) => line.with_note(note),
                    None => line,
                }
            },
        );
        let unset = unset
            .iter()
            .map(|name| DiffLine::new(name.clone(), Some(DisplayValue::Sensitive), None));
        set.chain(unset).collect()
    }
}

/// Whether one secret must be set, and why.
fn set_reason(spec: &SecretSpec, live: Option<&SecretLive>, remembered: bool) -> Option<SetReason> {
    let Some(live) = live else {
        return Some(SetReason::Missing);
    };
    match (&live.fingerprint, &spec.fingerprint) {
        (_, None) => {
            (live.known && live.fingerprint.is_none() && remembered).then_some(SetReason::Outside)
        }
        (Some(set), Some(wanted)) => (set != wanted).then_some(SetReason::Changed),
        (None, Some(_)) if live.known => Some(SetReason::Outside),
        // Without a machine, now or after this plan, nothing can remember a fingerprint, and nothing runs either.
        (None, Some(_)) => remembered.then_some(SetReason::Unverified),
    }
}

impl Kind for Secrets {
    type Spec = SecretsSpec;
    type Live = SecretsLive;
    type Edit = SecretsEdit;

    fn diff(spec: &SecretsSpec, live: &SecretsLive, _: &DiffContext<'_>) -> Diff<SecretsEdit> {
        let SecretsSpec {
            app: _,
            values,
            left_alone,
            salt: _,
            used,
        } = spec;
        let mut edit = SecretsEdit {
            set: BTreeMap::new(),
            unset: BTreeSet::new(),
        };
        for (name, wanted) in values {
            if let Some(why) =
                set_reason(wanted, live.present.get(name), live.has_machines || *used)
            {
                let value = wanted.value.clone().zip(wanted.fingerprint.clone());
                edit.set
                    .insert(name.clone(), SetSecret { value, reason: why });
            }
        }
        edit.unset.extend(
            live.present
                .iter()
                .filter(|(name, live)| {
                    live.known && !values.contains_key(*name) && !left_alone.contains(*name)
                })
                .map(|(name, _)| name.clone()),
        );
        if edit.set.is_empty() && edit.unset.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(vec![edit])
        }
    }

    fn creation_lines(spec: &SecretsSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        spec.values
            .keys()
            .map(|name| DiffLine::new(name.clone(), None, Some(DisplayValue::Sensitive)))
            .collect()
    }

    /// They have no id of their own: their app's name says which they are.
    fn identity(_: &SecretsLive) -> String {
        String::new()
    }

    fn describe(live: &SecretsLive) -> String {
        match live.present.len() {
            1 => "1 secret".to_owned(),
            n => format!("{n} secrets"),
        }
    }

    /// A secret that a machine remembers under another digest was set by somebody else.
    fn cause(spec: &SecretsSpec, live: &SecretsLive) -> Cause {
        let asked = spec.values.keys().filter_map(|name| live.present.get(name));
        let mut outside = asked.filter(|secret| secret.known && secret.fingerprint.is_none());
        if outside.next().is_some() {
            Cause::Outside
        } else {
            Cause::Unknown
        }
    }

    fn deleted_with(live: &SecretsLive) -> Option<Address> {
        live.references().pop()
    }
}
