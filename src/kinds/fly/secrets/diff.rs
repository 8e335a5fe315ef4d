//! Decides which secrets to set, and why. Fly never returns their values, so fingerprints are compared that machines keep in
//! their metadata.

use std::collections::{BTreeMap, BTreeSet};

use super::{SecretGenerator, SecretLive, SecretSpec, Secrets, SecretsLive, SecretsSpec};
use crate::{
    kinds::{
        Blocker, Cause, DeletionRules, DescribeEdit, Diff, DiffContext, Kind, Op, References,
        RolloutNote, RolloutRules, fly, postgres::PASSWORD_LINE,
    },
    model::{Address, DiffLine, DisplayValue, Fingerprint, KindName as _, Secret},
};

/// One call that sets and unsets several secrets.
#[derive(Clone, Debug)]
pub struct SecretsEdit {
    /// The secrets to set, by name.
    pub set: BTreeMap<String, SetSecret>,
    /// The names of secrets to unset.
    pub unset: BTreeSet<String>,
}

/// One secret to set.
#[derive(Clone, Debug)]
pub struct SetSecret {
    /// The value and its fingerprint. Commands that only read, such as `drift`, have none; their plans are never applied.
    pub value: Option<(Secret, Fingerprint)>,
    /// How the value is made while the plan is applied.
    pub generator: Option<SecretGenerator>,
    /// Why it is set.
    pub reason: SetReason,
}

/// Why a secret is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetReason {
    /// It does not exist.
    Missing,
    /// The value of the manifest differs from the one that was set last.
    Changed,
    /// Fly's digest differs from the recorded one: the secret was set outside of trimtab.
    Outside,
    /// No machine has a record of its value.
    Unverified,
    /// The user asked for a new value.
    Rotated,
    /// It follows the database that it is the URL of.
    FollowsDatabase,
}

impl SetReason {
    fn note(self) -> Option<&'static str> {
        match self {
            Self::Missing | Self::Changed => None,
            Self::Outside => Some("changed outside"),
            Self::Unverified => Some("cannot be verified, set again"),
            Self::Rotated => Some("--rotate"),
            Self::FollowsDatabase => Some("with the database's new password"),
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
                    generator: _,
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

/// Why one secret must be set; `None` when it is up to date. `can_record` says whether a machine exists, or will exist, that
/// can record fingerprints.
fn set_reason(
    spec: &SecretSpec,
    live: Option<&SecretLive>,
    address: &Address,
    can_record: bool,
    context: &DiffContext<'_>,
) -> Option<SetReason> {
    // The database has compared the secret with its role, and gets a new password when they differ.
    if let Some(SecretGenerator::Database(database)) = &spec.generator {
        let lines = context.changed.get(&database.address())?;
        let has_new_password = lines.iter().any(|line| line.path == PASSWORD_LINE);
        let reason = live.map_or(SetReason::Missing, |_| SetReason::FollowsDatabase);
        return has_new_password.then_some(reason);
    }
    let Some(live) = live else {
        return Some(SetReason::Missing);
    };
    if spec.generator.is_some() {
        let is_to_rotate = context.rotate.contains(address);
        return is_to_rotate.then_some(SetReason::Rotated);
    }
    match (&live.fingerprint, &spec.fingerprint) {
        (_, None) => {
            (live.known && live.fingerprint.is_none() && can_record).then_some(SetReason::Outside)
        }
        (Some(set), Some(desired)) => (set != desired).then_some(SetReason::Changed),
        (None, Some(_)) if live.known => Some(SetReason::Outside),
        // Without a machine, nothing can record a fingerprint, and setting the secret again at every apply would never end.
        (None, Some(_)) => can_record.then_some(SetReason::Unverified),
    }
}

/// An SSH key and its certificate belong together: when one is missing, both are made.
fn add_key_pair(spec: &SecretsSpec, edit: &mut SecretsEdit) {
    let is_key = |generator: Option<&SecretGenerator>| {
        matches!(
            generator,
            Some(SecretGenerator::SshKey | SecretGenerator::SshCertificate)
        )
    };
    if !edit
        .set
        .values()
        .any(|secret| is_key(secret.generator.as_ref()))
    {
        return;
    }
    for (name, desired) in spec
        .values
        .iter()
        .filter(|(_, spec)| is_key(spec.generator.as_ref()))
    {
        edit.set.entry(name.clone()).or_insert(SetSecret {
            value: None,
            generator: desired.generator.clone(),
            reason: SetReason::Changed,
        });
    }
}

impl Kind for Secrets {
    type Spec = SecretsSpec;
    type Live = SecretsLive;
    type Edit = SecretsEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);
    const KNOWN_AFTER_CREATE: &'static [&'static str] = &[];

