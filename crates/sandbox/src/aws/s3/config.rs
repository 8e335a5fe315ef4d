//! The configuration of a bucket: encryption, public access block, ownership controls and versioning.
//! Lifecycle rules, the policy and tags have modules of their own.

use serde::{Deserialize, Serialize};

use super::acl::BucketAcl;
use super::buckets;
use super::call::S3Call;
use super::lifecycle::LifecycleConfiguration;
use super::optional_config::OptionalConfig;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// The valid values of `ObjectOwnership`.
pub(super) const OBJECT_OWNERSHIP_VALUES: [&str; 3] = [
    "BucketOwnerEnforced",
    "BucketOwnerPreferred",
    "ObjectWriter",
];

/// The whole configuration of a bucket. Documents whose content does not matter to the sandbox are stored
/// as the client sent them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketConfig {
    pub(crate) encryption: XmlNode,
    pub(crate) public_access: Option<PublicAccessBlockConfiguration>,
    pub(crate) ownership: Option<String>,
    /// `Enabled` or `Suspended`; `None` if versioning was never enabled.
    pub(crate) versioning: Option<String>,
    pub(crate) lifecycle: Option<LifecycleConfiguration>,
    pub(crate) policy: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    /// `None` for that of a new bucket.
    #[serde(default)]
    pub(crate) acl: Option<BucketAcl>,
    #[serde(default)]
    pub(crate) optional: OptionalConfig,
}

/// The four settings of the public access block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicAccessBlockConfiguration {
    pub(crate) block_public_acls: bool,
    pub(crate) ignore_public_acls: bool,
    pub(crate) block_public_policy: bool,
    pub(crate) restrict_public_buckets: bool,
}

impl PublicAccessBlockConfiguration {
    /// The settings of either.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }
}

impl BucketConfig {
    /// The configuration of a new bucket, with the defaults that AWS uses since April 2026.
    pub(super) fn default_for_new_bucket() -> Self {
        Self {
            encryption: default_encryption_document(),
            public_access: Some(PublicAccessBlockConfiguration {
                block_public_acls: true,
                ignore_public_acls: true,
                block_public_policy: true,
                restrict_public_buckets: true,
            }),
            ownership: Some("BucketOwnerEnforced".to_owned()),
            versioning: None,
            lifecycle: None,
            policy: None,
            tags: Vec::new(),
            acl: None,
            optional: OptionalConfig::default(),
        }
    }

    /// Whether ACLs count, and can be set.
    pub(super) fn allows_acls(&self) -> bool {
        self.ownership.as_deref() != Some("BucketOwnerEnforced")
    }

    /// The default encryption algorithm of new objects, and the KMS key if one is set.
    pub(super) fn default_cipher(&self) -> (&str, Option<&str>) {
        let by_default = self
            .encryption
            .child("Rule")
            .and_then(|rule| rule.child("ApplyServerSideEncryptionByDefault"));
        let text = |name| by_default.and_then(|node| node.child_text(name));
        (
            text("SSEAlgorithm").unwrap_or("AES256"),
            text("KMSMasterKeyID"),
        )
    }

    /// Whether new objects use an S3 Bucket Key by default.
    pub(super) fn is_bucket_key_enabled(&self) -> bool {
        let rule = self.encryption.child("Rule");
        rule.and_then(|rule| rule.child_text("BucketKeyEnabled"))
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Whether the bucket blocks SSE-C (server-side encryption with customer-provided keys).
    pub(super) fn blocks_customer_keys(&self) -> bool {
        let blocked = self
            .encryption
            .child("Rule")
            .and_then(|rule| rule.child("BlockedEncryptionTypes"));
        blocked.is_some_and(|types| {
            types
                .children_named("EncryptionType")
                .any(|kind| kind.text == "SSE-C")
        })
    }
}

fn default_encryption_document() -> XmlNode {
    let rule = XmlNode::new("Rule")
        .with_child(
            XmlNode::new("ApplyServerSideEncryptionByDefault").with_text("SSEAlgorithm", "AES256"),
        )
        .with_text("BucketKeyEnabled", false)
        .with_child(XmlNode::new("BlockedEncryptionTypes").with_text("EncryptionType", "SSE-C"));
    XmlNode::new("ServerSideEncryptionConfiguration").with_child(rule)
}

/// `GetBucketEncryption`
pub(super) fn get_encryption(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    Ok(AwsResponse::s3_document(&call.visible_config()?.encryption))
}

/// `PutBucketEncryption`. It replaces the whole rule, so a request without `BlockedEncryptionTypes`
/// allows SSE-C again.
pub(super) fn put_encryption(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let mut node = call.parse_document("ServerSideEncryptionConfiguration")?;
    let [rule] = node.children.as_mut_slice() else {
        return Err(AwsError::malformed_xml());
    };
    let by_default = rule.child("ApplyServerSideEncryptionByDefault");
    let algorithm = by_default.map(|node| node.child_text("SSEAlgorithm").unwrap_or_default());
    if algorithm.is_some_and(|name| !matches!(name, "AES256" | "aws:kms" | "aws:kms:dsse")) {
        return Err(AwsError::malformed_xml());
    }
    let key = by_default.and_then(|node| node.child_text("KMSMasterKeyID"));
    if algorithm == Some("AES256") && key.is_some() {
        let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
        return Err(AwsError::invalid_argument(message));
    }
    let types = rule.child("BlockedEncryptionTypes");
    let is_unknown_type = |node: &XmlNode| !matches!(node.text.as_str(), "SSE-C" | "NONE");
    if types.is_some_and(|types| types.children_named("EncryptionType").any(is_unknown_type)) {
        return Err(AwsError::malformed_xml());
    }
    // `GetBucketEncryption` always returns this element.
    if rule.child("BucketKeyEnabled").is_none() {
        rule.children.push(XmlNode::leaf("BucketKeyEnabled", false));
    }
    call.update_config(|config| config.encryption = node)?;
    Ok(AwsResponse::empty(200))
}

/// `DeleteBucketEncryption` restores the default, because every bucket is encrypted.
pub(super) fn delete_encryption(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    call.update_config(|config| config.encryption = default_encryption_document())?;
    Ok(AwsResponse::empty(204))
}

const PUBLIC_ACCESS_SETTINGS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

/// `GetPublicAccessBlock`
pub(super) fn get_public_access(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let Some(block) = call.visible_config()?.public_access else {
        let message = "The public access block configuration was not found";
        return Err(no_such_configuration(
            call,
            "NoSuchPublicAccessBlockConfiguration",
            message,
        ));
    };
    Ok(AwsResponse::s3_document(&public_access_node(block)))
}

/// The document of a public access block.
pub(super) fn public_access_node(block: PublicAccessBlockConfiguration) -> XmlNode {
    let PublicAccessBlockConfiguration {
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    } = block;
    let values = [
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    ];
    let children = PUBLIC_ACCESS_SETTINGS
        .iter()
        .zip(values)
        .map(|(name, value)| XmlNode::leaf(*name, value));
    XmlNode::new("PublicAccessBlockConfiguration").with_children(children)
}

/// `PutPublicAccessBlock`
pub(super) fn put_public_access(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let block = parse_public_access(call)?;
    call.update_config(|config| config.public_access = Some(block))?;
    Ok(AwsResponse::empty(200))
}

/// The public access block in the body of a request.
///
/// # Errors
/// `400 MalformedXML`.
pub(super) fn parse_public_access(
    call: &S3Call<'_>,
) -> Result<PublicAccessBlockConfiguration, AwsError> {
    let node = call.parse_document("PublicAccessBlockConfiguration")?;
    let mut values = [false; 4];
    for child in &node.children {
        let index = PUBLIC_ACCESS_SETTINGS
            .iter()
            .position(|name| *name == child.name)
            .ok_or_else(AwsError::malformed_xml)?;
        values[index] = child
            .text
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| AwsError::malformed_xml())?;
    }
    let [
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    ] = values;
    Ok(PublicAccessBlockConfiguration {
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    })
}

