//! Buckets themselves: made, found, listed, deleted.

use std::collections::BTreeMap;

use super::call::S3Call;
use super::config::{BucketConfig, OBJECT_OWNERSHIP_VALUES};
use super::{BucketState, location, object, tags};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::{self, XmlNode};
use crate::clock;

/// No list of buckets is longer.
const BUCKETS_PAGE_MAX: usize = 10_000;

/// What else a caller must be allowed who makes a bucket with more than a name.
pub(super) fn additional_create_actions(call: &S3Call<'_>) -> Vec<&'static str> {
    let tags = xml::parse(&call.body).is_some_and(|node| node.child("Tags").is_some());
    let owned = call.request.header("x-amz-object-ownership").is_some();
    let listed = object::has_acl_headers(call.request);
    [
        (tags, "s3:TagResource"),
        (owned, "s3:PutBucketOwnershipControls"),
        (listed, "s3:PutBucketAcl"),
    ]
    .into_iter()
    .filter_map(|(needed, action)| needed.then_some(action))
    .collect()
}

/// `CreateBucket`
pub(super) fn create(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_name(&call.bucket)?;
    let said = match call.body.is_empty() {
        true => XmlNode::new("CreateBucketConfiguration"),
        false => call.parse_document("CreateBucketConfiguration")?,
    };
    if call
        .request
        .header("x-amz-bucket-object-lock-enabled")
        .is_some_and(|said| said.eq_ignore_ascii_case("true"))
    {
        return Err(AwsError::new(
            501,
            "NotImplemented",
            "Object Lock is not imitated here",
        ));
    }
    let region =
        location::choose_bucket_region(said.child_text("LocationConstraint"), &call.region)?;
    let config = BucketConfig {
        ownership: Some(parse_object_ownership(
            call.request.header("x-amz-object-ownership"),
        )?),
        tags: said
            .child("Tags")
            .map(tags::parse_bucket_tags)
            .transpose()?
            .unwrap_or_default(),
        ..BucketConfig::default_for_new_bucket()
    };
    let listed = object::has_acl_headers(call.request)
        && call.request.header("x-amz-acl") != Some("private");
    if listed && config.ownership.as_deref() == Some("BucketOwnerEnforced") {
        let message =
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(AwsError::new(
            400,
            "InvalidBucketAclWithObjectOwnership",
            message,
        ));
    }
    if let Some(there) = call.world.aws.buckets.get(&call.bucket) {
        check_existing_bucket(there, call.caller.account())?;
    } else {
        let bucket = BucketState {
            name: call.bucket.clone(),
            account: call.caller.account().to_owned(),
            region,
            created_ms: call.world.now_ms,
            config,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            past: Vec::new(),
        };
        call.world.aws.dirty_buckets.insert(bucket.name.clone());
        call.world.aws.buckets.insert(bucket.name.clone(), bucket);
    }
    let arn = format!("arn:aws:s3:::{}", call.bucket);
    Ok(AwsResponse::empty(200)
        .with_header("location", format!("/{}", call.bucket))
        .with_header("x-amz-bucket-arn", arn))
}

/// A name is taken: in the first region its owner may ask for it again, for the sake of old programs.
fn check_existing_bucket(there: &BucketState, account: &str) -> Result<(), AwsError> {
    let problem = match there.account == account {
        true if there.region == location::DEFAULT_REGION => return Ok(()),
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
    Err(problem.with_element("BucketName", &there.name))
}

fn parse_object_ownership(said: Option<&str>) -> Result<String, AwsError> {
    match said {
        None => Ok("BucketOwnerEnforced".to_owned()),
        Some(said) if OBJECT_OWNERSHIP_VALUES.contains(&said) => Ok(said.to_owned()),
        Some(said) => Err(AwsError::invalid_argument(format!(
            "Invalid x-amz-object-ownership header: {said}"
        ))),
    }
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| letter(byte) || byte == b'-' || byte == b'.';
    let ends = [name.bytes().next(), name.bytes().last()];
    let fine = (3..=63).contains(&name.len())
        && name.bytes().all(inner)
        && ends.into_iter().flatten().all(letter)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|start| name.starts_with(start))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3"]
            .iter()
            .any(|end| name.ends_with(end));
    let problem = || {
        AwsError::new(
            400,
            "InvalidBucketName",
            "The specified bucket is not valid.",
        )
        .with_element("BucketName", name)
    };
    fine.then_some(()).ok_or_else(problem)
}

/// `HeadBucket`
pub(super) fn head(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let bucket = call.bucket_state()?;
    let reply = AwsResponse::empty(200).with_header("x-amz-bucket-region", &bucket.region);
    Ok(reply
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
    let left: Vec<String> = bucket.content_names().map(str::to_owned).collect();
    call.world.aws.buckets.remove(&name);
    left.into_iter()
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
    let mut mine = world.aws.buckets.values().filter(|bucket| {
        bucket.account == account
            && bucket.name.starts_with(prefix)
            && bucket.name.as_str() > after
            && region.is_none_or(|region| region == bucket.region)
            && world.is_listed(bucket.created_ms)
    });
    let shown: Vec<&BucketState> = mine.by_ref().take(max).collect();
    let token = mine
        .next()
        .and(shown.last())
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
    let buckets = XmlNode::new("Buckets").with_children(shown.iter().map(entry));
    let node = XmlNode::new("ListAllMyBucketsResult")
        .with_child(XmlNode::new("Owner").with_text("ID", canonical_user_id(account)))
        .with_child(buckets);
    let node = node
        .with_optional_text("ContinuationToken", token)
        .with_optional_text("Prefix", request.nonempty_query_parameter("prefix"));
    Ok(AwsResponse::s3_document(&node))
}

/// The canonical identifier of an account, which only lists and access grants use.
pub(super) fn canonical_user_id(account: &str) -> String {
    crate::ids::hex(&crate::ids::derive_bytes(&["canonical", account]))
}
