//! Buckets.

use serde_json::{Value, json};

use super::{
    AwsContext, check_region_code, lifecycle, limits,
    tags::{self, TagRules},
};
use crate::{
    iam::policy::{PolicyDocument, PolicyUse},
    kinds::aws::{
        Bucket, Role,
        bucket::{BucketSpec, deny_insecure_transport_statement},
        tags::desired_tags,
    },
    manifest::{
        lower::{Diagnostics, Lowered},
        schema::aws::{self as shape, EncryptionAlgorithm, EncryptionSource, ObjectOwnership},
        syntax::cursor::Cursor,
    },
    model::{
        KindName,
        s3::{Encryption, PublicAccessBlock},
    },
};

/// The version of the policies that we write.
const POLICY_VERSION: &str = "2012-10-17";
/// What a statement consists of.
const STATEMENT_HELP: &str =
    "a statement of a bucket's policy says Effect, Principal, Action and Resource";

impl AwsContext<'_> {
    pub(super) fn lower_buckets(&self, out: &mut Lowered, sink: &mut Diagnostics) {
        for (key, bucket) in &self.manifest.buckets {
            let Some(name) = self.parse_key("buckets", key, sink) else {
                continue;
            };
            let spec = self.lower_bucket(&name, key, bucket, sink);
            out.desired.aws_bucket.insert(name.clone(), spec);
            self.record_location::<Bucket>("buckets", &name, out);
            self.record_adoption::<Bucket>(bucket.adopt, &name, out);
        }
    }

    fn lower_bucket(
        &self,
        name: &crate::model::Name,
        key: &str,
        bucket: &shape::BucketSection,
        sink: &mut Diagnostics,
    ) -> BucketSpec {
        let at = self.cursor.key("buckets").key(key);
        let own = self
            .context
            .aws_references
            .value_or_empty(&format!("buckets.{key}.name"));
        check_bucket_name(&own, at.key("name"), sink);
        let region = self
            .context
            .aws_references
            .value_or_empty(&format!("buckets.{key}.region"));
        if at.key("region").is_present() {
            check_region_code(&region, at.key("region"), sink);
        }
        let mentioned = self
            .context
            .used_references
            .aws
            .get(&format!("buckets.{key}"));
        let needs = mentioned
            .into_iter()
            .flatten()
            .filter(|to| to.kind() == Role::NAME)
            .cloned()
            .collect();
        tags::check_tags(&bucket.tags, TagRules::S3, at.key("tags"), sink);
        check_kms_key(
            bucket.encryption.as_ref(),
            &region,
            at.key("encryption"),
            sink,
        );
        BucketSpec {
            encryption: lower_encryption(bucket.encryption.as_ref()),
            public_access: PublicAccessBlock::all(bucket.public_access_block.unwrap_or(true)),
            ownership: object_ownership(bucket.ownership).to_owned(),
            versioning: bucket.versioning.unwrap_or(true),
            lifecycle: lifecycle::lower_lifecycle_rules(bucket, at.key("lifecycle"), sink),
            policy: self.bucket_policy(&own, bucket, at, sink),
            tags: desired_tags(
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
    fn bucket_policy(
        &self,
        name: &str,
        bucket: &shape::BucketSection,
        at: Cursor<'_>,
        sink: &mut Diagnostics,
    ) -> Option<PolicyDocument> {
        let at = at.key("statements");
        for (index, words) in bucket.statements.iter().enumerate() {
            let alone = PolicyDocument::from_json(
                &json!({ "Version": POLICY_VERSION, "Statement": [words] }),
            );
            if let Err(error) = alone {
                let why = error.to_string().replace("Statement[0]: ", "");
                sink.error(at.item(index).diagnostic(why).with_help(STATEMENT_HELP));
            }
        }
        let tls = bucket
            .tls_only
            .unwrap_or(true)
            .then(|| deny_insecure_transport_statement(name));
        let ours = tls.iter().len();
        let own = bucket.statements.iter().map(|words| json!(words));
        let statements: Vec<Value> = tls.into_iter().chain(own).collect();
        if statements.is_empty() {
            return None;
        }
        // What is wrong with one of them has been said.
        let policy = PolicyDocument::from_json(
            &json!({ "Version": POLICY_VERSION, "Statement": statements }),
        )
        .ok()?;
        let used = PolicyUse::Bucket {
            name,
            blocks_public: bucket.public_access_block.unwrap_or(true),
        };
        for (index, why) in policy.validate(used) {
            let index = index.and_then(|index| index.checked_sub(ours));
            let spot = index.map_or(at, |index| at.item(index));
            sink.error(spot.diagnostic(why));
        }
        limits::check_bucket_policy(&policy, at, sink);
        Some(policy)
    }
}

/// Beginnings and ends of names that S3 keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 4] = ["-s3alias", "--ol-s3", "--x-s3", "--table-s3"];

/// S3's rules for names ("Bucket naming rules" in its user guide), without dots, which TLS certificates do not cover.
fn check_bucket_name(name: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (3..=63).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-');
    let kept = RESERVED_PREFIXES
        .iter()
        .find(|begin| name.starts_with(**begin));
    let kept = kept.or_else(|| RESERVED_SUFFIXES.iter().find(|end| name.ends_with(**end)));
    if good && kept.is_none() {
        return;
    }
    let rule = match kept {
        Some(kept) => format!("S3 keeps names with `{kept}` there for itself"),
        None => "names have 3 to 63 characters: lower-case letters, digits and dashes".to_owned(),
    };
    let problem = at.diagnostic(format!("`{name}` cannot be a bucket's name"));
    sink.error(problem.with_help(if at.is_present() {
        rule
    } else {
        format!("{rule}; say `name`")
    }));
}

/// A bucket that is there already may have a name with dots.
pub(super) fn check_lock_bucket_name(name: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !(3..=63).contains(&name.len()) || !name.chars().all(fits) {
        let problem = at.diagnostic(format!("`{name}` is no bucket's name"));
        sink.error(problem.with_help("write its name alone, such as `acme-locks`"));
    }
}

fn lower_encryption(stated: Option<&EncryptionSource>) -> Encryption {
    match stated {
        None | Some(EncryptionSource::Algorithm(EncryptionAlgorithm::Aes256)) => {
            Encryption::sse_s3()
        }
        Some(EncryptionSource::Algorithm(EncryptionAlgorithm::Kms)) => Encryption {
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
fn check_kms_key(
    stated: Option<&EncryptionSource>,
    region: &str,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    let Some(EncryptionSource::Kms(shape::KmsEncryption { kms: Some(key), .. })) = stated else {
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
        let problem = at.diagnostic(format!("`{key}` names no key of KMS"));
        sink.error(problem.with_help("write the key's ARN, with `:key/` in it, or `alias/NAME`"));
    } else if of != region {
        let problem = at.diagnostic(format!("this key is in {of}, and the bucket in {region}"));
        sink.error(problem.with_help("S3 takes keys of the bucket's own region"));
    }
}

fn object_ownership(stated: Option<ObjectOwnership>) -> &'static str {
    match stated.unwrap_or(ObjectOwnership::BucketOwnerEnforced) {
        ObjectOwnership::BucketOwnerEnforced => crate::kinds::aws::bucket::BUCKET_OWNER_ENFORCED,
        ObjectOwnership::BucketOwnerPreferred => "BucketOwnerPreferred",
        ObjectOwnership::ObjectWriter => "ObjectWriter",
    }
}
