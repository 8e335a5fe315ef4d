//! Writing objects.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::checksum::Algorithm;
use super::{Config, NULL, conditions, kms, read, tags};
use crate::aws::answer::{Problem, Reply};
use crate::aws::request::Request;
use crate::ids;

/// A key's length in bytes.
pub(super) const KEY_MAX: usize = 1024;

/// One version of an object, or a delete marker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    /// Whether it only says that the object is deleted.
    #[serde(default)]
    pub(crate) marker: bool,
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified_ms: i64,
    /// The name of its content; markers have none.
    pub(crate) content: String,
    /// Headers that every read gives back.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) checksum: Option<Checksum>,
    #[serde(default)]
    pub(crate) tags: Vec<(String, String)>,
    /// The sizes of its parts, if it was written in parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<u64>,
}

/// A checksum that is stored with a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) value: String,
}

impl Checksum {
    /// Whether it is of the whole, or of the sums of its parts.
    pub(crate) fn kind(&self) -> &'static str {
        if self.value.contains('-') {
            "COMPOSITE"
        } else {
            "FULL_OBJECT"
        }
    }
}

/// The MD5 of a content; of one that a key of KMS encrypts, nobody learns it.
pub(super) fn etag(content: &[u8], headers: &BTreeMap<String, String>, name: &str) -> String {
    let secret = if kms::encrypts(headers) { name } else { "" };
    ids::hex(
        &Md5::new()
            .chain_update(secret)
            .chain_update(content)
            .finalize(),
    )
}

/// `PutObject`
pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, Problem> {
    if call.key.len() > KEY_MAX {
        return Err(Problem::new(400, "KeyTooLongError", "Your key is too long"));
    }
    let checksum = check_content(call)?;
    let headers = headers(call)?;
    kms::may(call, kms::WRITE, &headers, &call.object_arn(&call.key))?;
    conditions::write(call, &call.key.clone())?;
    let content = content_name(call);
    let version = Version {
        etag: etag(&call.content, &headers, &content),
        size: call.content.len() as u64,
        content,
        headers,
        checksum: Some(checksum),
        tags: tags::from_header(call)?,
        ..Version::default()
    };
    call.world
        .aws
        .contents
        .put(&version.content, call.content.clone());
    let version = keep(call, version)?;
    let reply = Reply::empty(200).header("etag", format!("\"{}\"", version.etag));
    let reply = read::with_cipher(read::with_checksum(reply, &version), &version.headers);
    Ok(read::with_version(call, reply, &version.id))
}

/// A name for a new content.
pub(super) fn content_name(call: &mut Call<'_>) -> String {
    ids::hex(&call.world.draw_aws("content")[..16])
}

/// Makes a version the newest of the key.
///
/// # Errors
/// `404 NoSuchBucket`.
pub(super) fn keep(call: &mut Call<'_>, version: Version) -> Result<Version, Problem> {
    let id = match call.look()?.config.versioning.as_deref() {
        Some("Enabled") => STANDARD
            .encode(&call.world.draw_aws("version")[..24])
            .replace(['+', '/'], "_"),
        _ => NULL.to_owned(),
    };
    let version = Version {
        id,
        modified_ms: call.world.now,
        ..version
    };
    let key = call.key.clone();
    let freed = call.change()?.store(&key, version.clone());
    freed
        .into_iter()
        .filter(|name| !name.is_empty())
        .for_each(|name| call.world.aws.contents.drop(name));
    Ok(version)
}

/// Holds the content to what the request says of it, and gives it a checksum if it came without.
///
/// # Errors
/// `400` when they differ.
pub(super) fn check_content(call: &Call<'_>) -> Result<Checksum, Problem> {
    if let Some(said) = call.request.header("content-md5") {
        let bytes = STANDARD.decode(said).ok().filter(|bytes| bytes.len() == 16);
        let bytes = bytes.ok_or_else(|| {
            Problem::new(
                400,
                "InvalidDigest",
                "The Content-MD5 you specified is not valid.",
            )
        })?;
        if bytes != Md5::digest(&call.content).to_vec() {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(Problem::new(400, "BadDigest", message));
        }
    }
    if call.said("x-amz-checksum-sha1").is_some() {
        return Err(Problem::new(
            501,
            "NotImplemented",
            "SHA1 checksums are not imitated here",
        ));
    }
    for algorithm in Algorithm::ALL {
        let Some(said) = call.said(&algorithm.header()) else {
            continue;
        };
        let value = algorithm.sum(&call.content);
        if said != value {
            let name = algorithm.name();
            let message =
                format!("The {name} you specified did not match the calculated checksum.");
            return Err(Problem::new(400, "BadDigest", message));
        }
        return Ok(Checksum { algorithm, value });
    }
    let algorithm = Algorithm::Crc64nvme;
    Ok(Checksum {
        algorithm,
        value: algorithm.sum(&call.content),
    })
}

