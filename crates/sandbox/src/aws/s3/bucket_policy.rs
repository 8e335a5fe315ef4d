//! `PutBucketPolicy`, `GetBucketPolicy`, `DeleteBucketPolicy` and `GetBucketPolicyStatus`.

use super::buckets;
use super::call::S3Call;
use super::config::no_such_configuration;
use crate::aws::policy;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::ids;

/// The largest bucket policy, in bytes.
const POLICY_MAX_BYTES: usize = 20 << 10;

/// The length of a canonical user id. Those of CloudFront are longer.
const CANONICAL_ID_MIN: usize = 64;

/// `PutBucketPolicy`
pub(super) fn put(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_bucket_owner(call)?;
    let malformed = |message: String| AwsError::new(400, "MalformedPolicy", message);
    if call.body.len() > POLICY_MAX_BYTES {
        return Err(AwsError::new(
            400,
            "PolicyTooLarge",
            "The policy exceeds the maximum of 20480 bytes.",
        ));
    }
    let text = String::from_utf8_lossy(&call.body).into_owned();
    let root = &call.world.aws.global;
    let document =
        policy::parse_bucket_policy(&text, &call.bucket, |arn| root.principal_exists(arn))
            .map_err(malformed)?;
    let blocks_public_policy = call.public_access_block(&call.bucket).block_public_policy;
    if blocks_public_policy && policy::is_public(&document) {
        let (caller_arn, resource) = (call.caller.arn(), call.bucket_state()?.arn());
        return Err(AwsError::access_denied(format!(
            "User: {caller_arn} is not authorized to perform: s3:PutBucketPolicy on resource: \"{resource}\" because public \
             policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
        )));
    }
    // S3 returns the normalized policy, not the text that was sent.
    let mut value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    policy::replace_canonical_users(&mut value, |id| canonical_user_arn(call, id))
        .map_err(malformed)?;
    let normalized = policy::normalize(&value).to_string();
    call.update_config(|config| config.policy = Some(normalized))?;
    Ok(AwsResponse::empty(204))
}

/// The ARN that S3 shows in place of a canonical user id: that of an account, or of an origin access
/// identity of CloudFront. The sandbox has no CloudFront, so an id of no account counts as one of those.
fn canonical_user_arn(call: &S3Call<'_>, id: &str) -> Option<String> {
    let aws = &call.world.aws;
    let owners = aws.buckets.values().map(|bucket| &bucket.account);
    let mut accounts = owners.chain(aws.global.accounts.keys());
    if let Some(account) = accounts.find(|account| buckets::canonical_user_id(account) == id) {
        return Some(format!("arn:aws:iam::{account}:root"));
    }
    let is_id = id.len() >= CANONICAL_ID_MIN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let identity = ids::hex(&ids::derive_bytes(&["origin access identity", id])[..7]);
    let name = identity[..13].to_ascii_uppercase();
    is_id.then(|| format!("arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E{name}"))
}

/// Checks that the caller belongs to the account that owns the bucket. No bucket policy can grant other
/// accounts access to itself.
fn check_bucket_owner(call: &S3Call<'_>) -> Result<(), AwsError> {
    match call.bucket_state()?.account == call.caller.account() {
        true => Ok(()),
        false => Err(AwsError::method_not_allowed()),
    }
}

fn no_bucket_policy(call: &S3Call<'_>) -> AwsError {
    no_such_configuration(
        call,
        "NoSuchBucketPolicy",
        "The bucket policy does not exist",
    )
}

/// `GetBucketPolicy`
pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_bucket_owner(call)?;
    let text = call
        .visible_config()?
        .policy
        .clone()
        .ok_or_else(|| no_bucket_policy(call))?;
    let response = AwsResponse {
        body: text.into_bytes(),
        ..AwsResponse::empty(200)
    };
    Ok(response.with_header("content-type", "application/json"))
}

/// `DeleteBucketPolicy`
pub(super) fn delete(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_bucket_owner(call)?;
    call.update_config(|config| config.policy = None)?;
    Ok(AwsResponse::empty(204))
}

/// `GetBucketPolicyStatus`
pub(super) fn get_status(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let text = call
        .visible_config()?
        .policy
        .clone()
        .ok_or_else(|| no_bucket_policy(call))?;
    let is_public = policy::parse_bucket_policy(&text, &call.bucket, |_| true)
        .is_ok_and(|document| policy::is_public(&document));
    Ok(AwsResponse::s3_document(
        &XmlNode::new("PolicyStatus").with_text("IsPublic", is_public),
    ))
}
