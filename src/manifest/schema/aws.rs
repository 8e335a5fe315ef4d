//! What stands in `[aws]`, `[buckets.KEY]`, `[identities.KEY]` and `[roles.KEY]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::DurationOrSeconds;

/// A policy document, or a statement of one, in AWS's own words.
pub type PolicyJson = BTreeMap<String, Value>;

/// The account on AWS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSection {
    /// The account's number, twelve digits. Nothing is planned with the credentials of another.
    #[schemars(required, example = &"123456789012")]
    pub account: Option<String>,
    /// The region of buckets that state none.
    #[schemars(required, example = &"eu-central-1")]
    pub region: Option<String>,
    /// Which bucket holds the lock that keeps two runs apart: the key of one of `buckets`, or a bucket that is there
    /// already. It must be said where there are several buckets; otherwise it is the one.
    pub lock: Option<LockSource>,
    /// Quotas of IAM that AWS has raised for this account.
    #[serde(default)]
    pub quotas: IamQuotas,
}

/// Quotas of IAM that AWS raises when asked. A manifest beyond them is refused before any request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IamQuotas {
    /// How many characters a role's trust policy may have. Default: 2048.
    #[schemars(range(min = 2048, max = 4096))]
    pub trust_policy: Option<u32>,
    /// How many managed policies may be attached to a role. Default: 10.
    #[schemars(range(min = 10, max = 100))]
    pub managed_policies: Option<u32>,
}

/// Where the lock is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LockSource {
    /// The key of a bucket of this manifest.
    Key(String),
    /// A bucket of the account that is managed elsewhere.
    Elsewhere(LockBucket),
}

/// A bucket that is managed elsewhere. Where a key of KMS encrypts it, trimtab's own credentials need `kms:Decrypt` and
/// `kms:GenerateDataKey` for that key, which `trimtab permissions` does not know.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockBucket {
    /// Its name.
    #[schemars(required, example = &"acme-locks")]
    pub name: Option<String>,
    /// Its region. Default: that of `aws`.
    pub region: Option<String>,
}

/// An S3 bucket: private, encrypted, with versions, and only over TLS, unless it says otherwise.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketSection {
    /// Its name, unique in all of AWS. Default: PROJECT-ENVIRONMENT-KEY-ACCOUNT. A bucket with a name of its own is not
    /// found again once this block has left the manifest; it then stays, and is nobody's.
    #[schemars(example = &"acme-backups")]
    pub name: Option<String>,
    /// Its region; fixed when it is made. Default: that of `aws`.
    pub region: Option<String>,
    /// How objects are encrypted at rest. Default: `AES256` (SSE-S3).
    pub encryption: Option<EncryptionSource>,
    /// Whether it keeps the versions that are overwritten or removed. Default: true.
    pub versioning: Option<bool>,
    /// Whether the public is kept out, whatever ACLs and policies say. Default: true.
    pub public_access_block: Option<bool>,
    /// Who owns what others write. Default: `BucketOwnerEnforced`, which turns ACLs off.
    pub ownership: Option<ObjectOwnership>,
    /// Whether requests without TLS are refused. Default: true.
    pub tls_only: Option<bool>,
    /// Days after which an unfinished upload is dropped; 0 never. Default: 7.
    #[schemars(range(min = 0, max = 3650))]
    pub abort_multipart_days: Option<u32>,
    /// Rules for what is old, by an id of your choice.
    #[serde(default)]
    pub lifecycle: BTreeMap<String, LifecycleRuleSection>,
    /// Further statements of its policy, in AWS's own words.
    #[serde(default)]
    pub statements: Vec<PolicyJson>,
    /// Tags beside trimtab's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Refuses to remove it, even after this block has left the manifest.
    pub protected: Option<bool>,
    /// Takes over a bucket of this name that was not made by trimtab.
    pub adopt: Option<bool>,
}

/// How objects are encrypted at rest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EncryptionSource {
    /// With keys that AWS keeps.
    Algorithm(EncryptionAlgorithm),
    /// With a key of KMS.
    Kms(KmsEncryption),
}

/// With keys that AWS keeps.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum EncryptionAlgorithm {
    /// S3's own keys.
    #[serde(rename = "AES256")]
    Aes256,
    /// The account's key for S3 in KMS.
    #[serde(rename = "aws:kms")]
    Kms,
}

