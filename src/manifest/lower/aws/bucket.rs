//! Buckets.

use serde_json::{Value, json};

use super::{
    AwsScene, check_region, lifecycle, limits,
    tags::{self, Keeper},
};
use crate::{
    kinds::aws::{
        Bucket, Role,
        bucket::{BucketSpec, tls_only},
        policy::{Policy, Use},
        tags::wanted,
    },
    manifest::{
        lower::{Lowered, Sink},
        shape::aws::{self as shape, Algorithm, EncryptionSource, Ownership},
        spot::Spot,
    },
    model::{
        Named,
        s3::{Encryption, PublicAccessBlock},
    },
};

/// The version of the policies that we write.
const VERSION: &str = "2012-10-17";
/// What a statement consists of.
const ELEMENTS: &str =
    "a statement of a bucket's policy says Effect, Principal, Action and Resource";

impl AwsScene<'_> {
    pub(super) fn buckets(&self, out: &mut Lowered, sink: &mut Sink) {
        for (key, bucket) in &self.document.buckets {
            let Some(name) = self.name("buckets", key, sink) else {
                continue;
            };
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
        let region = self
            .scene
            .references
            .value(&format!("buckets.{key}.region"));
        if at.key("region").is_written() {
            check_region(&region, at.key("region"), sink);
        }
        let mentioned = self.scene.mentions.aws.get(&format!("buckets.{key}"));
        let needs = mentioned
            .into_iter()
            .flatten()
            .filter(|to| to.kind() == Role::NAME)
            .cloned()
            .collect();
        tags::check(&bucket.tags, Keeper::S3, at.key("tags"), sink);
        check_key(
            bucket.encryption.as_ref(),
            &region,
            at.key("encryption"),
            sink,
        );
        BucketSpec {
            encryption: encryption(bucket.encryption.as_ref()),
            public_access: PublicAccessBlock::all(bucket.public_access_block.unwrap_or(true)),
            ownership: ownership(bucket.ownership).to_owned(),
            versioning: bucket.versioning.unwrap_or(true),
            lifecycle: lifecycle::rules(bucket, at.key("lifecycle"), sink),
            policy: self.policy(&own, bucket, at, sink),
            tags: wanted(
                &self.mark,
                name,
                &bucket.tags,
                bucket.protected.unwrap_or_default(),
            ),
            needs,
            name: own,
            region,
        }
    }

    /// Each of the manifest's own statements is read by itself, so that what is wrong is told at its place.
    fn policy(
        &self,
        name: &str,
        bucket: &shape::Bucket,
        at: Spot<'_>,
        sink: &mut Sink,
    ) -> Option<Policy> {
        let at = at.key("statements");
        for (index, words) in bucket.statements.iter().enumerate() {
            let alone = Policy::of(&json!({ "Version": VERSION, "Statement": [words] }));
            if let Err(error) = alone {
                let why = error.to_string().replace("Statement[0]: ", "");
                sink.error(at.item(index).problem(why).help(ELEMENTS));
            }
        }
        let tls = bucket.tls_only.unwrap_or(true).then(|| tls_only(name));
        let ours = tls.iter().len();
        let own = bucket.statements.iter().map(|words| json!(words));
        let statements: Vec<Value> = tls.into_iter().chain(own).collect();
        if statements.is_empty() {
            return None;
        }
        // What is wrong with one of them has been said.
        let policy = Policy::of(&json!({ "Version": VERSION, "Statement": statements })).ok()?;
        let used = Use::Bucket {
            name,
            blocks_public: bucket.public_access_block.unwrap_or(true),
        };
        for (index, why) in policy.refused(used) {
            let index = index.and_then(|index| index.checked_sub(ours));
            let spot = index.map_or(at, |index| at.item(index));
            sink.error(spot.problem(why));
        }
        limits::bucket_policy(&policy, at, sink);
        Some(policy)
    }
}

/// Beginnings and ends of names that S3 keeps for itself.
const KEPT: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const KEPT_ENDS: [&str; 4] = ["-s3alias", "--ol-s3", "--x-s3", "--table-s3"];

/// S3's rules for names ("Bucket naming rules" in its user guide), without dots, which TLS certificates do not cover.
fn check_name(name: &str, at: Spot<'_>, sink: &mut Sink) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (3..=63).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-');
    let kept = KEPT.iter().find(|begin| name.starts_with(**begin));
    let kept = kept.or_else(|| KEPT_ENDS.iter().find(|end| name.ends_with(**end)));
    if good && kept.is_none() {
        return;
    }
    let rule = match kept {
        Some(kept) => format!("S3 keeps names with `{kept}` there for itself"),
        None => "names have 3 to 63 characters: lower-case letters, digits and dashes".to_owned(),
    };
    let problem = at.problem(format!("`{name}` cannot be a bucket's name"));
    sink.error(problem.help(if at.is_written() {
        rule
    } else {
        format!("{rule}; say `name`")
    }));
}

/// A bucket that is there already may have a name with dots.
pub(super) fn check_lock_name(name: &str, at: Spot<'_>, sink: &mut Sink) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !(3..=63).contains(&name.len()) || !name.chars().all(fits) {
        let problem = at.problem(format!("`{name}` is no bucket's name"));
        sink.error(problem.help("write its name alone, such as `acme-locks`"));
    }
}

fn encryption(stated: Option<&EncryptionSource>) -> Encryption {
    match stated {
        None | Some(EncryptionSource::Algorithm(Algorithm::Aes256)) => Encryption::sse_s3(),
        Some(EncryptionSource::Algorithm(Algorithm::Kms)) => Encryption {
            algorithm: "aws:kms".to_owned(),
            kms_key: None,
            bucket_key: true,
        },
        Some(EncryptionSource::Kms(kms)) => Encryption {
            algorithm: "aws:kms".to_owned(),
            kms_key: kms.kms.clone(),
            bucket_key: kms.bucket_key.unwrap_or(true),
        },
    }
}

/// An alias by its ARN, or a bare id, would make a bucket that its own app's role cannot read. A key of another region
/// cannot be used at all.
fn check_key(stated: Option<&EncryptionSource>, region: &str, at: Spot<'_>, sink: &mut Sink) {
    let Some(EncryptionSource::Kms(shape::Kms { kms: Some(key), .. })) = stated else {
        return;
    };
    let at = at.key("kms");
    let alias = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
        !name.is_empty() && name.len() <= 250 && name.chars().all(fits)
    };
    let parts: Vec<&str> = key.splitn(6, ':').collect();
    let (of, good) = match *parts.as_slice() {
        ["arn", "aws", "kms", of, account, name] => (
            of,
            account.len() == 12 && name.strip_prefix("key/").is_some_and(|id| !id.is_empty()),
        ),
        _ => (region, key.strip_prefix("alias/").is_some_and(alias)),
    };
    if !good {
        let problem = at.problem(format!("`{key}` names no key of KMS"));
        sink.error(problem.help("write the key's ARN, with `:key/` in it, or `alias/NAME`"));
    } else if of != region {
        let problem = at.problem(format!("this key is in {of}, and the bucket in {region}"));
        sink.error(problem.help("S3 takes keys of the bucket's own region"));
    }
}

fn ownership(stated: Option<Ownership>) -> &'static str {
    match stated.unwrap_or(Ownership::BucketOwnerEnforced) {
        Ownership::BucketOwnerEnforced => crate::kinds::aws::bucket::NO_ACLS,
        Ownership::BucketOwnerPreferred => "BucketOwnerPreferred",
        Ownership::ObjectWriter => "ObjectWriter",
    }
}
