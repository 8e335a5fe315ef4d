//! Tags of roles and OIDC providers.

use std::collections::BTreeSet;

use super::query::QueryCall;
use super::{oidc_providers, roles, validation, xml_views};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;

const TAGS_MAX: usize = 50;

type TagList = Vec<(String, String)>;

/// Maps tag keys that count as the same key to the same string.
pub(super) type KeyNormalizer = fn(&str) -> String;

/// For roles: `Team` and `team` are the same key, and the spelling that was written last is kept.
pub(super) const CASE_INSENSITIVE_KEYS: KeyNormalizer = |key| key.to_lowercase();
/// For OIDC providers: `Team` and `team` are two keys.
pub(super) const CASE_SENSITIVE_KEYS: KeyNormalizer = str::to_owned;

/// Validates the tags of a request: `400 ValidationError`, `400 InvalidInput` or `409 LimitExceeded`.
pub(super) fn check_tags(tags: TagList, normalize: KeyNormalizer) -> Result<TagList, AwsError> {
    let invalid = |message: &str| AwsError::new(400, "InvalidInput", message);
    let mut keys = BTreeSet::new();
    for (index, (key, value)) in (1..).zip(&tags) {
        validation::check_tag_key(key, &format!("tags.{index}.member.key"))?;
        validation::check_tag_value(value, &format!("tags.{index}.member.value"))?;
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("User-created tags may not begin with aws:"));
        }
        if !keys.insert(normalize(key)) {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(tags)
}

fn too_many() -> AwsError {
    AwsError::new(
        409,
        "LimitExceeded",
        format!("The number of tags has reached the maximum limit of {TAGS_MAX}."),
    )
}

fn merge_tags(
    old: &[(String, String)],
    new: TagList,
    normalize: KeyNormalizer,
) -> Result<TagList, AwsError> {
    let mut all = old.to_vec();
    for (key, value) in check_tags(new, normalize)? {
        all.retain(|(existing, _)| normalize(existing) != normalize(&key));
        all.push((key, value));
    }
    if all.len() > TAGS_MAX {
        Err(too_many())
    } else {
        Ok(all)
    }
}

/// The validated parameter `TagKeys`.
fn requested_keys(call: &QueryCall<'_>) -> Result<Vec<String>, AwsError> {
    let keys = call.query.list("TagKeys");
    for (index, key) in (1..).zip(&keys) {
        validation::check_tag_key(key, &format!("tagKeys.{index}.member"))?;
    }
    if keys.len() > TAGS_MAX {
        Err(too_many())
    } else {
        Ok(keys)
    }
}

fn remove_tags(tags: &mut TagList, keys: &[String], normalize: KeyNormalizer) {
    tags.retain(|(key, _)| {
        !keys
            .iter()
            .any(|removed| normalize(removed) == normalize(key))
    });
}

/// `TagRole`
pub(super) fn tag_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let tags = merge_tags(
        &roles::find(call)?.tags,
        call.query.tags(),
        CASE_INSENSITIVE_KEYS,
    )?;
    roles::find_mut(call)?.tags = tags;
    Ok(XmlNode::new(""))
}

/// `UntagRole`
pub(super) fn untag_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let keys = requested_keys(call)?;
    remove_tags(
        &mut roles::find_mut(call)?.tags,
        &keys,
        CASE_INSENSITIVE_KEYS,
    );
    Ok(XmlNode::new(""))
}

/// `ListRoleTags`
pub(super) fn list_role_tags(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let tags = xml_views::tags_node(&roles::find_visible(call)?.tags).children;
    let keyed = |node: XmlNode| (node.child_text("Key").unwrap_or_default().to_owned(), node);
    let mut all: Vec<(String, XmlNode)> = tags.into_iter().map(keyed).collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    call.paginate("Tags", all)
}

/// `TagOpenIDConnectProvider`
pub(super) fn tag_provider(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let tags = merge_tags(
        &oidc_providers::find(call)?.tags,
        call.query.tags(),
        CASE_SENSITIVE_KEYS,
    )?;
    oidc_providers::find_mut(call)?.tags = tags;
    Ok(XmlNode::new(""))
}

/// `UntagOpenIDConnectProvider`
pub(super) fn untag_provider(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let keys = requested_keys(call)?;
    remove_tags(
        &mut oidc_providers::find_mut(call)?.tags,
        &keys,
        CASE_SENSITIVE_KEYS,
    );
    Ok(XmlNode::new(""))
}

/// `ListOpenIDConnectProviderTags`
pub(super) fn list_provider_tags(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let tags = xml_views::tags_node(&oidc_providers::find_visible(call)?.tags);
    Ok(XmlNode::new("")
        .with_child(tags)
        .with_text("IsTruncated", false))
}
