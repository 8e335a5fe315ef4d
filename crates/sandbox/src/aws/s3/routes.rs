//! Which operation a request is, which right it needs, and what does it.

use super::call::Call;
use super::{
    buckets, config, copy, delete, lifecycle, listing, location, multipart, object, parts,
    policies, read, tags, versions,
};
use crate::aws::answer::{Problem, Reply};
use crate::aws::request::Request;

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Service,
    Bucket,
    Object,
}

/// What faults and counters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Read,
    Write,
    /// A bucket's configuration is written.
    Configure,
}

type Run = fn(&mut Call<'_>) -> Result<Reply, Problem>;

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    method: &'static str,
    pub(crate) level: Level,
    /// The query key, or with a colon the header, that tells it from its neighbours.
    marker: &'static str,
    /// The right it needs, in IAM's words; none when it asks for each thing by itself.
    pub(crate) action: &'static str,
    pub(crate) class: Class,
    pub(crate) run: Run,
}

const fn row(
    method: &'static str,
    level: Level,
    marker: &'static str,
    action: &'static str,
    class: Class,
    run: Run,
) -> Operation {
    Operation {
        method,
        level,
        marker,
        action,
        class,
        run,
    }
}

use Class::{Configure, Read, Write};
use Level::{Bucket, Object, Service};

/// Every operation; of those that a request could be, the first with its marker, else the one without.
const OPERATIONS: &[Operation] = &[
    row(
        "GET",
        Service,
        "",
        "s3:ListAllMyBuckets",
        Read,
        buckets::list,
    ),
    row(
        "PUT",
        Bucket,
        "encryption",
        "s3:PutEncryptionConfiguration",
        Configure,
        config::put_encryption,
    ),
    row(
        "GET",
        Bucket,
        "encryption",
        "s3:GetEncryptionConfiguration",
        Read,
        config::get_encryption,
    ),
    row(
        "DELETE",
        Bucket,
        "encryption",
        "s3:PutEncryptionConfiguration",
        Configure,
        config::delete_encryption,
    ),
    row(
        "PUT",
        Bucket,
        "publicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        Configure,
        config::put_public_access,
    ),
    row(
        "GET",
        Bucket,
        "publicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
        Read,
        config::get_public_access,
    ),
    row(
        "DELETE",
        Bucket,
        "publicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        Configure,
        config::delete_public_access,
    ),
    row(
        "PUT",
        Bucket,
        "ownershipControls",
        "s3:PutBucketOwnershipControls",
        Configure,
        config::put_ownership,
    ),
    row(
        "GET",
        Bucket,
        "ownershipControls",
        "s3:GetBucketOwnershipControls",
        Read,
        config::get_ownership,
    ),
    row(
        "DELETE",
        Bucket,
        "ownershipControls",
        "s3:PutBucketOwnershipControls",
        Configure,
        config::delete_ownership,
    ),
    row(
        "PUT",
        Bucket,
        "versioning",
        "s3:PutBucketVersioning",
        Configure,
        config::put_versioning,
    ),
    row(
        "GET",
        Bucket,
        "versioning",
        "s3:GetBucketVersioning",
        Read,
        config::get_versioning,
    ),
    row(
        "PUT",
        Bucket,
        "lifecycle",
        "s3:PutLifecycleConfiguration",
        Configure,
        lifecycle::put,
    ),
    row(
        "GET",
        Bucket,
        "lifecycle",
        "s3:GetLifecycleConfiguration",
        Read,
        lifecycle::get,
    ),
    row(
        "DELETE",
        Bucket,
        "lifecycle",
        "s3:PutLifecycleConfiguration",
        Configure,
        lifecycle::delete,
    ),
    row(
        "PUT",
        Bucket,
        "policy",
        "s3:PutBucketPolicy",
        Configure,
        policies::put,
    ),
    row(
        "GET",
        Bucket,
        "policy",
        "s3:GetBucketPolicy",
        Read,
        policies::get,
    ),
    row(
        "DELETE",
        Bucket,
        "policy",
        "s3:DeleteBucketPolicy",
        Configure,
        policies::delete,
    ),
    row(
        "GET",
        Bucket,
        "policyStatus",
        "s3:GetBucketPolicyStatus",
        Read,
        policies::status,
    ),
    row(
        "PUT",
        Bucket,
        "tagging",
        "s3:PutBucketTagging",
        Configure,
        tags::put,
    ),
    row(
        "GET",
        Bucket,
        "tagging",
        "s3:GetBucketTagging",
        Read,
        tags::get,
    ),
    row(
        "DELETE",
        Bucket,
        "tagging",
        "s3:PutBucketTagging",
        Configure,
        tags::delete,
    ),
    row(
        "GET",
        Bucket,
        "location",
        "s3:GetBucketLocation",
        Read,
        location::get,
    ),
    row(
        "GET",
        Bucket,
        "abac",
        "s3:GetBucketAbac",
        Read,
        config::get_abac,
    ),
    row(
        "GET",
        Bucket,
        "logging",
        "s3:GetBucketLogging",
        Read,
        config::get_logging,
    ),
    row(
        "GET",
        Bucket,
        "cors",
        "s3:GetBucketCORS",
        Read,
        config::get_cors,
    ),
    row(
        "GET",
        Bucket,
        "website",
        "s3:GetBucketWebsite",
        Read,
        config::get_website,
    ),
    row(
        "GET",
        Bucket,
        "replication",
        "s3:GetReplicationConfiguration",
        Read,
        config::get_replication,
    ),
    row(
        "GET",
        Bucket,
        "object-lock",
        "s3:GetBucketObjectLockConfiguration",
        Read,
        config::get_object_lock,
    ),
    row(
        "GET",
        Bucket,
        "versions",
        "s3:ListBucketVersions",
        Read,
        versions::list,
    ),
    row(
        "GET",
        Bucket,
        "uploads",
        "s3:ListBucketMultipartUploads",
        Read,
        multipart::list,
    ),
    row(
        "GET",
        Bucket,
        "list-type",
        "s3:ListBucket",
        Read,
        listing::second,
    ),
    row("POST", Bucket, "delete", "", Write, delete::many),
    row("PUT", Bucket, "", "s3:CreateBucket", Write, buckets::create),
    row("HEAD", Bucket, "", "s3:ListBucket", Read, buckets::head),
    row(
        "DELETE",
        Bucket,
        "",
        "s3:DeleteBucket",
        Write,
        buckets::delete,
    ),
    row("GET", Bucket, "", "s3:ListBucket", Read, listing::first),
    row(
        "PUT",
        Object,
        "tagging",
        "s3:PutObjectTagging",
        Write,
        tags::put_object,
    ),
    row(
        "GET",
        Object,
        "tagging",
        "s3:GetObjectTagging",
        Read,
        tags::get_object,
    ),
    row(
        "DELETE",
        Object,
        "tagging",
        "s3:DeleteObjectTagging",
        Write,
        tags::delete_object,
    ),
    row(
        "PUT",
        Object,
        "uploadId",
        "s3:PutObject",
        Write,
        parts::upload,
    ),
    row(
        "GET",
        Object,
        "uploadId",
        "s3:ListMultipartUploadParts",
        Read,
        parts::list,
    ),
    row(
        "DELETE",
        Object,
        "uploadId",
        "s3:AbortMultipartUpload",
        Write,
        multipart::abort,
    ),
    row(
        "POST",
        Object,
        "uploadId",
        "s3:PutObject",
        Write,
        multipart::complete,
    ),
    row(
        "POST",
        Object,
        "uploads",
        "s3:PutObject",
        Write,
        multipart::create,
    ),
    row(
        "PUT",
        Object,
        ":x-amz-copy-source",
        "s3:PutObject",
        Write,
        copy::run,
    ),
    row("PUT", Object, "", "s3:PutObject", Write, object::put),
    row("GET", Object, "", "s3:GetObject", Read, read::get),
    row("HEAD", Object, "", "s3:GetObject", Read, read::head),
    row("DELETE", Object, "", "s3:DeleteObject", Write, delete::one),
];

