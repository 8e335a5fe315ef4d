//! `CreateBucket`, `HeadBucket`, `DeleteBucket` and `ListBuckets`.

use std::collections::BTreeMap;

use super::acl::BucketAcl;
use super::call::S3Call;
use super::config::{BucketConfig, OBJECT_OWNERSHIP_VALUES};
use super::{BucketState, location, object, tags};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::{self, XmlNode};
use crate::clock;

/// The largest page of `ListBuckets`.
const BUCKETS_PAGE_MAX: usize = 10_000;

/// The permissions that creating a bucket with tags, object ownership or an ACL needs in addition.
pub(super) fn additional_create_actions(call: &S3Call<'_>) -> Vec<&'static str> {
    let has_tags = xml::parse(&call.body).is_some_and(|node| node.child("Tags").is_some());
    let sets_ownership = call.request.header("x-amz-object-ownership").is_some();
    let sets_acl = object::has_acl_headers(call.request);
    [
        (has_tags, "s3:TagResource"),
        (sets_ownership, "s3:PutBucketOwnershipControls"),
        (sets_acl, "s3:PutBucketAcl"),
    ]
    .into_iter()
    .filter_map(|(needed, action)| needed.then_some(action))
    .collect()
}

/// `CreateBucket`
pub(super) fn create(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_name(&call.bucket)?;
    let configuration = match call.body.is_empty() {
        true => XmlNode::new("CreateBucketConfiguration"),
        false => call.parse_document("CreateBucketConfiguration")?,
    };
    if call
        .request
        .header("x-amz-bucket-object-lock-enabled")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Err(AwsError::new(
            501,
            "NotImplemented",
            "The sandbox does not support Object Lock",
        ));
    }
    let region = location::choose_bucket_region(
        configuration.child_text("LocationConstraint"),
        &call.region,
    )?;
    let config = BucketConfig {
        ownership: Some(parse_object_ownership(
            call.request.header("x-amz-object-ownership"),
        )?),
        tags: configuration
            .child("Tags")
            .map(|tags| tags::parse_bucket_tags(tags, &[]))
            .transpose()?
            .unwrap_or_default(),
        ..BucketConfig::default_for_new_bucket()
    };
    let owner = canonical_user_id(call.caller.account());
    let acl = BucketAcl::from_headers(call.request, &owner)?;
    let config = BucketConfig { acl, ..config };
    // `private` grants nothing to others, so it is accepted although ACLs are disabled.
    if let Some(acl) = config
        .acl
        .as_ref()
        .filter(|acl| acl.grants_to_others(&owner))
    {
        if !config.allows_acls() {
            return Err(acl_with_disabled_acls());
        }
        // A new bucket blocks public access.
        if acl.is_public() {
            return Err(AwsError::new(
                400,
                "InvalidBucketAclWithBlockPublicAccessError",
                "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
            ));
        }
    }
    // Bucket names are global, so a bucket of any account counts.
    if let Some(existing) = call.world.aws.buckets.get(&call.bucket) {
        check_existing_bucket(existing, call.caller.account())?;
    } else {
        let bucket = BucketState {
            name: call.bucket.clone(),
            account: call.caller.account().to_owned(),
            region,
            created_ms: call.world.now_ms,
            config,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            config_history: Vec::new(),
        };
        call.world.aws.dirty_buckets.insert(bucket.name.clone());
        call.world.aws.buckets.insert(bucket.name.clone(), bucket);
    }
    let arn = format!("arn:aws:s3:::{}", call.bucket);
    Ok(AwsResponse::empty(200)
        .with_header("location", format!("/{}", call.bucket))
        .with_header("x-amz-bucket-arn", arn))
}

