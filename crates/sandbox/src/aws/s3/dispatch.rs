//! Executes a routed S3 request: checks the bucket's owner and region, authorizes the caller, and calls
//! the operation.

use super::call::{S3Call, no_such_bucket};
use super::routes::{OperationClass, ResourceLevel, S3Operation};
use super::{buckets, object, tags};
use crate::aws::caller::Caller;
use crate::aws::policy::RequestContext;
use crate::aws::request::AwsRequest;
use crate::aws::request_context::build_global_context;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml;

/// Checks the bucket, authorizes the caller and executes the operation.
///
/// # Errors
/// The error response of S3.
pub(crate) fn execute(
    call: &mut S3Call<'_>,
    operation: &S3Operation,
) -> Result<AwsResponse, AwsError> {
    let creates_bucket =
        operation.level == ResourceLevel::Bucket && operation.action == "s3:CreateBucket";
    let is_in_bucket = matches!(
        operation.level,
        ResourceLevel::Bucket | ResourceLevel::Object
    );
    if is_in_bucket && !creates_bucket {
        check_bucket(call, operation)?;
    }
    call.context = build_context(call, operation);
    let resource = match operation.level {
        ResourceLevel::Service | ResourceLevel::Account => "*".to_owned(),
        ResourceLevel::Bucket => format!("arn:aws:s3:::{}", call.bucket),
        ResourceLevel::Object => call.object_arn(&call.key),
    };
    // There is no bucket yet whose policy could grant these operations to anonymous callers.
    if *call.caller == Caller::Anonymous && (!is_in_bucket || creates_bucket) {
        return Err(AwsError::access_denied("Access Denied"));
    }
    if creates_bucket {
        call.authorize_creation(operation.action, &resource)?;
        for action in buckets::additional_create_actions(call) {
            call.authorize_creation(action, &resource)?;
        }
    } else {
        for action in required_actions(call.request, operation) {
            call.authorize(&action, &resource)?;
        }
    }
    if operation.class == OperationClass::Configure && call.request.method == "PUT" {
        // Digests are verified before the document is parsed.
        object::verify_body_digests(call)?;
    }
    (operation.handler)(call)
}

/// Checks that the bucket exists, belongs to the expected owner, and is in the region of the request.
fn check_bucket(call: &S3Call<'_>, operation: &S3Operation) -> Result<(), AwsError> {
    let bucket = call
        .world
        .aws
        .buckets
        .get(&call.bucket)
        .ok_or_else(|| no_such_bucket(&call.bucket))?;
    let expected = call.request.header("x-amz-expected-bucket-owner");
    if expected.is_some_and(|account| account != bucket.account) {
        return Err(AwsError::access_denied("Access Denied"));
    }
    let is_location_request = operation.action == "s3:GetBucketLocation";
    if call.region == bucket.region || is_location_request || *call.caller == Caller::Anonymous {
        return Ok(());
    }
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                   send all future requests to this endpoint.";
    let error = AwsError::new(301, "PermanentRedirect", message);
    let endpoint = format!("{}.s3.{}.amazonaws.com", bucket.name, bucket.region);
    let error = error
        .with_element("Endpoint", endpoint)
        .with_element("Bucket", &bucket.name);
    Err(error.with_header("x-amz-bucket-region", &bucket.region))
}

/// The IAM actions that a request needs on the resource that it names.
fn required_actions(request: &AwsRequest, operation: &S3Operation) -> Vec<String> {
    let mut actions: Vec<String> = Vec::new();
    let (action, object) = (operation.action, operation.level == ResourceLevel::Object);
    if !action.is_empty() {
        // With a version id another action is needed: `s3:GetObjectVersion`, `s3:GetObjectVersionTagging`.
        let version = object
            && request.query_parameter("versionId").is_some()
            && action.contains(":")
            && !action.contains("Upload");
        actions.push(if version {
            action.replacen("Object", "ObjectVersion", 1)
        } else {
            action.to_owned()
        });
    }
    if object && operation.class == OperationClass::Write {
        if request.header("x-amz-tagging").is_some() {
            actions.push("s3:PutObjectTagging".to_owned());
        }
        if object::has_acl_headers(request) {
            actions.push("s3:PutObjectAcl".to_owned());
        }
        // A conditional write reveals whether the object has this ETag, so S3 requires read permission.
        if request.header("if-match").is_some() {
            actions.push("s3:GetObject".to_owned());
        }
    }
    actions
}

