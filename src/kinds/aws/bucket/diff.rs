//! Compares a bucket with its spec. Everything but the name and region changes in place.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Bucket, BucketLive, BucketSpec, RESERVED_PREFIX, hazards};
use crate::{
    iam::policy::{LivePolicy, PolicyDocument},
    kinds::{
        Blocker, DataLoss, DeletionRules, DescribeEdit, Diff, DiffContext, Kind,
        aws::tags::{self, TagChange},
    },
    model::{
        DiffLine, DisplayValue,
        s3::{Encryption, LifecycleRule, PublicAccessBlock},
    },
};

/// A change that is one API call. S3 refuses concurrent changes of one bucket, so they run one
/// after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum BucketEdit {
    /// Changes tags.
    Tags(TagChange),
    /// Sets the public access block: old and new.
    PublicAccessBlock(PublicAccessBlock, PublicAccessBlock),
    /// Sets the object ownership: old and new.
    Ownership(Option<String>, String),
    /// Sets the default encryption: old and new.
    Encryption(Option<Encryption>, Encryption),
    /// Enables or suspends versioning.
    Versioning(bool),
    /// Replaces the lifecycle rules: old and new.
    Lifecycle(Vec<LifecycleRule>, Vec<LifecycleRule>),
    /// Sets or deletes the bucket policy: old and new.
    Policy(Option<Box<LivePolicy>>, Option<Box<PolicyDocument>>),
}

impl DescribeEdit for BucketEdit {
    fn lines(&self) -> Vec<DiffLine> {
        match self {
            Self::Tags(change) => change.lines(),
            Self::PublicAccessBlock(from, to) => {
                let note_opening = |line: DiffLine| {
                    let is_opening = line.to == Some(DisplayValue::Value(Value::Bool(false)));
                    if is_opening {
                        line.with_note("the public may get in")
                    } else {
                        line
                    }
                };
                diff_fields("public_access_block", &to_json(from), &to_json(to))
                    .into_iter()
                    .map(note_opening)
                    .collect()
            }
            Self::Ownership(Some(from), to) => {
                vec![DiffLine::change("ownership", from.clone(), to.clone())]
            }
            Self::Ownership(None, to) => vec![DiffLine::add("ownership", to.clone())],
            Self::Encryption(from, to) => {
                let from = from.as_ref().map(to_json).unwrap_or_default();
                diff_fields("encryption", &from, &to_json(to))
            }
            Self::Versioning(true) => vec![DiffLine::change("versioning", false, true)],
            Self::Versioning(false) => {
                let line = DiffLine::change("versioning", true, false);
                vec![line.with_note("what is overwritten or deleted from then on is gone for good")]
            }
            Self::Lifecycle(from, to) => diff_lifecycle_rules(from, to),
            Self::Policy(from, to) => {
                LivePolicy::diff_lines("policy", from.as_deref(), to.as_deref())
            }
        }
    }
}

fn to_json(serializable: &impl serde::Serialize) -> Value {
    serde_json::to_value(serializable).unwrap_or_default()
}

/// One line for each field that differs between two flat objects.
fn diff_fields(path: &str, from: &Value, to: &Value) -> Vec<DiffLine> {
    let keys = [from, to]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|table| table.keys());
    let keys: std::collections::BTreeSet<&String> = keys.collect();
    let line = |key: &String| {
        let path = format!("{path}.{key}");
        match (from.get(key), to.get(key)) {
            (from, to) if from == to => None,
            (Some(from), Some(to)) => Some(DiffLine::change(path, from.clone(), to.clone())),
            (None, Some(to)) => Some(DiffLine::add(path, to.clone())),
            (from, None) => Some(DiffLine::remove(path, from.cloned().unwrap_or_default())),
        }
    };
    keys.into_iter().filter_map(line).collect()
}

fn diff_lifecycle_rules(from: &[LifecycleRule], to: &[LifecycleRule]) -> Vec<DiffLine> {
    let by_id = |rules: &[LifecycleRule]| -> BTreeMap<String, Value> {
        rules
            .iter()
            .map(|rule| (rule.id.clone(), to_json(rule)))
            .collect()
    };
    let (from, to) = (by_id(from), by_id(to));
    let ids: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let lines = ids.into_iter().flat_map(|id| {
        let path = format!("lifecycle.{id}");
        match (from.get(id), to.get(id)) {
            (Some(from), Some(to)) => diff_fields(&path, from, to)
                .into_iter()
                .map(warn_if_deletes)
                .collect(),
            (None, Some(to)) => vec![warn_if_deletes(DiffLine::add(path, to.clone()))],
            (from, None) => vec![DiffLine::remove(path, from.cloned().unwrap_or_default())],
        }
    });
    lines.collect()
}

