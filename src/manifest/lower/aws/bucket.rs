//! Buckets.

use serde_json::{Value, json};

use super::{AwsScene, check_region};
use crate::{
    kinds::aws::{
        Bucket, Role,
        bucket::{BucketSpec, LOCKS, tls_only},
        policy::Policy,
        tags,
    },
    manifest::{
        lower::{Lowered, Sink},
        shape::aws::{self as shape, Algorithm, EncryptionSource, Ownership},
        spot::Spot,
    },
    model::{
        Named, Table,
        s3::{Encryption, LifecycleRule, PublicAccessBlock, Transition},
    },
};

/// Days after which an unfinished upload is dropped when nothing is said: none takes a week, and what is left of it costs
/// money and is seen by nobody.
const ABORT_DAYS: u32 = 7;
/// The ids of our own rules.
const UPLOADS: &str = "trimtab-uploads";
const LOCK_VERSIONS: &str = "trimtab-locks";

impl AwsScene<'_> {
    pub(super) fn buckets(&self, out: &mut Lowered, sink: &mut Sink) {
        for (key, bucket) in &self.document.buckets {
            let Some(name) = self.name("buckets", key, sink) else { continue };
            let spec = self.bucket(&name, key, bucket, sink);
            out.desired.aws_bucket.insert(name.clone(), spec);
            self.place::<Bucket>("buckets", &name, out);
            self.adopt::<Bucket>(bucket.adopt, &name, out);
        }
    }

    fn bucket(
        &self,
        name: &crate::model::Name,
        key: &str,
        bucket: &shape::Bucket,
        sink: &mut Sink,
    ) -> BucketSpec {
        let at = self.at.key("buckets").key(key);
        let own = self.scene.references.value(&format!("buckets.{key}.name"));
        check_name(&own, at.key("name"), sink);
        let region = self.scene.references.value(&format!("buckets.{key}.region"));
        if at.key("region").is_written() {
            check_region(&region, at.key("region"), sink);
        }
        let mentioned = self.scene.mentions.aws.get(&format!("buckets.{key}"));
        let needs = mentioned.into_iter().flatten().filter(|to| to.kind() == Role::NAME).cloned().collect();
        check_tags(&bucket.tags, at.key("tags"), sink);
        check_key(bucket.encryption.as_ref(), at.key("encryption"), sink);
        BucketSpec {
            encryption: encryption(bucket.encryption.as_ref()),
            public_access: PublicAccessBlock::all(bucket.public_access_block.unwrap_or(true)),
            ownership: ownership(bucket.ownership).to_owned(),
            versioning: bucket.versioning.unwrap_or(true),
            lifecycle: lifecycle(bucket, at.key("lifecycle"), sink),
            policy: self.policy(&own, bucket, at, sink),
            tags: tags::wanted(&self.mark, name, &bucket.tags, bucket.protected.unwrap_or_default()),
            needs,
            name: own,
            region,
        }
    }

    fn policy(&self, name: &str, bucket: &shape::Bucket, at: Spot<'_>, sink: &mut Sink) -> Option<Policy> {
        let tls = bucket.tls_only.unwrap_or(true).then(|| tls_only(name));
        let own = bucket.statements.iter().map(|words| json!(words));
        let statements: Vec<Value> = tls.into_iter().chain(own).collect();
        if statements.is_empty() {
            return None;
        }
        for (index, words) in bucket.statements.iter().enumerate() {
            let spot = at.key("statements").item(index);
            for missing in ["Effect", "Principal", "Action"] {
                let negated = format!("Not{missing}");
                if !words.contains_key(missing) && !words.contains_key(&negated) {
                    let problem = spot.problem(format!("this statement has no `{missing}`"));
                    sink.error(problem.help(
                        "a statement of a bucket's policy says Effect, Principal, Action and Resource",
                    ));
                }
            }
        }
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        match Policy::of(&document) {
            Ok(policy) => Some(policy),
            Err(error) => {
                sink.error(at.key("statements").problem(error.to_string()));
                None
            }
        }
    }
}

