//! Tags of buckets and objects.

use std::collections::BTreeSet;

use super::call::S3Call;
use super::config::no_such_configuration;
use super::read;
use crate::aws::request::percent_decode;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

const BUCKET_TAGS_MAX: usize = 50;
const OBJECT_TAGS_MAX: usize = 10;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

const SYSTEM_TAG_PREFIX: &str = "aws:";

type TagSet = Vec<(String, String)>;

/// The tags in a document, at any depth below `Tags` and `TagSet` elements.
pub(super) fn parse_tags(node: &XmlNode) -> TagSet {
    let tag = |tag: &XmlNode| {
        Some((
            tag.child_text("Key")?.to_owned(),
            tag.child_text("Value")?.to_owned(),
        ))
    };
    let direct = node.children_named("Tag").filter_map(tag);
    direct
        .chain(
            node.children_named("TagSet")
                .chain(node.children_named("Tags"))
                .flat_map(parse_tags),
        )
        .collect()
}

/// Parses and validates the tags of a bucket from a `TagSet` or `Tags` element. System tags that the
/// bucket has already may be repeated.
///
/// # Errors
/// `400` if they are invalid.
pub(super) fn parse_bucket_tags(
    node: &XmlNode,
    system_tags: &[(String, String)],
) -> Result<TagSet, AwsError> {
    let tags = parse_tags(node);
    if tags.len() != node.children.len() {
        return Err(AwsError::malformed_xml());
    }
    let (repeated, own): (TagSet, TagSet) =
        tags.into_iter().partition(|tag| system_tags.contains(tag));
    let own = check_tags(own, BUCKET_TAGS_MAX, "Bucket")?;
    Ok(own.into_iter().chain(repeated).collect())
}

/// Whether AWS itself set a tag, for example CloudFormation on the buckets that it made. Nobody else can
/// set, change or remove it.
fn is_system_tag((key, _): &(String, String)) -> bool {
    key.starts_with(SYSTEM_TAG_PREFIX)
}

fn system_tags(call: &S3Call<'_>) -> Result<TagSet, AwsError> {
    let tags = call.bucket_state()?.config.tags.iter();
    Ok(tags.filter(|tag| is_system_tag(tag)).cloned().collect())
}

fn system_tags_removed() -> AwsError {
    let message = "System tags cannot be removed by requester";
    AwsError::new(400, "InvalidTag", message)
}

fn check_tags(tags: TagSet, max: usize, kind: &str) -> Result<TagSet, AwsError> {
    let invalid = |message: &str| AwsError::new(400, "InvalidTag", message);
    if tags.len() > max {
        let message = format!("{kind} tag count cannot be greater than {max}");
        return Err(AwsError::new(400, "BadRequest", message));
    }
    let mut keys = BTreeSet::new();
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > TAG_KEY_MAX {
            return Err(
                invalid("The TagKey you have provided is invalid").with_element("TagKey", key)
            );
        }
        if value.chars().count() > TAG_VALUE_MAX {
            return Err(
                invalid("The TagValue you have provided is invalid").with_element("TagKey", key)
            );
        }
        if key.starts_with(SYSTEM_TAG_PREFIX) {
            return Err(invalid("System tags cannot be added/updated by requester")
                .with_element("TagKey", key));
        }
        let is_disallowed =
            |c: char| !(c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
        if key.contains(is_disallowed) || value.contains(is_disallowed) {
            return Err(
                invalid("The TagKey or TagValue you have provided is invalid")
                    .with_element("TagKey", key),
            );
        }
        if !keys.insert(key) {
            return Err(invalid("Cannot provide multiple Tags with the same key")
                .with_element("TagKey", key));
        }
    }
    Ok(tags)
}

fn tagging_document(tags: &[(String, String)]) -> XmlNode {
    let tag = |(key, value): &(String, String)| {
        XmlNode::new("Tag")
            .with_text("Key", key)
            .with_text("Value", value)
    };
    XmlNode::new("Tagging").with_child(XmlNode::new("TagSet").with_children(tags.iter().map(tag)))
}

/// `PutBucketTagging`. It replaces all tags, and must repeat those that only AWS may remove.
pub(super) fn put(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("Tagging")?;
    let system_tags = system_tags(call)?;
    let tag_set = node.child("TagSet").ok_or_else(AwsError::malformed_xml)?;
    let tags = parse_bucket_tags(tag_set, &system_tags)?;
    if system_tags.iter().any(|tag| !tags.contains(tag)) {
        return Err(system_tags_removed());
    }
    call.update_config(|config| config.tags = tags)?;
    Ok(AwsResponse::empty(204))
}

/// `GetBucketTagging`
pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let tags = &call.visible_config()?.tags;
    if tags.is_empty() {
        return Err(no_such_configuration(
            call,
            "NoSuchTagSet",
            "The TagSet does not exist",
        ));
    }
    Ok(AwsResponse::s3_document(&tagging_document(tags)))
}

/// `DeleteBucketTagging`
pub(super) fn delete(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    if !system_tags(call)?.is_empty() {
        return Err(system_tags_removed());
    }
    call.update_config(|config| config.tags.clear())?;
    Ok(AwsResponse::empty(204))
}

/// The tags of a new object, from a header such as `x-amz-tagging: a=1&b=2`.
///
/// # Errors
/// `400` if they are invalid.
pub(super) fn from_header(call: &S3Call<'_>) -> Result<TagSet, AwsError> {
    let text = call.request.header("x-amz-tagging").unwrap_or_default();
    let tag = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (
            percent_decode(&key.replace('+', " ")),
            percent_decode(&value.replace('+', " ")),
        )
    };
    check_tags(
        text.split('&')
            .filter(|part| !part.is_empty())
            .map(tag)
            .collect(),
        OBJECT_TAGS_MAX,
        "Object",
    )
}

/// `PutObjectTagging`
pub(super) fn put_object_tags(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("Tagging")?;
    let tags = parse_tags(node.child("TagSet").ok_or_else(AwsError::malformed_xml)?);
    replace_object_tags(call, check_tags(tags, OBJECT_TAGS_MAX, "Object")?, 200)
}

/// `DeleteObjectTagging`
pub(super) fn delete_object_tags(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    replace_object_tags(call, Vec::new(), 204)
}

fn replace_object_tags(
    call: &mut S3Call<'_>,
    tags: TagSet,
    status: u16,
) -> Result<AwsResponse, AwsError> {
    let id = read::find_version(call)?.id.clone();
    let key = call.key.clone();
    let versions = call.bucket_state_mut()?.objects.get_mut(&key);
    if let Some(version) =
        versions.and_then(|versions| versions.iter_mut().find(|version| version.id == id))
    {
        version.tags = tags;
    }
    Ok(read::with_version_id(call, AwsResponse::empty(status), &id))
}

/// `GetObjectTagging`
pub(super) fn get_object_tags(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let version = read::find_version(call)?;
    Ok(read::with_version_id(
        call,
        AwsResponse::s3_document(&tagging_document(&version.tags)),
        &version.id,
    ))
}