/// How an object may be stored.
const CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
];

/// What a client may say about an object in headers of its own, names and values together.
const METADATA_MAX: usize = 2048;

/// Whether a write also says who else has access.
pub(super) fn grants(request: &Request) -> bool {
    let mut names = request.headers.keys().map(axum::http::HeaderName::as_str);
    names.any(|name| name == "x-amz-acl" || name.starts_with("x-amz-grant-"))
}

/// Holds access lists to what the bucket takes: none, or none that are public.
fn check_acl(request: &Request, config: &Config) -> Result<(), Problem> {
    let acl = request.header("x-amz-acl");
    let listed = grants(request) && !matches!(acl, Some("bucket-owner-full-control" | "private"));
    if listed && config.ownership.as_deref() == Some("BucketOwnerEnforced") {
        return Err(Problem::new(
            400,
            "AccessControlListNotSupported",
            "The bucket does not allow ACLs",
        ));
    }
    let public = matches!(
        acl,
        Some("public-read" | "public-read-write" | "authenticated-read")
    );
    match public
        && config
            .public_access
            .is_some_and(|block| block.block_public_acls)
    {
        true => Err(Problem::denied("Access Denied")),
        false => Ok(()),
    }
}

/// Refuses to read what is in an archive.
///
/// # Errors
/// `403 InvalidObjectState`.
pub(super) fn at_hand(version: &Version) -> Result<(), Problem> {
    let class = version
        .headers
        .get("x-amz-storage-class")
        .map_or("STANDARD", String::as_str);
    if !matches!(class, "GLACIER" | "DEEP_ARCHIVE") {
        return Ok(());
    }
    let message = "The operation is not valid for the object's storage class";
    Err(Problem::new(403, "InvalidObjectState", message).field("StorageClass", class))
}

/// Headers that are kept with an object and given back.
const KEPT: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
    "x-amz-storage-class",
];

/// What is kept of the headers of a write, and how it will be encrypted.
///
/// # Errors
/// `400` or `403` for what this bucket does not take.
pub(super) fn headers(call: &mut Call<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let config = &call.look()?.config;
    let said = |name: &str| call.request.header(name).map(str::to_owned);
    check_acl(call.request, config)?;
    if let Some(class) =
        said("x-amz-storage-class").filter(|class| !CLASSES.contains(&class.as_str()))
    {
        let problem = Problem::new(
            400,
            "InvalidStorageClass",
            "The storage class you specified is not valid",
        );
        return Err(problem.field("StorageClassRequested", class));
    }
    if call
        .request
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-object-lock-"))
    {
        return Err(Problem::request(
            "Bucket is missing Object Lock Configuration",
        ));
    }
    if said("x-amz-server-side-encryption-customer-algorithm").is_some() {
        return Err(match config.blocks_customer_keys() {
            true => Problem::denied(
                "Access Denied: server-side encryption with customer provided keys (SSE-C) is blocked for this bucket",
            ),
            false => Problem::new(501, "NotImplemented", "SSE-C is not imitated here"),
        });
    }
    let mut kept: BTreeMap<String, String> = KEPT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), said(name)?)))
        .collect();
    kept.entry("content-type".to_owned())
        .or_insert_with(|| "binary/octet-stream".to_owned());
    let coding = said("content-encoding").unwrap_or_default();
    let codings: Vec<&str> = coding
        .split(',')
        .map(str::trim)
        .filter(|c| !matches!(*c, "" | "aws-chunked"))
        .collect();
    if !codings.is_empty() {
        kept.insert("content-encoding".to_owned(), codings.join(","));
    }
    for name in call
        .request
        .headers
        .keys()
        .map(ToString::to_string)
        .filter(|name| name.starts_with("x-amz-meta-"))
    {
        kept.insert(name.clone(), said(&name).unwrap_or_default());
    }
    let metadata = kept
        .iter()
        .filter_map(|(name, value)| Some(name.strip_prefix("x-amz-meta-")?.len() + value.len()));
    if metadata.sum::<usize>() > METADATA_MAX {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Problem::new(400, "MetadataTooLarge", message));
    }
    kept.extend(kms::choose(call)?);
    Ok(kept)
}
