//! The schema of `[aws]`, `[buckets.KEY]`, `[identities.KEY]` and `[roles.KEY]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::DurationOrSeconds;

/// A policy document, or a statement of one, in AWS's own JSON format.
pub type PolicyJson = BTreeMap<String, Value>;

/// The account on AWS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSection {
    /// The account id, twelve digits. Credentials of another account are refused.
    #[schemars(required, example = &"123456789012")]
    pub account: Option<String>,
    /// The region of buckets that set none.
    #[schemars(required, example = &"eu-central-1")]
    pub region: Option<String>,
    /// Which bucket holds the lock that prevents two runs at once: the key of one of `buckets`, or
    /// an existing bucket. Required when there are several buckets. Default: the only one.
    pub lock: Option<LockSource>,
    /// Quotas of IAM that AWS has raised for this account.
    #[serde(default)]
    pub quotas: IamQuotas,
}

/// Quotas of IAM that AWS raises on request. A manifest that exceeds them is refused before any
/// request.
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

/// The bucket that holds the lock.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LockSource {
    /// The key of a bucket of this manifest.
    Key(String),
    /// A bucket of the account that is managed elsewhere.
    Elsewhere(LockBucket),
}

/// A bucket that is managed elsewhere.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockBucket {
    /// Its name.
    #[schemars(required, example = &"acme-locks")]
    pub name: Option<String>,
    /// Its region. Default: that of `aws`.
    pub region: Option<String>,
}

/// An S3 bucket: by default private, encrypted, versioned and only accessible over TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketSection {
    /// Its name, unique in all of AWS. Default: PROJECT-ENVIRONMENT-KEY-ACCOUNT. A bucket with
    /// another name is not found again once this block is removed from the manifest; it then
    /// remains in the account, unmanaged.
    #[schemars(example = &"acme-backups")]
    pub name: Option<String>,
    /// Its region; it cannot be changed later. Default: that of `aws`.
    pub region: Option<String>,
    /// How objects are encrypted at rest. Default: `AES256` (SSE-S3). Objects that are there keep the
    /// key that they were written with.
    pub encryption: Option<EncryptionSource>,
    /// KMS keys that the bucket had before: identities that may read it keep `kms:Decrypt` on them.
    #[serde(default)]
    #[schemars(example = &["arn:aws:kms:eu-central-1:123456789012:key/2f4e"])]
    pub former_kms_keys: Vec<String>,
    /// Whether it keeps versions of objects that are overwritten or deleted. Default: true.
    pub versioning: Option<bool>,
    /// Whether public access is blocked, whatever ACLs and policies say. Default: true.
    pub public_access_block: Option<bool>,
    /// Who owns objects that others upload. Default: `BucketOwnerEnforced`, which disables ACLs.
    pub ownership: Option<ObjectOwnership>,
    /// Whether requests without TLS are refused. Default: true.
    pub tls_only: Option<bool>,
    /// Days after which an incomplete multipart upload is aborted; 0 for never. Default: 7.
    #[schemars(range(min = 0, max = 3650))]
    pub abort_multipart_days: Option<u32>,
    /// Lifecycle rules, by an id of your choice.
    #[serde(default)]
    pub lifecycle: BTreeMap<String, LifecycleRuleSection>,
    /// Additional statements of its policy, in AWS's own format.
    #[serde(default)]
    pub statements: Vec<PolicyJson>,
    /// Tags in addition to trimtab's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Refuses to delete it, even after this block is removed from the manifest.
    pub protected: Option<bool>,
    /// Adopts an existing bucket of this name that trimtab did not create.
    pub adopt: Option<bool>,
}

/// How objects are encrypted at rest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EncryptionSource {
    /// With a key that AWS manages.
    Algorithm(EncryptionAlgorithm),
    /// With a KMS key.
    Kms(KmsEncryption),
}

/// With a key that AWS manages.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum EncryptionAlgorithm {
    /// A key that S3 manages (SSE-S3).
    #[serde(rename = "AES256")]
    Aes256,
    /// The account's default KMS key for S3.
    #[serde(rename = "aws:kms")]
    Kms,
}