/// Where the lock is rewritten with every run, its old versions go after a day.
pub(super) fn keep_locks_short(buckets: &mut Table<BucketSpec>, lock: Option<&(String, String)>) {
    let holder = buckets.values_mut().find(|spec| lock.is_some_and(|(name, _)| spec.name == *name));
    if let Some(spec) = holder.filter(|spec| spec.versioning) {
        spec.lifecycle.push(LifecycleRule {
            id: LOCK_VERSIONS.to_owned(),
            enabled: true,
            prefix: LOCKS.to_owned(),
            noncurrent_days: Some(1),
            ..LifecycleRule::default()
        });
        spec.lifecycle.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

/// S3's rules for names ("Bucket naming rules" in its user guide), without dots, which TLS certificates do not cover.
fn check_name(name: &str, at: Spot<'_>, sink: &mut Sink) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (3..=63).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !good {
        let problem = at.problem(format!("`{name}` cannot be a bucket's name"));
        let rule = "names have 3 to 63 characters: lower-case letters, digits and dashes";
        sink.error(problem.help(if at.is_written() {
            rule.to_owned()
        } else {
            format!("{rule}; say `name`")
        }));
    }
}

/// What both S3 and IAM take in tags.
pub(super) fn check_tags(tags: &std::collections::BTreeMap<String, String>, at: Spot<'_>, sink: &mut Sink) {
    let fits = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    for (key, value) in tags {
        let bad = if key.starts_with("trimtab_") || key.to_lowercase().starts_with("aws:") {
            Some("names that begin with `trimtab_` or `aws:` are taken")
        } else if key.is_empty() || key.len() > 128 || !key.chars().all(fits) {
            Some("a tag's name has letters, digits and `_.:/=+-@`, and at most 128 of them")
        } else if value.len() > 256 || !value.chars().all(|c| fits(c) || c == ' ') {
            Some("a tag's value has letters, digits, spaces and `_.:/=+-@`, and at most 256 of them")
        } else {
            None
        };
        if let Some(help) = bad {
            sink.error(at.key(key).key_problem(format!("`{key}` cannot be this tag")).help(help));
        }
    }
    let names: usize = tags.keys().map(|key| key.len() + 1).sum();
    if tags.len() > 40 || names > 256 {
        let problem = at.problem("these are too many tags");
        sink.error(
            problem
                .help("40 at most, with names of 256 characters together: trimtab remembers them in a tag"),
        );
    }
}

fn encryption(stated: Option<&EncryptionSource>) -> Encryption {
    match stated {
        None | Some(EncryptionSource::Algorithm(Algorithm::Aes256)) => Encryption::sse_s3(),
        Some(EncryptionSource::Algorithm(Algorithm::Kms)) => {
            Encryption { algorithm: "aws:kms".to_owned(), kms_key: None, bucket_key: true }
        }
        Some(EncryptionSource::Kms(kms)) => Encryption {
            algorithm: "aws:kms".to_owned(),
            kms_key: kms.kms.clone(),
            bucket_key: kms.bucket_key.unwrap_or(true),
        },
    }
}

/// An alias by its ARN, or a bare id, would make a bucket that its own app's role cannot read.
fn check_key(stated: Option<&EncryptionSource>, at: Spot<'_>, sink: &mut Sink) {
    let Some(EncryptionSource::Kms(shape::Kms { kms: Some(key), .. })) = stated else { return };
    let is_key = key.starts_with("arn:aws:kms:") && key.contains(":key/");
    if !is_key && !key.starts_with("alias/") {
        let problem = at.key("kms").problem(format!("`{key}` names no key of KMS"));
        sink.error(problem.help("write the key's ARN, with `:key/` in it, or `alias/NAME`"));
    }
}

fn ownership(stated: Option<Ownership>) -> &'static str {
    match stated.unwrap_or(Ownership::BucketOwnerEnforced) {
        Ownership::BucketOwnerEnforced => crate::kinds::aws::bucket::NO_ACLS,
        Ownership::BucketOwnerPreferred => "BucketOwnerPreferred",
        Ownership::ObjectWriter => "ObjectWriter",
    }
}