    fn diff(
        spec: &SecretsSpec,
        live: &SecretsLive,
        context: &DiffContext<'_>,
    ) -> Diff<SecretsEdit> {
        let SecretsSpec {
            app: _,
            values,
            optional_without_value,
            salt: _,
            has_machines,
        } = spec;
        let mut edit = SecretsEdit {
            set: BTreeMap::new(),
            unset: BTreeSet::new(),
        };
        for (name, desired) in values {
            if let Some(why) = set_reason(
                desired,
                live.present.get(name),
                &spec.secret_address(name),
                live.has_machines || *has_machines,
                context,
            ) {
                let value = desired.value.clone().zip(desired.fingerprint.clone());
                let generator = desired.generator.clone();
                let secret = SetSecret {
                    value,
                    generator,
                    reason: why,
                };
                edit.set.insert(name.clone(), secret);
            }
        }
        add_key_pair(spec, &mut edit);
        edit.unset.extend(
            live.present
                .iter()
                .filter(|(name, live)| {
                    live.known
                        && !values.contains_key(*name)
                        && !optional_without_value.contains(*name)
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

    /// The set of secrets has no id of its own; it is identified by its app.
    fn identity(_: &SecretsLive) -> String {
        String::new()
    }

    fn describe(live: &SecretsLive) -> String {
        match live.present.len() {
            1 => "1 secret".to_owned(),
            n => format!("{n} secrets"),
        }
    }

    /// A value that was made once and that somebody replaced since. It may be right, so it is kept.
    fn manual_change(spec: &SecretsSpec, live: &SecretsLive) -> Option<Blocker> {
        let is_made_once = |secret: &SecretSpec| {
            !matches!(secret.generator, None | Some(SecretGenerator::Database(_)))
        };
        let mut made_once = spec
            .values
            .iter()
            .filter(|(_, secret)| is_made_once(secret));
        let (name, _) = made_once.find(|(name, _)| {
            let live = live.present.get(*name);
            live.is_some_and(|live| live.known && live.fingerprint.is_none())
        })?;
        let address = spec.secret_address(name);
        let hint = match spec
            .rotatable_secrets()
            .any(|rotatable| rotatable == address)
        {
            true => format!("`--rotate {address}` makes a new one"),
            false => "set the earlier value again: the database knows no other".to_owned(),
        };
        Some(Blocker {
            reason: format!("the generated secret {name} was set outside"),
            hint,
        })
    }

    /// When a machine has a record of the secret under another digest, it was set outside of trimtab.
    fn cause(spec: &SecretsSpec, live: &SecretsLive) -> Cause {
        let existing = spec.values.keys().filter_map(|name| live.present.get(name));
        let mut outside = existing.filter(|secret| secret.known && secret.fingerprint.is_none());
        if outside.next().is_some() {
            Cause::Outside
        } else {
            Cause::Unknown
        }
    }
}

impl RolloutRules for Secrets {
    fn rollout_note(op: &Op<Self>) -> Option<RolloutNote> {
        matches!(op, Op::Create(_) | Op::Edit(..)).then_some(RolloutNote::Secrets)
    }
}

impl DeletionRules for Secrets {
    fn deleted_with(live: &SecretsLive) -> Option<Address> {
        live.references().pop()
    }
}
