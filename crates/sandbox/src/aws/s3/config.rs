//! A bucket's configuration, except for what has a file of its own.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::lifecycle::Lifecycle;
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::Node;

/// What may be said about who owns objects that others write.
pub(super) const OWNERSHIPS: [&str; 3] = [
    "BucketOwnerEnforced",
    "BucketOwnerPreferred",
    "ObjectWriter",
];

/// All of it. Documents that are nobody's business but the client's are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) encryption: Node,
    pub(crate) public_access: Option<PublicAccess>,
    pub(crate) ownership: Option<String>,
    /// `Enabled` or `Suspended`; nothing when it never was.
    pub(crate) versioning: Option<String>,
    pub(crate) lifecycle: Option<Lifecycle>,
    pub(crate) policy: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
}

/// What is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicAccess {
    pub(crate) block_public_acls: bool,
    pub(crate) ignore_public_acls: bool,
    pub(crate) block_public_policy: bool,
    pub(crate) restrict_public_buckets: bool,
}

impl Config {
    /// What a bucket begins with.
    pub(super) fn modern() -> Self {
        Self {
            encryption: default_encryption(),
            public_access: Some(PublicAccess {
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
        }
    }

    /// The algorithm that objects are encrypted with unless they say otherwise, and the key if it is one of KMS.
    pub(super) fn cipher(&self) -> (&str, Option<&str>) {
        let by_default = self
            .encryption
            .get("Rule")
            .and_then(|rule| rule.get("ApplyServerSideEncryptionByDefault"));
        let text = |name| by_default.and_then(|node| node.text_of(name));
        (
            text("SSEAlgorithm").unwrap_or("AES256"),
            text("KMSMasterKeyID"),
        )
    }

    /// Whether one key of the bucket stands between its objects and KMS, unless they say otherwise.
    pub(super) fn has_bucket_key(&self) -> bool {
        let rule = self.encryption.get("Rule");
        rule.and_then(|rule| rule.text_of("BucketKeyEnabled"))
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Whether objects may not be encrypted with a key that the client brings.
    pub(super) fn blocks_customer_keys(&self) -> bool {
        let blocked = self
            .encryption
            .get("Rule")
            .and_then(|rule| rule.get("BlockedEncryptionTypes"));
        blocked.is_some_and(|types| {
            types
                .each("EncryptionType")
                .any(|kind| kind.text == "SSE-C")
        })
    }
}

fn default_encryption() -> Node {
    let rule = Node::new("Rule")
        .with(Node::new("ApplyServerSideEncryptionByDefault").text("SSEAlgorithm", "AES256"))
        .text("BucketKeyEnabled", false)
        .with(Node::new("BlockedEncryptionTypes").text("EncryptionType", "SSE-C"));
    Node::new("ServerSideEncryptionConfiguration").with(rule)
}

pub(super) fn get_encryption(call: &mut Call<'_>) -> Result<Reply, Problem> {
    Ok(Reply::xml(&call.config()?.encryption))
}

/// Replaces the whole rule: who does not repeat that SSE-C is blocked lets it in again.
pub(super) fn put_encryption(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let mut node = call.document("ServerSideEncryptionConfiguration")?;
    let [rule] = node.children.as_mut_slice() else {
        return Err(Problem::malformed_xml());
    };
    let by_default = rule.get("ApplyServerSideEncryptionByDefault");
    let algorithm = by_default.map(|node| node.text_of("SSEAlgorithm").unwrap_or_default());
    if algorithm.is_some_and(|name| !matches!(name, "AES256" | "aws:kms" | "aws:kms:dsse")) {
        return Err(Problem::malformed_xml());
    }
    let key = by_default.and_then(|node| node.text_of("KMSMasterKeyID"));
    if algorithm == Some("AES256") && key.is_some() {
        let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
        return Err(Problem::argument(message));
    }
    let types = rule.get("BlockedEncryptionTypes");
    let odd = |node: &Node| !matches!(node.text.as_str(), "SSE-C" | "NONE");
    if types.is_some_and(|types| types.each("EncryptionType").any(odd)) {
        return Err(Problem::malformed_xml());
    }
    if rule.get("BucketKeyEnabled").is_none() {
        rule.children.push(Node::leaf("BucketKeyEnabled", false));
    }
    call.configure(|config| config.encryption = node)?;
    Ok(Reply::empty(200))
}

/// Back to the default: there is no bucket without encryption.
pub(super) fn delete_encryption(call: &mut Call<'_>) -> Result<Reply, Problem> {
    call.configure(|config| config.encryption = default_encryption())?;
    Ok(Reply::empty(204))
}

const ACCESS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

pub(super) fn get_public_access(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let Some(block) = call.config()?.public_access else {
        let message = "The public access block configuration was not found";
        return Err(absent(
            call,
            "NoSuchPublicAccessBlockConfiguration",
            message,
        ));
    };
    let PublicAccess {
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
    let children = ACCESS
        .iter()
        .zip(values)
        .map(|(name, value)| Node::leaf(*name, value));
    Ok(Reply::xml(
        &Node::new("PublicAccessBlockConfiguration").all(children),
    ))
}

pub(super) fn put_public_access(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("PublicAccessBlockConfiguration")?;
    let mut values = [false; 4];
    for child in &node.children {
        let at = ACCESS
            .iter()
            .position(|name| *name == child.name)
            .ok_or_else(Problem::malformed_xml)?;
        values[at] = child
            .text
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| Problem::malformed_xml())?;
    }
    let [
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    ] = values;
    let block = PublicAccess {
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    };
    call.configure(|config| config.public_access = Some(block))?;
    Ok(Reply::empty(200))
}

pub(super) fn delete_public_access(call: &mut Call<'_>) -> Result<Reply, Problem> {
    call.configure(|config| config.public_access = None)?;
    Ok(Reply::empty(204))
}

pub(super) fn get_ownership(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let Some(ownership) = &call.config()?.ownership else {
        return Err(absent(
            call,
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
        ));
    };
    let rule = Node::new("Rule").text("ObjectOwnership", ownership);
    Ok(Reply::xml(&Node::new("OwnershipControls").with(rule)))
}

pub(super) fn put_ownership(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("OwnershipControls")?;
    let [rule] = node.children.as_slice() else {
        return Err(Problem::malformed_xml());
    };
    let said = rule
        .text_of("ObjectOwnership")
        .filter(|said| OWNERSHIPS.contains(said));
    let said = said.ok_or_else(Problem::malformed_xml)?.to_owned();
    call.configure(|config| config.ownership = Some(said))?;
    Ok(Reply::empty(200))
}

pub(super) fn delete_ownership(call: &mut Call<'_>) -> Result<Reply, Problem> {
    call.configure(|config| config.ownership = None)?;
    Ok(Reply::empty(204))
}

pub(super) fn get_versioning(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let status = call.config()?.versioning.clone();
    Ok(Reply::xml(
        &Node::new("VersioningConfiguration").maybe("Status", status),
    ))
}

pub(super) fn put_versioning(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("VersioningConfiguration")?;
    let status = node
        .text_of("Status")
        .filter(|said| matches!(*said, "Enabled" | "Suspended"));
    let status = status.map(str::to_owned).ok_or_else(|| {
        let message = "The Versioning element must be specified";
        Problem::new(400, "IllegalVersioningConfigurationException", message)
    })?;
    call.configure(|config| config.versioning = Some(status))?;
    Ok(Reply::empty(200))
}

/// `404` for a part of the configuration that is not there.
pub(super) fn absent(call: &Call<'_>, code: &str, message: &str) -> Problem {
    Problem::new(404, code, message).field("BucketName", &call.bucket)
}

pub(super) fn get_abac(_: &mut Call<'_>) -> Result<Reply, Problem> {
    Ok(Reply::xml(
        &Node::new("AbacStatus").text("Status", "Disabled"),
    ))
}

pub(super) fn get_logging(_: &mut Call<'_>) -> Result<Reply, Problem> {
    Ok(Reply::xml(&Node::new("BucketLoggingStatus")))
}

pub(super) fn get_cors(call: &mut Call<'_>) -> Result<Reply, Problem> {
    Err(absent(
        call,
        "NoSuchCORSConfiguration",
        "The CORS configuration does not exist",
    ))
}

pub(super) fn get_website(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let message = "The specified bucket does not have a website configuration";
    Err(absent(call, "NoSuchWebsiteConfiguration", message))
}

pub(super) fn get_replication(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let message = "The replication configuration was not found";
    Err(absent(
        call,
        "ReplicationConfigurationNotFoundError",
        message,
    ))
}

pub(super) fn get_object_lock(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let message = "Object Lock configuration does not exist for this bucket";
    Err(absent(
        call,
        "ObjectLockConfigurationNotFoundError",
        message,
    ))
}