fn lifecycle(bucket: &shape::Bucket, at: Spot<'_>, sink: &mut Sink) -> Vec<LifecycleRule> {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    let mut rules: Vec<LifecycleRule> = Vec::new();
    for (id, rule) in &bucket.lifecycle {
        let spot = at.key(id);
        check_rule(id, rule, spot, sink);
        let moves = rule.transitions.iter().map(|(class, after)| Transition {
            days: days(Some(*after)),
            storage_class: class.clone(),
            ..Transition::default()
        });
        let mut transitions: Vec<Transition> = moves.collect();
        transitions.sort();
        rules.push(LifecycleRule {
            id: id.clone(),
            enabled: rule.enabled.unwrap_or(true),
            prefix: rule.prefix.clone().unwrap_or_default(),
            expire_days: days(rule.expire_days),
            expired_delete_markers: rule.expired_delete_markers.unwrap_or_default(),
            noncurrent_days: days(rule.noncurrent_days),
            noncurrent_keep: days(rule.noncurrent_keep),
            transitions,
            ..LifecycleRule::default()
        });
    }
    let abort = bucket.abort_multipart_days.unwrap_or(ABORT_DAYS);
    if abort > 0 {
        let abort_multipart_days = days(Some(abort));
        let id = UPLOADS.to_owned();
        rules.push(LifecycleRule { id, enabled: true, abort_multipart_days, ..LifecycleRule::default() });
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    rules
}

/// What S3 would refuse.
fn check_rule(id: &str, rule: &shape::LifecycleRule, at: Spot<'_>, sink: &mut Sink) {
    let markers = rule.expired_delete_markers == Some(true);
    let nothing = rule.expire_days.is_none()
        && rule.noncurrent_days.is_none()
        && rule.transitions.is_empty()
        && !markers;
    if id.is_empty() || id.len() > 255 || id == UPLOADS || id == LOCK_VERSIONS {
        sink.error(at.key_problem(format!("`{id}` cannot be a rule's id")).help("choose another"));
    }
    if nothing {
        let problem = at.problem(format!("rule `{id}` does nothing"));
        sink.error(
            problem.help("say `expire_days`, `noncurrent_days`, `transitions` or `expired_delete_markers`"),
        );
    }
    if markers && rule.expire_days.is_some() {
        let problem =
            at.key("expired_delete_markers").problem("`expire_days` does this too, and S3 refuses both");
        sink.error(problem.help("leave `expired_delete_markers` out, or give it a rule of its own"));
    }
    if rule.noncurrent_keep.is_some() && rule.noncurrent_days.is_none() {
        let problem = at.key("noncurrent_keep").problem("`noncurrent_keep` needs `noncurrent_days`");
        sink.error(problem.help("say after how many days the others go"));
    }
    for (class, days) in rule.transitions.iter().filter(|(class, days)| class.ends_with("_IA") && **days < 30)
    {
        let problem =
            at.key("transitions").key(class).problem(format!("objects move to {class} after {days} days"));
        sink.error(problem.help("S3 takes 30 days at least for this class"));
    }
    if let Some((class, _)) =
        rule.transitions.iter().find(|(_, days)| rule.expire_days.is_some_and(|end| end <= **days))
    {
        let problem = at.key("expire_days").problem(format!("objects expire before they move to {class}"));
        sink.error(problem.help("let them expire later, or leave the move out"));
    }
    for class in rule.transitions.keys().filter(|class| !CLASSES.contains(&class.as_str())) {
        let problem =
            at.key("transitions").key(class).key_problem(format!("there is no storage class `{class}`"));
        sink.error(problem.maybe_help(crate::manifest::suggest::help(class, CLASSES)));
    }
}

/// The storage classes that objects can move to.
const CLASSES: [&str; 6] =
    ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];
