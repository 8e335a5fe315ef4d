//! Buckets themselves: made, found, listed, deleted.

use std::collections::BTreeMap;

use super::call::Call;
use super::config::{Config, OWNERSHIPS};
use super::{Bucket, location, object, tags};
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::{self, Node};
use crate::clock;

/// No list of buckets is longer.
const LIST_MAX: usize = 10_000;

/// What else a caller must be allowed who makes a bucket with more than a name.
pub(super) fn extra_rights(call: &Call<'_>) -> Vec<&'static str> {
    let tags = xml::parse(&call.content).is_some_and(|node| node.get("Tags").is_some());
    let owned = call.request.header("x-amz-object-ownership").is_some();
    let listed = object::grants(call.request);
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
pub(super) fn create(call: &mut Call<'_>) -> Result<Reply, Problem> {
    check_name(&call.bucket)?;
    let said = match call.content.is_empty() {
        true => Node::new("CreateBucketConfiguration"),
        false => call.document("CreateBucketConfiguration")?,
    };
    if call
        .request
        .header("x-amz-bucket-object-lock-enabled")
        .is_some_and(|said| said.eq_ignore_ascii_case("true"))
    {
        return Err(Problem::new(
            501,
            "NotImplemented",
            "Object Lock is not imitated here",
        ));
    }
    let region = location::choose(said.text_of("LocationConstraint"), &call.region)?;
    let config = Config {
        ownership: Some(ownership(call.request.header("x-amz-object-ownership"))?),
        tags: said
            .get("Tags")
            .map(tags::read)
            .transpose()?
            .unwrap_or_default(),
        ..Config::modern()
    };
    let listed =
        object::grants(call.request) && call.request.header("x-amz-acl") != Some("private");
    if listed && config.ownership.as_deref() == Some("BucketOwnerEnforced") {
        let message =
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(Problem::new(
            400,
            "InvalidBucketAclWithObjectOwnership",
            message,
        ));
    }
    if let Some(there) = call.world.aws.buckets.get(&call.bucket) {
        exists(there, call.who.account())?;
    } else {
        let bucket = Bucket {
            name: call.bucket.clone(),
            account: call.who.account().to_owned(),
            region,
            created_ms: call.world.now,
            config,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            past: Vec::new(),
        };
        call.world.aws.dirty.insert(bucket.name.clone());
        call.world.aws.buckets.insert(bucket.name.clone(), bucket);
    }
    let arn = format!("arn:aws:s3:::{}", call.bucket);
    Ok(Reply::empty(200)
        .header("location", format!("/{}", call.bucket))
        .header("x-amz-bucket-arn", arn))
}

/// A name is taken: in the first region its owner may ask for it again, for the sake of old programs.
fn exists(there: &Bucket, account: &str) -> Result<(), Problem> {
    let problem = match there.account == account {
        true if there.region == location::FIRST => return Ok(()),
        true => {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            Problem::new(409, "BucketAlreadyOwnedByYou", message)
        }
        false => {
            let message = "The requested bucket name is not available. The bucket namespace is shared by all users of \
                           the system. Please select a different name and try again.";
            Problem::new(409, "BucketAlreadyExists", message)
        }
    };
    Err(problem.field("BucketName", &there.name))
}

fn ownership(said: Option<&str>) -> Result<String, Problem> {
    match said {
        None => Ok("BucketOwnerEnforced".to_owned()),
        Some(said) if OWNERSHIPS.contains(&said) => Ok(said.to_owned()),
        Some(said) => Err(Problem::argument(format!(
            "Invalid x-amz-object-ownership header: {said}"
        ))),
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
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
        Problem::new(
            400,
            "InvalidBucketName",
            "The specified bucket is not valid.",
        )
        .field("BucketName", name)
    };
    fine.then_some(()).ok_or_else(problem)
}

/// `HeadBucket`
pub(super) fn head(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let bucket = call.look()?;
    let reply = Reply::empty(200).header("x-amz-bucket-region", &bucket.region);
    Ok(reply
        .header("x-amz-bucket-arn", bucket.arn())
        .header("x-amz-access-point-alias", "false"))
}

/// `DeleteBucket`
pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let name = call.bucket.clone();
    let bucket = call.change()?;
    if !bucket.objects.is_empty() {
        let versions = bucket.config.versioning.is_some();
        let message = match versions {
            true => {
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            }
            false => "The bucket you tried to delete is not empty",
        };
        return Err(Problem::new(409, "BucketNotEmpty", message).field("BucketName", name));
    }
    let left: Vec<String> = bucket.contents().map(str::to_owned).collect();
    call.world.aws.buckets.remove(&name);
    left.into_iter()
        .for_each(|content| call.world.aws.contents.drop(content));
    Ok(Reply::empty(204))
}

/// `ListBuckets`
pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let (request, account) = (call.request, call.who.account());
    let max = request.number("max-buckets", LIST_MAX)?;
    let prefix = request.value("prefix").unwrap_or_default();
    let after = request.value("continuation-token").unwrap_or_default();
    let region = request.value("bucket-region");
    let world = &*call.world;
    let mut mine = world.aws.buckets.values().filter(|bucket| {
        bucket.account == account
            && bucket.name.starts_with(prefix)
            && bucket.name.as_str() > after
            && region.is_none_or(|region| region == bucket.region)
            && world.listed(bucket.created_ms)
    });
    let shown: Vec<&Bucket> = mine.by_ref().take(max).collect();
    let token = mine
        .next()
        .and(shown.last())
        .map(|bucket| bucket.name.clone());
    let entry = |bucket: &&Bucket| {
        let node = Node::new("Bucket").text("Name", &bucket.name);
        let node = node.text(
            "CreationDate",
            clock::millis(bucket.created_ms - bucket.created_ms.rem_euclid(1000)),
        );
        node.text("BucketRegion", &bucket.region)
            .text("BucketArn", bucket.arn())
    };
    let buckets = Node::new("Buckets").all(shown.iter().map(entry));
    let node = Node::new("ListAllMyBucketsResult")
        .with(Node::new("Owner").text("ID", owner(account)))
        .with(buckets);
    let node = node
        .maybe("ContinuationToken", token)
        .maybe("Prefix", request.value("prefix"));
    Ok(Reply::xml(&node))
}

/// The canonical identifier of an account, which only lists and access grants use.
pub(super) fn owner(account: &str) -> String {
    crate::ids::hex(&crate::ids::draw(&["canonical", account]))
}
