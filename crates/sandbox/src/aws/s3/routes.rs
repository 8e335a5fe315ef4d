//! Which operation a request is, which right it needs, and what does it.

use super::call::S3Call;
use super::{
    bucket_policy, buckets, config, copy, delete, lifecycle, listing, location, multipart, object,
    parts, read, tags, versions,
};
use crate::aws::request::AwsRequest;
use crate::aws::response::{AwsError, AwsResponse};

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceLevel {
    Service,
    Bucket,
    Object,
}

/// What faults and counters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationClass {
    Read,
    Write,
    /// A bucket's configuration is written.
    Configure,
}

type S3Handler = fn(&mut S3Call<'_>) -> Result<AwsResponse, AwsError>;

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct S3Operation {
    method: &'static str,
    pub(crate) level: ResourceLevel,
    /// The query key, or with a colon the header, that tells it from its neighbours.
    selector: &'static str,
    /// The right it needs, in IAM's words; none when it asks for each thing by itself.
    pub(crate) action: &'static str,
    pub(crate) class: OperationClass,
    pub(crate) handler: S3Handler,
}

const fn s3_operation(
    method: &'static str,
    level: ResourceLevel,
    marker: &'static str,
    action: &'static str,
    class: OperationClass,
    run: S3Handler,
) -> S3Operation {
    S3Operation {
        method,
        level,
        selector: marker,
        action,
        class,
        handler: run,
    }
}

use OperationClass::{Configure, Read, Write};
use ResourceLevel::{Bucket, Object, Service};

/// Every operation; of those that a request could be, the first with its marker, else the one without.
const OPERATIONS: &[S3Operation] = &[
    s3_operation(
        "GET",
        Service,
        "",
        "s3:ListAllMyBuckets",
        Read,
        buckets::list,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "encryption",
        "s3:PutEncryptionConfiguration",
        Configure,
        config::put_encryption,
    ),
    s3_operation(
        "GET",
        Bucket,
        "encryption",
        "s3:GetEncryptionConfiguration",
        Read,
        config::get_encryption,
    ),
    s3_operation(
        "DELETE",
        Bucket,
        "encryption",
        "s3:PutEncryptionConfiguration",
        Configure,
        config::delete_encryption,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "publicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        Configure,
        config::put_public_access,
    ),
    s3_operation(
        "GET",
        Bucket,
        "publicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
        Read,
        config::get_public_access,
    ),
    s3_operation(
        "DELETE",
        Bucket,
        "publicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        Configure,
        config::delete_public_access,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "ownershipControls",
        "s3:PutBucketOwnershipControls",
        Configure,
        config::put_ownership,
    ),
    s3_operation(
        "GET",
        Bucket,
        "ownershipControls",
        "s3:GetBucketOwnershipControls",
        Read,
        config::get_ownership,
    ),
    s3_operation(
        "DELETE",
        Bucket,
        "ownershipControls",
        "s3:PutBucketOwnershipControls",
        Configure,
        config::delete_ownership,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "versioning",
        "s3:PutBucketVersioning",
        Configure,
        config::put_versioning,
    ),
    s3_operation(
        "GET",
        Bucket,
        "versioning",
        "s3:GetBucketVersioning",
        Read,
        config::get_versioning,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "lifecycle",
        "s3:PutLifecycleConfiguration",
        Configure,
        lifecycle::put,
    ),
    s3_operation(
        "GET",
        Bucket,
        "lifecycle",
        "s3:GetLifecycleConfiguration",
        Read,
        lifecycle::get,
    ),
    s3_operation(
        "DELETE",
        Bucket,
        "lifecycle",
        "s3:PutLifecycleConfiguration",
        Configure,
        lifecycle::delete,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "policy",
        "s3:PutBucketPolicy",
        Configure,
        bucket_policy::put,
    ),
    s3_operation(
        "GET",
        Bucket,
        "policy",
        "s3:GetBucketPolicy",
        Read,
        bucket_policy::get,
    ),
    s3_operation(
        "DELETE",
        Bucket,
        "policy",
        "s3:DeleteBucketPolicy",
        Configure,
        bucket_policy::delete,
    ),
    s3_operation(
        "GET",
        Bucket,
        "policyStatus",
        "s3:GetBucketPolicyStatus",
        Read,
        bucket_policy::get_status,
    ),
    s3_operation(
        "PUT",
        Bucket,
        "tagging",
        "s3:PutBucketTagging",
        Configure,
        tags::put,
    ),
    s3_operation(
        "GET",
        Bucket,
        "tagging",
        "s3:GetBucketTagging",
        Read,
        tags::get,
    ),
    s3_operation(
        "DELETE",
        Bucket,
        "tagging",
        "s3:PutBucketTagging",
        Configure,
        tags::delete,
    ),
    s3_operation(
        "GET",
        Bucket,
        "location",
        "s3:GetBucketLocation",
        Read,
        location::get,
    ),
    s3_operation(
        "GET",
        Bucket,
        "abac",
        "s3:GetBucketAbac",
        Read,
        config::get_abac,
    ),
    s3_operation(
        "GET",
        Bucket,
        "logging",
        "s3:GetBucketLogging",
        Read,
        config::get_logging,
    ),
    s3_operation(
        "GET",
        Bucket,
        "cors",
        "s3:GetBucketCORS",
        Read,
        config::get_cors,
    ),
    s3_operation(
        "GET",
        Bucket,
        "website",
        "s3:GetBucketWebsite",
        Read,
        config::get_website,
    ),
    s3_operation(
        "GET",
        Bucket,
        "replication",
        "s3:GetReplicationConfiguration",
        Read,
        config::get_replication,
    ),
    s3_operation(
        "GET",
        Bucket,
        "object-lock",
        "s3:GetBucketObjectLockConfiguration",
        Read,
        config::get_object_lock,
    ),
    s3_operation(
        "GET",
        Bucket,
        "versions",
        "s3:ListBucketVersions",
        Read,
        versions::list,
    ),
    s3_operation(
        "GET",
        Bucket,
        "uploads",
        "s3:ListBucketMultipartUploads",
        Read,
        multipart::list,
    ),
    s3_operation(
        "GET",
        Bucket,
        "list-type",
        "s3:ListBucket",
        Read,
        listing::list_objects_v2,
    ),
    s3_operation("POST", Bucket, "delete", "", Write, delete::delete_objects),
    s3_operation("PUT", Bucket, "", "s3:CreateBucket", Write, buckets::create),
    s3_operation("HEAD", Bucket, "", "s3:ListBucket", Read, buckets::head),
    s3_operation(
        "DELETE",
        Bucket,
        "",
        "s3:DeleteBucket",
        Write,
        buckets::delete,
    ),
    s3_operation(
        "GET",
        Bucket,
        "",
        "s3:ListBucket",
        Read,
        listing::list_objects_v1,
    ),
    s3_operation(
        "PUT",
        Object,
        "tagging",
        "s3:PutObjectTagging",
        Write,
        tags::put_object_tags,
    ),
    s3_operation(
        "GET",
        Object,
        "tagging",
        "s3:GetObjectTagging",
        Read,
        tags::get_object_tags,
    ),
    s3_operation(
        "DELETE",
        Object,
        "tagging",
        "s3:DeleteObjectTagging",
        Write,
        tags::delete_object_tags,
    ),
    s3_operation(
        "PUT",
        Object,
        "uploadId",
        "s3:PutObject",
        Write,
        parts::upload_part,
    ),
    s3_operation(
        "GET",
        Object,
        "uploadId",
        "s3:ListMultipartUploadParts",
        Read,
        parts::list_parts,
    ),
    s3_operation(
        "DELETE",
        Object,
        "uploadId",
        "s3:AbortMultipartUpload",
        Write,
        multipart::abort,
    ),
    s3_operation(
        "POST",
        Object,
        "uploadId",
        "s3:PutObject",
        Write,
        multipart::complete,
    ),
    s3_operation(
        "POST",
        Object,
        "uploads",
        "s3:PutObject",
        Write,
        multipart::create,
    ),
    s3_operation(
        "PUT",
        Object,
        ":x-amz-copy-source",
        "s3:PutObject",
        Write,
        copy::copy_object,
    ),
    s3_operation("PUT", Object, "", "s3:PutObject", Write, object::put_object),
    s3_operation("GET", Object, "", "s3:GetObject", Read, read::get_object),
    s3_operation("HEAD", Object, "", "s3:GetObject", Read, read::head_object),
    s3_operation(
        "DELETE",
        Object,
        "",
        "s3:DeleteObject",
        Write,
        delete::delete_object,
    ),
];

/// Names of other things than objects and lists, which must not be mistaken for these.
const UNSUPPORTED_SUBRESOURCES: [&str; 19] = [
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
pub(crate) fn find_operation(request: &AwsRequest) -> Option<&'static S3Operation> {
    let level = match request.bucket_and_key() {
        (bucket, _) if bucket.is_empty() => Service,
        (_, key) if key.is_empty() => Bucket,
        _ => Object,
    };
    let marked = |row: &&&S3Operation| match row.selector.strip_prefix(':') {
        Some(header) => request.header(header).is_some(),
        None => !row.selector.is_empty() && request.query_parameter(row.selector).is_some(),
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
        .map(|row| row.selector);
    let mut other = known
        .chain(UNSUPPORTED_SUBRESOURCES)
        .filter(|name| !name.is_empty());
    // Somebody else's sub-resource is not the thing itself.
    let foreign = other.any(|name| name != "list-type" && request.query_parameter(name).is_some());
    rows.into_iter()
        .find(|row| row.selector.is_empty() && !foreign)
}

/// `/bucket?encryption`: the path, and what tells the operation from its neighbours.
pub(crate) fn recorded_path(request: &AwsRequest, operation: Option<&S3Operation>) -> String {
    let marker = operation.map_or("", |row| row.selector);
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