/// `DeletePublicAccessBlock`
pub(super) fn delete_public_access(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    call.update_config(|config| config.public_access = None)?;
    Ok(AwsResponse::empty(204))
}

/// `GetBucketOwnershipControls`
pub(super) fn get_ownership(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let Some(ownership) = &call.visible_config()?.ownership else {
        return Err(no_such_configuration(
            call,
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
        ));
    };
    let rule = XmlNode::new("Rule").with_text("ObjectOwnership", ownership);
    Ok(AwsResponse::s3_document(
        &XmlNode::new("OwnershipControls").with_child(rule),
    ))
}

/// `PutBucketOwnershipControls`
pub(super) fn put_ownership(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("OwnershipControls")?;
    let [rule] = node.children.as_slice() else {
        return Err(AwsError::malformed_xml());
    };
    let value = rule
        .child_text("ObjectOwnership")
        .filter(|value| OBJECT_OWNERSHIP_VALUES.contains(value));
    let value = value.ok_or_else(AwsError::malformed_xml)?.to_owned();
    let bucket = call.bucket_state()?;
    let owner = buckets::canonical_user_id(&bucket.account);
    let acl = bucket.config.acl.as_ref();
    // Disabling ACLs must not take access away from somebody unnoticed.
    if value == "BucketOwnerEnforced" && acl.is_some_and(|acl| acl.grants_to_others(&owner)) {
        return Err(buckets::acl_with_disabled_acls());
    }
    call.update_config(|config| config.ownership = Some(value))?;
    Ok(AwsResponse::empty(200))
}

/// `DeleteBucketOwnershipControls`
pub(super) fn delete_ownership(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    call.update_config(|config| config.ownership = None)?;
    Ok(AwsResponse::empty(204))
}

/// `GetBucketVersioning`
pub(super) fn get_versioning(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let status = call.visible_config()?.versioning.clone();
    Ok(AwsResponse::s3_document(
        &XmlNode::new("VersioningConfiguration").with_optional_text("Status", status),
    ))
}

/// `PutBucketVersioning`
pub(super) fn put_versioning(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("VersioningConfiguration")?;
    let status = node
        .child_text("Status")
        .filter(|value| matches!(*value, "Enabled" | "Suspended"));
    let status = status.map(str::to_owned).ok_or_else(|| {
        let message = "The Versioning element must be specified";
        AwsError::new(400, "IllegalVersioningConfigurationException", message)
    })?;
    call.update_config(|config| config.versioning = Some(status))?;
    Ok(AwsResponse::empty(200))
}

/// The `404` for a part of the configuration that is not set.
pub(super) fn no_such_configuration(call: &S3Call<'_>, code: &str, message: &str) -> AwsError {
    AwsError::new(404, code, message).with_element("BucketName", &call.bucket)
}

/// `GetBucketAbac`
pub(super) fn get_abac(_: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    Ok(AwsResponse::s3_document(
        &XmlNode::new("AbacStatus").with_text("Status", "Disabled"),
    ))
}

/// `GetBucketLogging`
pub(super) fn get_logging(_: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    Ok(AwsResponse::s3_document(&XmlNode::new(
        "BucketLoggingStatus",
    )))
}

/// `GetObjectLockConfiguration`
pub(super) fn get_object_lock(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let message = "Object Lock configuration does not exist for this bucket";
    Err(no_such_configuration(
        call,
        "ObjectLockConfigurationNotFoundError",
        message,
    ))
}
