//! From a routed request to its operation: the bucket, its owner and region, and the caller's rights.

use super::call::{Call, no_bucket};
use super::routes::{Class, Level, Operation};
use super::{buckets, object, tags};
use crate::aws::answer::{Problem, Reply};
use crate::aws::context::common;
use crate::aws::policy::Context;
use crate::aws::request::Request;
use crate::aws::who::Who;
use crate::aws::xml;

/// Does an operation, if the bucket and the caller's rights allow it.
///
/// # Errors
/// What S3 answers instead.
pub(crate) fn run(call: &mut Call<'_>, operation: &Operation) -> Result<Reply, Problem> {
    let creates = operation.level == Level::Bucket && operation.action == "s3:CreateBucket";
    if operation.level != Level::Service && !creates {
        admit(call, operation)?;
    }
    call.context = context(call, operation);
    let resource = match operation.level {
        Level::Service => "*".to_owned(),
        Level::Bucket => format!("arn:aws:s3:::{}", call.bucket),
        Level::Object => call.object_arn(&call.key),
    };
    if *call.who == Who::Anonymous && (operation.level == Level::Service || creates) {
        return Err(Problem::denied("Access Denied"));
    }
    if creates {
        call.may_make(operation.action, &resource)?;
        for action in buckets::extra_rights(call) {
            call.may_make(action, &resource)?;
        }
    } else {
        for action in actions(call.request, operation) {
            call.may(&action, &resource)?;
        }
    }
    if operation.class == Class::Configure && call.request.method == "PUT" {
        // What is said about a document must be right, whatever the document says.
        object::check_content(call)?;
    }
    (operation.run)(call)
}

/// The bucket is there, is who the caller thinks it is, and where.
fn admit(call: &Call<'_>, operation: &Operation) -> Result<(), Problem> {
    let bucket = call
        .world
        .aws
        .buckets
        .get(&call.bucket)
        .ok_or_else(|| no_bucket(&call.bucket))?;
    let expected = call.request.header("x-amz-expected-bucket-owner");
    if expected.is_some_and(|account| account != bucket.account) {
        return Err(Problem::denied("Access Denied"));
    }
    let asks_where = operation.action == "s3:GetBucketLocation";
    if call.region == bucket.region || asks_where || *call.who == Who::Anonymous {
        return Ok(());
    }
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                   send all future requests to this endpoint.";
    let problem = Problem::new(301, "PermanentRedirect", message);
    let endpoint = format!("{}.s3.{}.amazonaws.com", bucket.name, bucket.region);
    let problem = problem
        .field("Endpoint", endpoint)
        .field("Bucket", &bucket.name);
    Err(problem.header("x-amz-bucket-region", &bucket.region))
}

/// The rights that a request needs on what it names.
fn actions(request: &Request, operation: &Operation) -> Vec<String> {
    let mut actions: Vec<String> = Vec::new();
    let (action, object) = (operation.action, operation.level == Level::Object);
    if !action.is_empty() {
        // Each right over one version is a right of its own: `s3:GetObjectVersion`, `s3:GetObjectVersionTagging`.
        let version = object
            && request.query("versionId").is_some()
            && action.contains(":")
            && !action.contains("Upload");
        actions.push(if version {
            action.replacen("Object", "ObjectVersion", 1)
        } else {
            action.to_owned()
        });
    }
    if object && operation.class == Class::Write {
        if request.header("x-amz-tagging").is_some() {
            actions.push("s3:PutObjectTagging".to_owned());
        }
        if object::grants(request) {
            actions.push("s3:PutObjectAcl".to_owned());
        }
        // To learn whether an object is the one it was is to read it.
        if request.header("if-match").is_some() {
            actions.push("s3:GetObject".to_owned());
        }
    }
    actions
}

/// Headers that policies know under `s3:` and their own name.
const HEADERS: [&str; 9] = [
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

/// What policies may ask about a request.
fn context(call: &Call<'_>, operation: &Operation) -> Context {
    let request = call.request;
    let mut context = common(call.world, request, call.who, &call.region);
    for (key, name) in [
        ("s3:prefix", "prefix"),
        ("s3:delimiter", "delimiter"),
        ("s3:max-keys", "max-keys"),
    ] {
        context.maybe(key, request.query(name));
    }
    context.maybe("s3:VersionId", request.query("versionId"));
    for name in HEADERS {
        context.maybe(&format!("s3:{name}"), request.header(name));
    }
    context.maybe("s3:if-none-match", request.header("if-none-match"));
    context.maybe("s3:if-match", request.header("if-match"));
    context.add("s3:signatureversion", "AWS4-HMAC-SHA256");
    context.add(
        "s3:authType",
        if request.query("X-Amz-Signature").is_some() {
            "REST-QUERY-STRING"
        } else {
            "REST-HEADER"
        },
    );
    context.add("s3:TlsVersion", "1.3");
    let makes = operation.action == "s3:PutObject"
        && ["uploadId", "uploads"]
            .iter()
            .all(|name| request.query(name).is_none());
    let completes = request.method == "POST" && request.query("uploadId").is_some();
    context.add(
        "s3:ObjectCreationOperation",
        (makes || completes).to_string(),
    );
    if let Some(bucket) = call.world.aws.buckets.get(&call.bucket) {
        context.add("aws:ResourceAccount", &bucket.account);
        context.add("s3:ResourceAccount", &bucket.account);
    }
    if operation.level == Level::Object {
        about_tags(call, operation, &mut context);
    }
    if let Some(node) = xml::parse(&call.content).filter(|_| operation.level == Level::Bucket) {
        context.maybe("s3:LocationConstraint", node.text_of("LocationConstraint"));
        for (key, value) in tags::pairs(&node) {
            context.add(&format!("aws:RequestTag/{key}"), value);
            context.add("aws:TagKeys", key);
        }
    }
    context
}

/// The tags that an object has, for what is done to it, and those that it is to get.
fn about_tags(call: &Call<'_>, operation: &Operation, context: &mut Context) {
    let has = operation.action == "s3:GetObject" || operation.action.ends_with("ObjectTagging");
    let bucket = call.world.aws.buckets.get(&call.bucket).filter(|_| has);
    let version = bucket.and_then(|bucket| match call.request.value("versionId") {
        Some(id) => bucket
            .objects
            .get(&call.key)?
            .iter()
            .find(|version| version.id == id),
        None => bucket.current(&call.key),
    });
    for (key, value) in version.into_iter().flat_map(|version| &version.tags) {
        context.add(&format!("s3:ExistingObjectTag/{key}"), value);
    }
    let document = || xml::parse(&call.content).map(|node| tags::pairs(&node));
    let gets = match operation.action {
        "s3:PutObjectTagging" => document().unwrap_or_default(),
        "s3:PutObject" => tags::from_header(call).unwrap_or_default(),
        _ => Vec::new(),
    };
    for (key, value) in gets {
        context.add(&format!("s3:RequestObjectTag/{key}"), value);
        context.add("s3:RequestObjectTagKeys", key);
    }
}
