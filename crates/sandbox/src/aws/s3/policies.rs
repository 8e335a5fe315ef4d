//! The policy of a bucket.

use super::call::Call;
use super::config::absent;
use crate::aws::answer::{Problem, Reply};
use crate::aws::policy;
use crate::aws::xml::Node;

/// No policy is longer.
const TEXT_MAX: usize = 20 << 10;

pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, Problem> {
    owned(call)?;
    let malformed = |message: String| Problem::new(400, "MalformedPolicy", message);
    if call.content.len() > TEXT_MAX {
        return Err(Problem::new(
            400,
            "PolicyTooLarge",
            "The policy exceeds the maximum of 20480 bytes.",
        ));
    }
    let text = String::from_utf8_lossy(&call.content).into_owned();
    let root = &call.world.aws.root;
    let document =
        policy::bucket(&text, &call.bucket, |arn| root.has_principal(arn)).map_err(malformed)?;
    let blocks = call
        .look()?
        .config
        .public_access
        .is_some_and(|block| block.block_public_policy);
    if blocks && policy::is_public(&document) {
        let (who, resource) = (call.who.arn(), call.look()?.arn());
        return Err(Problem::denied(format!(
            "User: {who} is not authorized to perform: s3:PutBucketPolicy on resource: \"{resource}\" because public \
             policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
        )));
    }
    // S3 keeps what it understood, not what it was sent.
    let value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let kept = policy::normal(&value).to_string();
    call.configure(|config| config.policy = Some(kept))?;
    Ok(Reply::empty(204))
}

/// Whatever a policy says, it is read and written only by the account that owns the bucket.
fn owned(call: &Call<'_>) -> Result<(), Problem> {
    match call.look()?.account == call.who.account() {
        true => Ok(()),
        false => {
            let message = "The specified method is not allowed against this resource.";
            Err(Problem::new(405, "MethodNotAllowed", message))
        }
    }
}

fn none(call: &Call<'_>) -> Problem {
    absent(
        call,
        "NoSuchBucketPolicy",
        "The bucket policy does not exist",
    )
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, Problem> {
    owned(call)?;
    let text = call.config()?.policy.clone().ok_or_else(|| none(call))?;
    let reply = Reply {
        body: text.into_bytes(),
        ..Reply::empty(200)
    };
    Ok(reply.header("content-type", "application/json"))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, Problem> {
    owned(call)?;
    call.configure(|config| config.policy = None)?;
    Ok(Reply::empty(204))
}

pub(super) fn status(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let text = call.config()?.policy.clone().ok_or_else(|| none(call))?;
    let public = policy::bucket(&text, &call.bucket, |_| true)
        .is_ok_and(|document| policy::is_public(&document));
    Ok(Reply::xml(
        &Node::new("PolicyStatus").text("IsPublic", public),
    ))
}