/// Adds a note to a line after which objects expire that did not expire before: a rule that is new,
/// enabled, wider or shorter. S3 deletes them without asking again. In a bucket with versioning, an
/// expired object remains as a noncurrent version.
fn warn_if_deletes(line: DiffLine) -> DiffLine {
    let field = line.path.rsplit('.').next().unwrap_or_default();
    let note = match field {
        "expire_days" => "what is older goes, for good where no versions are kept",
        "noncurrent_days" => "what is older is deleted for good",
        _ => "what is older goes",
    };
    if deletes_more(&line) {
        line.with_note(note)
    } else {
        line
    }
}

/// Whether objects expire after this change of a rule that did not expire before.
fn deletes_more(line: &DiffLine) -> bool {
    let days_of = |shown: &Option<DisplayValue>| match shown {
        Some(DisplayValue::Value(value)) => value.as_i64(),
        _ => None,
    };
    let has_expiry = |shown: &Option<DisplayValue>| {
        matches!(shown, Some(DisplayValue::Value(Value::Object(rule)))
        if rule.contains_key("expire_days") || rule.contains_key("noncurrent_days"))
    };
    let field = line.path.rsplit('.').next().unwrap_or_default();
    match field {
        "expire_days" | "noncurrent_days" => {
            days_of(&line.to).is_some_and(|to| days_of(&line.from).is_none_or(|from| to < from))
        }
        "prefix" => true,
        "enabled" => line.to == Some(DisplayValue::Value(Value::Bool(true))),
        _ => has_expiry(&line.to),
    }
}

/// Whether rules delete objects of a user for good that the rules before them keep. In a bucket with versioning that is so only
/// where noncurrent versions are deleted too: otherwise what expires stays as one. What trimtab itself keeps below its prefix does
/// not count.
fn loses_objects(from: &[LifecycleRule], to: &[LifecycleRule], keeps_versions: bool) -> bool {
    let of_user = |rules: &[LifecycleRule]| -> Vec<LifecycleRule> {
        let rules = rules.iter().cloned();
        rules
            .filter(|rule| !rule.prefix.starts_with(RESERVED_PREFIX))
            .collect()
    };
    let (from, to) = (of_user(from), of_user(to));
    let deletes_versions =
        |rule: &LifecycleRule| rule.enabled && (rule.noncurrent_days.is_some() || !keeps_versions);
    to.iter().any(|rule| {
        let expires = rule.expire_days.is_some()
            || rule.expire_date.is_some()
            || rule.noncurrent_days.is_some();
        let before: Vec<LifecycleRule> = from
            .iter()
            .filter(|before| before.id == rule.id)
            .cloned()
            .collect();
        let lines = diff_lifecycle_rules(&before, std::slice::from_ref(rule));
        rule.enabled && expires && lines.iter().any(deletes_more) && to.iter().any(deletes_versions)
    })
}

/// Whether two encryptions are equivalent. The bucket key only saves calls to KMS, so it has no
/// meaning without KMS.
fn is_same_encryption(from: &Encryption, to: &Encryption) -> bool {
    let is_aes256 = to.algorithm == Encryption::AES256;
    from.algorithm == to.algorithm
        && from.kms_key == to.kms_key
        && (is_aes256 || from.bucket_key == to.bucket_key)
}

/// The edits that bring a bucket to its spec, in the order that S3 needs: the public access block
/// before a policy that it might reject, versioning before rules about versions.
#[must_use]
pub fn compute_edits(spec: &BucketSpec, live: &BucketLive) -> Vec<BucketEdit> {
    let BucketSpec {
        name: _,
        region: _,
        encryption,
        public_access,
        ownership,
        versioning,
        lifecycle,
        policy,
        tags,
        needs: _,
        uses: _,
    } = spec;
    let mut edits: Vec<BucketEdit> = Vec::new();
    // Tags first: if the apply stops in between, the bucket is still recognized as ours.
    edits.extend(TagChange::diff(tags, &live.tags).map(BucketEdit::Tags));
    if *public_access != live.public_access {
        edits.push(BucketEdit::PublicAccessBlock(
            live.public_access,
            *public_access,
        ));
    }
    if live.ownership.as_ref() != Some(ownership) {
        edits.push(BucketEdit::Ownership(
            live.ownership.clone(),
            ownership.clone(),
        ));
    }
    if !live
        .encryption
        .as_ref()
        .is_some_and(|live_encryption| is_same_encryption(live_encryption, encryption))
    {
        edits.push(BucketEdit::Encryption(
            live.encryption.clone(),
            encryption.clone(),
        ));
    }
    if *versioning != (live.versioning.as_deref() == Some("Enabled")) {
        edits.push(BucketEdit::Versioning(*versioning));
    }
    if *lifecycle != live.lifecycle {
        edits.push(BucketEdit::Lifecycle(
            live.lifecycle.clone(),
            lifecycle.clone(),
        ));
    }
    let is_same_policy = match (&live.policy, policy) {
        (None, None) => true,
        (Some(live), Some(policy)) => live == policy,
        _ => false,
    };
    if !is_same_policy {
        // After the public access block, which may have to be lifted before S3 accepts a public
        // policy.
        edits.push(BucketEdit::Policy(
            live.policy.clone().map(Box::new),
            policy.clone().map(Box::new),
        ));
    }
    edits
}

