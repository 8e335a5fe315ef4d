//! Lowers `[buckets.KEY]` to bucket specs.

use serde_json::{Value, json};

use super::{
    AwsContext, check_region_code, lifecycle, limits,
    tags::{self, TagRules},
};
use crate::{
    iam::policy::{PolicyDocument, PolicyUse},
    kinds::aws::{
        Bucket, Role,
        bucket::{
            BucketSpec, BucketUses, RESERVED_PREFIX, RequestSender,
            deny_insecure_transport_statement, find_denial,
        },
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

/// The version of the policy language.
const POLICY_VERSION: &str = "2012-10-17";
const STATEMENT_HELP: &str =
    "a statement of a bucket policy needs Effect, Principal, Action and Resource";

impl AwsContext<'_> {
    pub(super) fn lower_buckets(&self, out: &mut Lowered, diagnostics: &mut Diagnostics) {
        for (key, bucket) in &self.manifest.buckets {
            let Some(name) = self.parse_key("buckets", key, diagnostics) else {
                continue;
            };
            let spec = self.lower_bucket(&name, key, bucket, diagnostics);
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
        diagnostics: &mut Diagnostics,
    ) -> BucketSpec {
        let cursor = self.cursor.key("buckets").key(key);
        let bucket_name = self
            .context
            .aws_references
            .value_or_empty(&format!("buckets.{key}.name"));
        check_bucket_name(&bucket_name, cursor.key("name"), diagnostics);
        let region = self
            .context
            .aws_references
            .value_or_empty(&format!("buckets.{key}.region"));
        if cursor.key("region").is_present() {
            check_region_code(&region, cursor.key("region"), diagnostics);
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
        tags::check_tags(&bucket.tags, TagRules::S3, cursor.key("tags"), diagnostics);
        if let Some(EncryptionSource::Kms(shape::KmsEncryption { kms: Some(key), .. })) =
            &bucket.encryption
        {
            check_kms_key(
                key,
                &region,
                cursor.key("encryption").key("kms"),
                diagnostics,
            );
        }
        for (index, key) in bucket.former_kms_keys.iter().enumerate() {
            let field = cursor.key("former_kms_keys").item(index);
            check_kms_key(key, &region, field, diagnostics);
        }
        BucketSpec {
            encryption: lower_encryption(bucket.encryption.as_ref()),
            public_access: PublicAccessBlock::all(bucket.public_access_block.unwrap_or(true)),
            ownership: object_ownership(bucket.ownership).to_owned(),
            versioning: bucket.versioning.unwrap_or(true),
            lifecycle: lifecycle::lower_lifecycle_rules(
                bucket,
                cursor.key("lifecycle"),
                diagnostics,
            ),
            policy: self.bucket_policy(&bucket_name, bucket, cursor, diagnostics),
            tags: desired_tags(
                &self.mark,
                name,
                &bucket.tags,
                bucket.protected.unwrap_or_default(),
            ),
            needs,
            uses: BucketUses {
                former_kms_keys: bucket.former_kms_keys.iter().cloned().collect(),
                ..BucketUses::default()
            },
            name: bucket_name,
            region,
        }
    }

    /// Records which bucket holds the lock, and checks that no policy denies everyone what every run
    /// does: to take the lock, and to read the bucket and its policy.
    pub(super) fn check_own_access(
        &self,
        lock: Option<&(String, String)>,
        out: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) {
        for (key, spec) in out.desired.aws_bucket.iter_mut() {
            let holds_lock = lock.is_some_and(|(name, _)| *name == spec.name);
            spec.uses.lock_key = holds_lock.then(|| self.mark.lock_key());
            let Some(policy) = &spec.policy else { continue };
            let lock_key = spec.uses.lock_key.as_deref();
            let everyone = RequestSender {
                account: &self.account,
                caller: None,
            };
            let denial = find_denial(&spec.name, policy, lock_key, everyone);
            let stated = self.manifest.buckets.get(key.as_str());
            let ours = stated.map_or(0, own_statement_count);
            let Some((index, action)) =
                denial.and_then(|(index, action)| Some((index.checked_sub(ours)?, action)))
            else {
                continue;
            };
            let used = PolicyUse::Bucket {
                name: &spec.name,
                account: &self.account,
                blocks_public: false,
            };
            let mut reported = policy.validate(used).into_iter();
            if reported.any(|(reported, _)| reported == Some(index + ours)) {
                continue;
            }
            let field = self
                .cursor
                .key("buckets")
                .key(key.as_str())
                .key("statements")
                .item(index);
            let what = if action.ends_with("Object") {
                "the lock's object"
            } else {
                "the bucket"
            };
            let diagnostic = field.diagnostic(format!(
                "this denies everyone {action} on {what}, so no later run could change this environment"
            ));
            diagnostics.error(diagnostic.with_help(format!(
                "trimtab's lock is below `{RESERVED_PREFIX}`, and is written over TLS: restrict the Resource, or except trimtab's \
                 role in the Condition"
            )));
        }
    }

    /// The bucket's policy. Each statement of the manifest is first parsed by itself, so that an
    /// error points at it.
    fn bucket_policy(
        &self,
        name: &str,
        bucket: &shape::BucketSection,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<PolicyDocument> {
        let cursor = cursor.key("statements");
        for (index, words) in bucket.statements.iter().enumerate() {
            let alone = PolicyDocument::from_json(
                &json!({ "Version": POLICY_VERSION, "Statement": [words] }),
            );
            if let Err(error) = alone {
                let reason = error.to_string().replace("Statement[0]: ", "");
                diagnostics.error(
                    cursor
                        .item(index)
                        .diagnostic(reason)
                        .with_help(STATEMENT_HELP),
                );
            }
        }
        let generated_count = own_statement_count(bucket);
        let tls = (generated_count > 0).then(|| deny_insecure_transport_statement(name));
        let stated = bucket.statements.iter().map(|words| json!(words));
        let statements: Vec<Value> = tls.into_iter().chain(stated).collect();
        if statements.is_empty() {
            return None;
        }
        // Invalid statements have been reported above.
        let policy = PolicyDocument::from_json(
            &json!({ "Version": POLICY_VERSION, "Statement": statements }),
        )
        .ok()?;
        let used = PolicyUse::Bucket {
            name,
            account: &self.account,
            blocks_public: bucket.public_access_block.unwrap_or(true),
        };
        for (index, reason) in policy.validate(used) {
            let index = index.and_then(|index| index.checked_sub(generated_count));
            let field = index.map_or(cursor, |index| cursor.item(index));
            diagnostics.error(field.diagnostic(reason));
        }
        limits::check_bucket_policy(&policy, cursor, diagnostics);
        Some(policy)
    }
}

/// How many statements trimtab puts before those of the manifest.
fn own_statement_count(bucket: &shape::BucketSection) -> usize {
    usize::from(bucket.tls_only.unwrap_or(true))
}

/// Prefixes and suffixes of names that S3 reserves ("Bucket naming rules" in its user guide).
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 4] = ["-s3alias", "--ol-s3", "--x-s3", "--table-s3"];

/// Checks S3's rules for names ("Bucket naming rules" in its user guide). Dots are refused too,
/// because TLS certificates do not cover them.
fn check_bucket_name(name: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (3..=63).contains(&name.len())
        && name.chars().all(is_allowed)
        && !name.starts_with('-')
        && !name.ends_with('-');
    let reserved = RESERVED_PREFIXES
        .iter()
        .find(|begin| name.starts_with(**begin));
    let reserved = reserved.or_else(|| RESERVED_SUFFIXES.iter().find(|end| name.ends_with(**end)));
    if good && reserved.is_none() {
        return;
    }
    let rule = match reserved {
        Some(reserved) => format!("S3 reserves names with `{reserved}`"),
        None => "names have 3 to 63 characters: lower-case letters, digits and dashes".to_owned(),
    };
    let diagnostic = cursor.diagnostic(format!("`{name}` cannot be a bucket's name"));
    diagnostics.error(diagnostic.with_help(if cursor.is_present() {
        rule
    } else {
        format!("{rule}; set `name`")
    }));
}

/// Checks the name of an existing bucket, which may contain dots.
pub(super) fn check_lock_bucket_name(
    name: &str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !(3..=63).contains(&name.len()) || !name.chars().all(is_allowed) {
        let diagnostic = cursor.diagnostic(format!("`{name}` is not a bucket name"));
        diagnostics.error(diagnostic.with_help("write its name alone, such as `acme-locks`"));
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

/// Checks a KMS key. An alias by its ARN, or a bare key id, would lead to a bucket that the app's
/// own role cannot read; a key of another region cannot be used at all.
fn check_kms_key(key: &str, region: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let alias = |name: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
        !name.is_empty() && name.len() <= 250 && name.chars().all(is_allowed)
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
        let diagnostic = cursor.diagnostic(format!("`{key}` is not a KMS key"));
        diagnostics.error(
            diagnostic.with_help("write the key's ARN, with `:key/` in it, or `alias/NAME`"),
        );
    } else if of != region {
        let diagnostic =
            cursor.diagnostic(format!("this key is in {of}, and the bucket in {region}"));
        diagnostics.error(diagnostic.with_help("S3 only accepts keys of the bucket's own region"));
    }
}

fn object_ownership(stated: Option<ObjectOwnership>) -> &'static str {
    match stated.unwrap_or(ObjectOwnership::BucketOwnerEnforced) {
        ObjectOwnership::BucketOwnerEnforced => crate::kinds::aws::bucket::BUCKET_OWNER_ENFORCED,
        ObjectOwnership::BucketOwnerPreferred => "BucketOwnerPreferred",
        ObjectOwnership::ObjectWriter => "ObjectWriter",
    }
}