/// The error for an ACL that grants to others where ACLs are disabled, or are to be.
pub(super) fn acl_with_disabled_acls() -> AwsError {
    AwsError::new(
        400,
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
}

/// The result of creating a bucket whose name is taken. In `us-east-1` the owner gets success, which AWS
/// keeps for compatibility.
fn check_existing_bucket(existing: &BucketState, account: &str) -> Result<(), AwsError> {
    let error = match existing.account == account {
        true if existing.region == location::DEFAULT_REGION => return Ok(()),
        true => {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            AwsError::new(409, "BucketAlreadyOwnedByYou", message)
        }
        false => {
            let message = "The requested bucket name is not available. The bucket namespace is shared by all users of \
                           the system. Please select a different name and try again.";
            AwsError::new(409, "BucketAlreadyExists", message)
        }
    };
    Err(error.with_element("BucketName", &existing.name))
}

fn parse_object_ownership(value: Option<&str>) -> Result<String, AwsError> {
    match value {
        None => Ok("BucketOwnerEnforced".to_owned()),
        Some(value) if OBJECT_OWNERSHIP_VALUES.contains(&value) => Ok(value.to_owned()),
        Some(value) => Err(AwsError::invalid_argument(format!(
            "Invalid x-amz-object-ownership header: {value}"
        ))),
    }
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_allowed = |byte: u8| is_alphanumeric(byte) || byte == b'-' || byte == b'.';
    let ends = [name.bytes().next(), name.bytes().last()];
    let is_valid = (3..=63).contains(&name.len())
        && name.bytes().all(is_allowed)
        && ends.into_iter().flatten().all(is_alphanumeric)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|start| name.starts_with(start))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3"]
            .iter()
            .any(|end| name.ends_with(end));
    let error = || {
        AwsError::new(
            400,
            "InvalidBucketName",
            "The specified bucket is not valid.",
        )
        .with_element("BucketName", name)
    };
    is_valid.then_some(()).ok_or_else(error)
}

/// `HeadBucket`
pub(super) fn head(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let bucket = call.bucket_state()?;
    let response = AwsResponse::empty(200).with_header("x-amz-bucket-region", &bucket.region);
    Ok(response
        .with_header("x-amz-bucket-arn", bucket.arn())
        .with_header("x-amz-access-point-alias", "false"))
}

/// `DeleteBucket`
pub(super) fn delete(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let name = call.bucket.clone();
    let bucket = call.bucket_state_mut()?;
    if !bucket.objects.is_empty() {
        let versions = bucket.config.versioning.is_some();
        let message = match versions {
            true => {
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            }
            false => "The bucket you tried to delete is not empty",
        };
        return Err(AwsError::new(409, "BucketNotEmpty", message).with_element("BucketName", name));
    }
    let contents: Vec<String> = bucket.content_names().map(str::to_owned).collect();
    call.world.aws.buckets.remove(&name);
    contents
        .into_iter()
        .for_each(|content| call.world.aws.contents.remove(content));
    Ok(AwsResponse::empty(204))
}

/// `ListBuckets`
pub(super) fn list(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let (request, account) = (call.request, call.caller.account());
    let max = request.query_number("max-buckets", BUCKETS_PAGE_MAX)?;
    let prefix = request
        .nonempty_query_parameter("prefix")
        .unwrap_or_default();
    let after = request
        .nonempty_query_parameter("continuation-token")
        .unwrap_or_default();
    let region = request.nonempty_query_parameter("bucket-region");
    let world = &*call.world;
    let mut matching = world.aws.buckets.values().filter(|bucket| {
        bucket.account == account
            && bucket.name.starts_with(prefix)
            && bucket.name.as_str() > after
            && region.is_none_or(|region| region == bucket.region)
            && world.is_listed(bucket.created_ms)
    });
    let page: Vec<&BucketState> = matching.by_ref().take(max).collect();
    let token = matching
        .next()
        .and(page.last())
        .map(|bucket| bucket.name.clone());
    let entry = |bucket: &&BucketState| {
        let node = XmlNode::new("Bucket").with_text("Name", &bucket.name);
        let node = node.with_text(
            "CreationDate",
            clock::format_millis(bucket.created_ms - bucket.created_ms.rem_euclid(1000)),
        );
        node.with_text("BucketRegion", &bucket.region)
            .with_text("BucketArn", bucket.arn())
    };
    let buckets = XmlNode::new("Buckets").with_children(page.iter().map(entry));
    let node = XmlNode::new("ListAllMyBucketsResult")
        .with_child(XmlNode::new("Owner").with_text("ID", canonical_user_id(account)))
        .with_child(buckets);
    let node = node
        .with_optional_text("ContinuationToken", token)
        .with_optional_text("Prefix", request.nonempty_query_parameter("prefix"));
    Ok(AwsResponse::s3_document(&node))
}

/// The canonical user id of an account, which lists show as the owner.
pub(super) fn canonical_user_id(account: &str) -> String {
    crate::ids::hex(&crate::ids::derive_bytes(&["canonical", account]))
}