/// With a KMS key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KmsEncryption {
    /// The key: its ARN, or `alias/NAME`.
    #[schemars(required, example = &"arn:aws:kms:eu-central-1:123456789012:key/2f4e")]
    pub kms: Option<String>,
    /// Whether a bucket key saves calls to KMS. Default: true.
    pub bucket_key: Option<bool>,
}

/// Who owns objects that others upload. Default: `BucketOwnerEnforced`, which disables ACLs.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum ObjectOwnership {
    /// The bucket's owner; ACLs have no effect.
    BucketOwnerEnforced,
    /// The bucket's owner, if the uploader's ACL grants it.
    BucketOwnerPreferred,
    /// The uploader.
    ObjectWriter,
}

/// A lifecycle rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRuleSection {
    /// The prefix of the keys it applies to. Default: all keys.
    #[schemars(example = &"db/")]
    pub prefix: Option<String>,
    /// Whether it is active. Default: true.
    pub enabled: Option<bool>,
    /// Days after which the current version expires.
    #[schemars(range(min = 1, max = 36500))]
    pub expire_days: Option<u32>,
    /// Days after which a noncurrent version is deleted.
    #[schemars(range(min = 1, max = 36500))]
    pub noncurrent_days: Option<u32>,
    /// How many noncurrent versions are kept regardless.
    #[schemars(range(min = 1, max = 100))]
    pub noncurrent_keep: Option<u32>,
    /// Whether a delete marker is removed when no version is left. Not together with `expire_days`,
    /// which includes it.
    pub expired_delete_markers: Option<bool>,
    /// Transitions to cheaper storage: the storage class, and after how many days.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("GLACIER_IR", 30)]))]
    pub transitions: BTreeMap<String, u32>,
}

/// The rights of an app on AWS, without a static key: a role that only its machines can assume. The
/// app's machines get `AWS_ROLE_ARN` and `AWS_REGION`, which is all that AWS's SDKs need there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentitySection {
    /// The app, by key.
    #[schemars(required, example = &"web")]
    pub app: Option<String>,
    /// The role's name. Default: PROJECT-ENVIRONMENT-KEY.
    pub name: Option<String>,
    /// The access to each bucket, by the bucket's key.
    #[serde(default)]
    pub buckets: BTreeMap<String, BucketGrant>,
    /// Whether the app's machines get `AWS_ROLE_ARN` and `AWS_REGION`. Fly supports one role per
    /// app. Default: true.
    pub env: Option<bool>,
    /// The longest session. Default: an hour.
    #[schemars(example = &"1h")]
    pub session: Option<DurationOrSeconds>,
    /// The ARN of the permissions boundary, a policy that limits whatever the role is granted.
    pub permissions_boundary: Option<String>,
    /// Tags in addition to trimtab's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Refuses to delete it, even after this block is removed from the manifest.
    pub protected: Option<bool>,
}

/// The access of an identity to a bucket.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketGrant {
    /// Only keys with this prefix. Default: the whole bucket.
    #[schemars(example = &"db/")]
    pub prefix: Option<String>,
    /// What is allowed. Default: list, read and write. Without `delete` it cannot destroy a backup
    /// in a bucket that keeps versions.
    pub allow: Option<Vec<BucketAccess>>,
}

/// An operation on objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BucketAccess {
    /// List keys.
    List,
    /// Read objects.
    Read,
    /// Write objects.
    Write,
    /// Delete objects.
    Delete,
}

/// A role in AWS's own terms, for what `identities` cannot express.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleSection {
    /// Its name. Default: PROJECT-ENVIRONMENT-KEY.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The app on Fly, by key, whose machines may assume it; alternatively set `trust`.
    pub app: Option<String>,
    /// Who may assume it: a policy document.
    pub trust: Option<PolicyJson>,
    /// Its inline policies, by name: policy documents.
    #[serde(default)]
    pub policies: BTreeMap<String, PolicyJson>,
    /// The ARNs of the managed policies attached to it. Default: attached policies are left as they
    /// are.
    pub managed_policies: Option<Vec<String>>,
    /// The longest session. Default: an hour.
    pub session: Option<DurationOrSeconds>,
    /// The ARN of the permissions boundary, a policy that limits whatever the role is granted.
    pub permissions_boundary: Option<String>,
    /// Tags in addition to trimtab's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Refuses to delete it, even after this block is removed from the manifest.
    pub protected: Option<bool>,
}