/// Names of other things than objects and lists, which must not be mistaken for these.
const OTHERS: [&str; 19] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "renameObject",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "torrent",
    "partNumber",
];

/// The operation that a request asks for; none when there is no such one here.
pub(crate) fn find(request: &Request) -> Option<&'static Operation> {
    let level = match request.target() {
        (bucket, _) if bucket.is_empty() => Service,
        (_, key) if key.is_empty() => Bucket,
        _ => Object,
    };
    let marked = |row: &&&Operation| match row.marker.strip_prefix(':') {
        Some(header) => request.header(header).is_some(),
        None => !row.marker.is_empty() && request.query(row.marker).is_some(),
    };
    let rows: Vec<_> = OPERATIONS
        .iter()
        .filter(|row| row.method == request.method && row.level == level)
        .collect();
    if let Some(row) = rows.iter().find(marked) {
        return Some(row);
    }
    let known = OPERATIONS
        .iter()
        .filter(|row| row.level == level)
        .map(|row| row.marker);
    let mut other = known.chain(OTHERS).filter(|name| !name.is_empty());
    // Somebody else's sub-resource is not the thing itself.
    let foreign = other.any(|name| name != "list-type" && request.query(name).is_some());
    rows.into_iter()
        .find(|row| row.marker.is_empty() && !foreign)
}

/// `/bucket?encryption`: the path, and what tells the operation from its neighbours.
pub(crate) fn readable(request: &Request, operation: Option<&Operation>) -> String {
    let marker = operation.map_or("", |row| row.marker);
    let plain = marker.is_empty() || marker.starts_with(':');
    let bucket = operation.is_some_and(|row| row.level == Bucket);
    let path = if bucket {
        request.path.trim_end_matches('/')
    } else {
        &request.path
    };
    if plain {
        path.to_owned()
    } else {
        format!("{path}?{marker}")
    }
}
