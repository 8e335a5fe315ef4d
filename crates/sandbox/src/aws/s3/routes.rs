//! The table of S3 operations: how to recognize them, the permission they need, and their handlers.

use super::bucket_operations::BUCKET_CONFIGURATION;
use super::call::S3Call;
use super::unsupported::UNSUPPORTED_SUBRESOURCES;
use super::{
    account_settings, buckets, copy, delete, listing, location, multipart, object, parts, read,
    tags, versions,
};
use crate::aws::request::AwsRequest;
use crate::aws::response::{AwsError, AwsResponse};

/// What the path of a request names: nothing, the settings of an account, a bucket, or an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceLevel {
    Service,
    Account,
    Bucket,
    Object,
}

/// The classes of operations that fault rules and request counters distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationClass {
    Read,
    Write,
    /// Writes the configuration of a bucket.
    Configure,
}

type S3Handler = fn(&mut S3Call<'_>) -> Result<AwsResponse, AwsError>;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct S3Operation {
    method: &'static str,
    pub(crate) level: ResourceLevel,
    /// The query parameter that selects this operation among those with the same method and level; with
    /// a leading colon, the header. Empty for the default operation.
    selector: &'static str,
    /// The IAM action that is needed. Empty if the handler authorizes each key itself.
    pub(crate) action: &'static str,
    pub(crate) class: OperationClass,
    pub(crate) handler: S3Handler,
}

pub(super) const fn s3_operation(
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

use OperationClass::{Read, Write};
use ResourceLevel::{Account, Bucket, Object, Service};

/// All other operations. Of those with the same method and level, the first whose selector is in the request
/// applies, else the one without a selector.
const OPERATIONS: &[S3Operation] = &[
    s3_operation(
        "GET",
        Account,
        "",
        "s3:GetAccountPublicAccessBlock",
        Read,
        account_settings::get_public_access,
    ),
    s3_operation(
        "PUT",
        Account,
        "",
        "s3:PutAccountPublicAccessBlock",
        Write,
        account_settings::put_public_access,
    ),
    s3_operation(
        "DELETE",
        Account,
        "",
        "s3:PutAccountPublicAccessBlock",
        Write,
        account_settings::delete_public_access,
    ),
    s3_operation(
        "GET",
        Service,
        "",
        "s3:ListAllMyBuckets",
        Read,
        buckets::list,
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

/// Finds the operation of a request. `None` if it is not simulated.
pub(crate) fn find_operation(request: &AwsRequest) -> Option<&'static S3Operation> {
    let level = match request.bucket_and_key() {
        _ if request.path == account_settings::PUBLIC_ACCESS_BLOCK_PATH => Account,
        (bucket, _) if bucket.is_empty() => Service,
        (_, key) if key.is_empty() => Bucket,
        _ => Object,
    };
    let is_selected = |operation: &&&S3Operation| match operation.selector.strip_prefix(':') {
        Some(header) => request.header(header).is_some(),
        None => {
            !operation.selector.is_empty() && request.query_parameter(operation.selector).is_some()
        }
    };
    let operations = || BUCKET_CONFIGURATION.iter().chain(OPERATIONS);
    let candidates: Vec<_> = operations()
        .filter(|operation| operation.method == request.method && operation.level == level)
        .collect();
    if let Some(operation) = candidates.iter().find(is_selected) {
        return Some(operation);
    }
    let known_selectors = operations()
        .filter(|operation| operation.level == level)
        .map(|operation| operation.selector);
    let mut other_selectors = known_selectors
        .chain(UNSUPPORTED_SUBRESOURCES)
        .filter(|name| !name.is_empty());
    // A sub-resource that this method does not support must not fall back to the default operation:
    // `PUT /bucket?cors` does not create a bucket. `list-type` only selects the version of a list.
    let has_other_subresource =
        other_selectors.any(|name| name != "list-type" && request.query_parameter(name).is_some());
    candidates
        .into_iter()
        .find(|operation| operation.selector.is_empty() && !has_other_subresource)
}

/// The path for the request record: with the selector of the operation, as in `/bucket?encryption`.
pub(crate) fn recorded_path(request: &AwsRequest, operation: Option<&S3Operation>) -> String {
    let selector = operation.map_or("", |operation| operation.selector);
    let has_no_query_selector = selector.is_empty() || selector.starts_with(':');
    let is_bucket_level = operation.is_some_and(|operation| operation.level == Bucket);
    let path = if is_bucket_level {
        request.path.trim_end_matches('/')
    } else {
        &request.path
    };
    if has_no_query_selector {
        path.to_owned()
    } else {
        format!("{path}?{selector}")
    }
}