impl Kind for Bucket {
    type Spec = BucketSpec;
    type Live = BucketLive;
    type Edit = BucketEdit;

    const KNOWN_AFTER_CREATE: &'static [&'static str] = &[];

    fn diff(spec: &BucketSpec, live: &BucketLive, _: &DiffContext<'_>) -> Diff<BucketEdit> {
        if spec.region != live.region {
            return Diff::Blocked(Blocker {
                reason: format!(
                    "bucket {} is in {}, not in {}",
                    spec.name, live.region, spec.region
                ),
                hint: format!(
                    "a bucket stays where it was made: say region = \"{}\", or another name",
                    live.region
                ),
            });
        }
        if let Some(blocker) = hazards::find_blocker(spec, live) {
            return Diff::Blocked(blocker);
        }
        let edits = compute_edits(spec, live);
        if edits.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(edits)
        }
    }

    fn creation_lines(spec: &BucketSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let BucketSpec {
            name,
            region,
            encryption,
            public_access,
            ownership,
            versioning,
            lifecycle,
            policy,
            tags,
            needs: _,
            uses: _,
        } = spec;
        let mut lines = vec![
            DiffLine::add("name", name.clone()),
            DiffLine::add("region", region.clone()),
        ];
        lines.push(DiffLine::add("encryption", encryption.algorithm.clone()));
        lines.extend(
            encryption
                .kms_key
                .clone()
                .map(|key| DiffLine::add("encryption.kms_key", key)),
        );
        let note_opening = *public_access != PublicAccessBlock::all(true);
        lines.push(match note_opening {
            false => DiffLine::add("public_access_block", "all"),
            true => DiffLine::add("public_access_block", "none").with_note("the public may get in"),
        });
        lines.extend(
            (ownership != super::BUCKET_OWNER_ENFORCED)
                .then(|| DiffLine::add("ownership", ownership.clone())),
        );
        lines.push(DiffLine::add("versioning", *versioning));
        let rule_lines = lifecycle
            .iter()
            .map(|rule| DiffLine::add_text(format!("lifecycle.{}", rule.id), rule.describe()));
        lines.extend(rule_lines);
        lines.extend(
            policy
                .iter()
                .flat_map(PolicyDocument::describe)
                .map(|words| DiffLine::add_text("policy", words)),
        );
        lines.extend(tags::tag_lines(tags));
        lines
    }

    fn identity(live: &BucketLive) -> String {
        live.name.clone()
    }

    fn describe(live: &BucketLive) -> String {
        format!("{}, {}", live.name, live.region)
    }
}

impl DeletionRules for Bucket {
    /// What an app uses on AWS is known only from the environment variables of its machines.
    const DELETED_LAST: bool = true;

    fn data_loss(_: &BucketLive) -> Option<DataLoss> {
        Some(DataLoss::Data)
    }

    /// S3 deletes what a lifecycle rule lets expire without asking again.
    fn edit_loss(live: &BucketLive, edits: &[BucketEdit]) -> Option<DataLoss> {
        live.holds.as_ref()?;
        let versioning = edits.iter().find_map(|edit| match edit {
            BucketEdit::Versioning(enabled) => Some(*enabled),
            _ => None,
        });
        let keeps_versions = versioning.unwrap_or(live.versioning.as_deref() == Some("Enabled"));
        let loses = edits.iter().any(|edit| match edit {
            BucketEdit::Lifecycle(from, to) => loses_objects(from, to, keeps_versions),
            _ => false,
        });
        // Rules that only made noncurrent versions then delete for good.
        let lifecycle_after = edits.iter().find_map(|edit| match edit {
            BucketEdit::Lifecycle(_, to) => Some(to),
            _ => None,
        });
        let suspends = versioning == Some(false)
            && loses_objects(&[], lifecycle_after.unwrap_or(&live.lifecycle), false);
        (loses || suspends).then_some(DataLoss::Data)
    }

    /// trimtab never empties a bucket: it may hold the last copy of something.
    fn deletion_blocker(live: &BucketLive) -> Option<Blocker> {
        let key = live.holds.as_ref()?;
        Some(Blocker {
            reason: format!("bucket {} holds objects, such as {key:?}", live.name),
            hint: format!(
                "empty it first, versions and all (`aws s3 rm s3://{} --recursive` leaves versions), or keep its block; to let \
                 it go with all it holds, take its tags `trimtab_*` off",
                live.name
            ),
        })
    }

    fn is_protected(live: &BucketLive) -> bool {
        tags::is_protected(&live.tags)
    }
}