/// With a key of KMS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KmsEncryption {
    /// The key: its ARN, or `alias/NAME`.
    #[schemars(required, example = &"arn:aws:kms:eu-central-1:123456789012:key/2f4e")]
    pub kms: Option<String>,
    /// Whether one key of the bucket stands for many calls to KMS. Default: true.
    pub bucket_key: Option<bool>,
}

/// Who owns what others write.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum ObjectOwnership {
    /// The bucket's owner; ACLs do nothing.
    BucketOwnerEnforced,
    /// The bucket's owner, where the writer says so.
    BucketOwnerPreferred,
    /// Who wrote it.
    ObjectWriter,
}

/// A rule for what is old.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRuleSection {
    /// The keys that it is for begin so. Default: all.
    #[schemars(example = &"db/")]
    pub prefix: Option<String>,
    /// Whether it is in force. Default: true.
    pub enabled: Option<bool>,
    /// Days after which the current version expires.
    #[schemars(range(min = 1, max = 36500))]
    pub expire_days: Option<u32>,
    /// Days after which a version that is no longer current goes.
    #[schemars(range(min = 1, max = 36500))]
    pub noncurrent_days: Option<u32>,
    /// How many such versions are kept all the same.
    #[schemars(range(min = 1, max = 100))]
    pub noncurrent_keep: Option<u32>,
    /// Whether a delete marker goes when nothing is left behind it. Not together with `expire_days`, which does it too.
    pub expired_delete_markers: Option<bool>,
    /// Moves to cheaper storage, by storage class: after so many days.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("GLACIER_IR", 30)]))]
    pub transitions: BTreeMap<String, u32>,
}

/// What an app on Fly may do on AWS, without a static key: a role that only its machines can take. The app's machines get
/// `AWS_ROLE_ARN` and `AWS_REGION`, which is all that AWS's SDKs need there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentitySection {
    /// The app, by key.
    #[schemars(required, example = &"web")]
    pub app: Option<String>,
    /// The role's name. Default: PROJECT-ENVIRONMENT-KEY.
    pub name: Option<String>,
    /// What it may do with which bucket, by the bucket's key.
    #[serde(default)]
    pub buckets: BTreeMap<String, BucketGrant>,
    /// Whether the app's machines get `AWS_ROLE_ARN` and `AWS_REGION`. Fly exchanges one role for an app. Default: true.
    pub env: Option<bool>,
    /// The longest session. Default: an hour.
    #[schemars(example = &"1h")]
    pub session: Option<DurationOrSeconds>,
    /// The ARN of a policy that bounds whatever the role is granted.
    pub permissions_boundary: Option<String>,
    /// Tags beside trimtab's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Refuses to remove it, even after this block has left the manifest.
    pub protected: Option<bool>,
}

/// What an identity may do with a bucket.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketGrant {
    /// Only keys below this one. Default: the whole bucket.
    #[schemars(example = &"db/")]
    pub prefix: Option<String>,
    /// What. Default: list, read and write. With versions kept, what may not delete cannot destroy a backup.
    pub allow: Option<Vec<BucketAccess>>,
}

/// Something that is done with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BucketAccess {
    /// See which keys there are.
    List,
    /// Read objects.
    Read,
    /// Write objects.
    Write,
    /// Delete objects.
    Delete,
}

/// A role in AWS's own words, for what `identities` cannot say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleSection {
    /// Its name. Default: PROJECT-ENVIRONMENT-KEY.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The app on Fly, by key, whose machines may take it; or else say `trust`.
    pub app: Option<String>,
    /// Who may take it: a policy document.
    pub trust: Option<PolicyJson>,
    /// Its own policies, by name: policy documents.
    #[serde(default)]
    pub policies: BTreeMap<String, PolicyJson>,
    /// The ARNs of the managed policies that are attached to it. Unstated, those that are there stay.
    pub managed_policies: Option<Vec<String>>,
    /// The longest session. Default: an hour.
    pub session: Option<DurationOrSeconds>,
    /// The ARN of a policy that bounds whatever the role is granted.
    pub permissions_boundary: Option<String>,
    /// Tags beside trimtab's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Refuses to remove it, even after this block has left the manifest.
    pub protected: Option<bool>,
}