/// Request headers that are condition keys with the prefix `s3:`.
const HEADER_CONDITION_KEYS: [&str; 9] = [
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
];

/// The request context of an S3 request: global keys and those of S3.
fn build_context(call: &S3Call<'_>, operation: &S3Operation) -> RequestContext {
    let request = call.request;
    let mut context = build_global_context(call.world, request, call.caller, &call.region);
    for (key, name) in [
        ("s3:prefix", "prefix"),
        ("s3:delimiter", "delimiter"),
        ("s3:max-keys", "max-keys"),
    ] {
        context.add_optional(key, request.query_parameter(name));
    }
    context.add_optional("s3:VersionId", request.query_parameter("versionId"));
    for name in HEADER_CONDITION_KEYS {
        context.add_optional(&format!("s3:{name}"), request.header(name));
    }
    context.add_optional("s3:if-none-match", request.header("if-none-match"));
    context.add_optional("s3:if-match", request.header("if-match"));
    context.add("s3:signatureversion", "AWS4-HMAC-SHA256");
    context.add(
        "s3:authType",
        if request.query_parameter("X-Amz-Signature").is_some() {
            "REST-QUERY-STRING"
        } else {
            "REST-HEADER"
        },
    );
    context.add("s3:TlsVersion", "1.3");
    // The condition key tells whether the request creates an object. Starting a multipart upload and
    // uploading its parts does not; completing it does.
    let is_single_request = operation.action == "s3:PutObject"
        && ["uploadId", "uploads"]
            .iter()
            .all(|name| request.query_parameter(name).is_none());
    let completes_upload =
        request.method == "POST" && request.query_parameter("uploadId").is_some();
    context.add(
        "s3:ObjectCreationOperation",
        (is_single_request || completes_upload).to_string(),
    );
    if let Some(bucket) = call.world.aws.buckets.get(&call.bucket) {
        context.add("aws:ResourceAccount", &bucket.account);
        context.add("s3:ResourceAccount", &bucket.account);
    }
    if operation.level == ResourceLevel::Object {
        add_object_tag_keys(call, operation, &mut context);
    }
    if let Some(node) = xml::parse(&call.body).filter(|_| operation.level == ResourceLevel::Bucket)
    {
        context.add_optional(
            "s3:LocationConstraint",
            node.child_text("LocationConstraint"),
        );
        for (key, value) in tags::parse_tags(&node) {
            context.add(&format!("aws:RequestTag/{key}"), value);
            context.add("aws:TagKeys", key);
        }
    }
    context
}

/// Adds the existing tags of the object and the tags that the request sets.
fn add_object_tag_keys(call: &S3Call<'_>, operation: &S3Operation, context: &mut RequestContext) {
    let reads_tags =
        operation.action == "s3:GetObject" || operation.action.ends_with("ObjectTagging");
    let bucket = call
        .world
        .aws
        .buckets
        .get(&call.bucket)
        .filter(|_| reads_tags);
    let version =
        bucket.and_then(
            |bucket| match call.request.nonempty_query_parameter("versionId") {
                Some(id) => bucket
                    .objects
                    .get(&call.key)?
                    .iter()
                    .find(|version| version.id == id),
                None => bucket.current_version(&call.key),
            },
        );
    for (key, value) in version.into_iter().flat_map(|version| &version.tags) {
        context.add(&format!("s3:ExistingObjectTag/{key}"), value);
    }
    let document = || xml::parse(&call.body).map(|node| tags::parse_tags(&node));
    let new_tags = match operation.action {
        "s3:PutObjectTagging" => document().unwrap_or_default(),
        "s3:PutObject" => tags::from_header(call).unwrap_or_default(),
        _ => Vec::new(),
    };
    for (key, value) in new_tags {
        context.add(&format!("s3:RequestObjectTag/{key}"), value);
        context.add("s3:RequestObjectTagKeys", key);
    }
}
