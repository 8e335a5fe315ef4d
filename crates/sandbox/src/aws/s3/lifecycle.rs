//! Lifecycle rules. They are stored as sent and returned in another order, because S3 guarantees none.
//!
//! Nothing expires: rules work in days, and a sandbox usually runs for minutes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::call::S3Call;
use super::config::no_such_configuration;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::clock;
use crate::ids;

/// The most rules of a configuration.
const RULES_MAX: usize = 1000;
const MINIMUM_SIZE_HEADER: &str = "x-amz-transition-default-minimum-object-size";
/// The actions of a rule. Each rule needs at least one.
const RULE_ACTIONS: [&str; 5] = [
    "Expiration",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
    "Transition",
    "NoncurrentVersionTransition",
];

/// The storage classes that objects can transition to.
const TRANSITION_STORAGE_CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
/// The lowest age in days for a transition to an infrequent access class.
const INFREQUENT_ACCESS_MIN_DAYS: i64 = 30;
/// The largest value of `NewerNoncurrentVersions`.
const NEWER_NONCURRENT_VERSIONS_MAX: i64 = 100;

/// The lifecycle configuration of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LifecycleConfiguration {
    rules: Vec<XmlNode>,
    minimum_size: String,
}

/// `GetBucketLifecycleConfiguration`
pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let Some(lifecycle) = &call.visible_config()?.lifecycle else {
        return Err(no_such_configuration(
            call,
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ));
    };
    // Deterministic, but not the order of the request.
    let mut rules: Vec<&XmlNode> = lifecycle.rules.iter().collect();
    rules.sort_by_key(|rule| {
        ids::derive_bytes(&["lifecycle", rule.child_text("ID").unwrap_or_default()])
    });
    let node = XmlNode::new("LifecycleConfiguration").with_children(rules.into_iter().cloned());
    Ok(AwsResponse::s3_document(&node).with_header(MINIMUM_SIZE_HEADER, &lifecycle.minimum_size))
}

/// `PutBucketLifecycleConfiguration`
pub(super) fn put(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("LifecycleConfiguration")?;
    if node.children.is_empty() || node.children.len() > RULES_MAX {
        return Err(AwsError::malformed_xml());
    }
    let minimum_size = match call.request.header(MINIMUM_SIZE_HEADER) {
        None => "all_storage_classes_128K",
        Some(value @ ("all_storage_classes_128K" | "varies_by_storage_class")) => value,
        Some(_) => {
            return Err(AwsError::invalid_argument(format!(
                "Invalid {MINIMUM_SIZE_HEADER} header"
            )));
        }
    };
    let minimum_size = minimum_size.to_owned();
    let mut rules = Vec::new();
    let mut rule_ids = BTreeSet::new();
    for rule in node.children {
        let rule = ensure_rule_id(call, check_rule(rule)?);
        let id = rule.child_text("ID").unwrap_or_default();
        if id.len() > 255 {
            return Err(AwsError::invalid_argument(
                "ID length should not exceed allowed limit of 255",
            ));
        }
        if !rule_ids.insert(id.to_owned()) {
            return Err(AwsError::invalid_argument(
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
        rules.push(rule);
    }
    let response = AwsResponse::empty(200).with_header(MINIMUM_SIZE_HEADER, &minimum_size);
    call.update_config(|config| {
        config.lifecycle = Some(LifecycleConfiguration {
            rules,
            minimum_size,
        });
    })?;
    Ok(response)
}

/// `DeleteBucketLifecycle`
pub(super) fn delete(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    call.update_config(|config| config.lifecycle = None)?;
    Ok(AwsResponse::empty(204))
}

fn ensure_rule_id(call: &mut S3Call<'_>, mut rule: XmlNode) -> XmlNode {
    if rule.child_text("ID").is_none_or(str::is_empty) {
        let id = ids::hex(&call.world.draw_aws_bytes("rule")[..24]);
        rule.children.retain(|child| child.name != "ID");
        rule.children.insert(0, XmlNode::leaf("ID", id));
    }
    rule
}

fn check_rule(mut rule: XmlNode) -> Result<XmlNode, AwsError> {
    let status = rule.child_text("Status").unwrap_or_default();
    let is_known = |child: &XmlNode| {
        RULE_ACTIONS.contains(&child.name.as_str())
            || matches!(child.name.as_str(), "ID" | "Status" | "Prefix" | "Filter")
    };
    if rule.name != "Rule"
        || !matches!(status, "Enabled" | "Disabled")
        || !rule.children.iter().all(is_known)
    {
        return Err(AwsError::malformed_xml());
    }
    // Either the current form (`Filter`) or the legacy form (`Prefix`).
    if rule.child("Filter").is_some() == rule.child("Prefix").is_some() {
        return Err(AwsError::malformed_xml());
    }
    if !RULE_ACTIONS
        .iter()
        .any(|action| rule.child(action).is_some())
    {
        return Err(AwsError::invalid_request(
            "At least one action needs to be specified in a rule",
        ));
    }
    let selects_by_tag_or_size = rule
        .child("Filter")
        .map(check_filter)
        .transpose()?
        .unwrap_or(false);
    if let Some(node) = rule.child("Expiration") {
        check_expiration(node, selects_by_tag_or_size)?;
    }
    if let Some(node) = rule.child("NoncurrentVersionExpiration") {
        parse_days(node, "NoncurrentDays", 1)?.ok_or_else(AwsError::malformed_xml)?;
        check_newer_noncurrent_versions(node)?;
    }
    if let Some(node) = rule.child("AbortIncompleteMultipartUpload") {
        parse_days(node, "DaysAfterInitiation", 1)?.ok_or_else(AwsError::malformed_xml)?;
        if selects_by_tag_or_size {
            let message =
                "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.";
            return Err(AwsError::invalid_request(message));
        }
    }
    check_transitions(&rule, "Transition", "Days", "Expiration")?;
    check_transitions(
        &rule,
        "NoncurrentVersionTransition",
        "NoncurrentDays",
        "NoncurrentVersionExpiration",
    )?;
    check_dates_not_mixed_with_days(&rule)?;
    for node in rule
        .children
        .iter_mut()
        .flat_map(|child| &mut child.children)
        .filter(|node| node.name == "Date")
    {
        node.text = normalize_midnight_date(&node.text)?;
    }
    Ok(rule)
}

/// Checks that expiration and transitions of current versions are all given in days or all as dates.
fn check_dates_not_mixed_with_days(rule: &XmlNode) -> Result<(), AwsError> {
    let action_has = |action: &str, name: &str| {
        rule.children_named(action)
            .any(|node| node.child(name).is_some())
    };
    let any_action_has =
        |name: &str| action_has("Transition", name) || action_has("Expiration", name);
    if any_action_has("Date") && any_action_has("Days") {
        let message = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule";
        return Err(AwsError::invalid_request(message));
    }
    Ok(())
}

/// Checks the optional element `NewerNoncurrentVersions`.
fn check_newer_noncurrent_versions(node: &XmlNode) -> Result<(), AwsError> {
    let Some(count) = parse_days(node, "NewerNoncurrentVersions", 1)? else {
        return Ok(());
    };
    match count > NEWER_NONCURRENT_VERSIONS_MAX {
        true => Err(AwsError::invalid_argument(format!(
            "'NewerNoncurrentVersions' for {} action must be less than or equal to {NEWER_NONCURRENT_VERSIONS_MAX}",
            node.name
        ))),
        false => Ok(()),
    }
}

/// Checks the transitions of a rule: known storage classes, each at most once, at the minimum age of the
/// class, and before the objects expire.
fn check_transitions(
    rule: &XmlNode,
    action: &str,
    days_element: &str,
    expiration: &str,
) -> Result<(), AwsError> {
    let expiration_days = rule
        .child(expiration)
        .map(|node| parse_days(node, days_element, 1))
        .transpose()?
        .flatten();
    let mut seen_classes = BTreeSet::new();
    for node in rule.children_named(action) {
        let storage_class = node
            .child_text("StorageClass")
            .filter(|storage_class| TRANSITION_STORAGE_CLASSES.contains(storage_class));
        let storage_class = storage_class.ok_or_else(AwsError::malformed_xml)?;
        let days = parse_days(node, days_element, 0)?;
        // Transitions of current versions have either days or a date; the others have only days.
        if days.is_some() == (days_element == "Days" && node.child("Date").is_some()) {
            return Err(AwsError::malformed_xml());
        }
        if action == "NoncurrentVersionTransition" {
            check_newer_noncurrent_versions(node)?;
        }
        if !seen_classes.insert(storage_class) {
            let message =
                format!("'StorageClass' must be different for '{action}' actions in same 'Rule'");
            return Err(AwsError::invalid_argument(message));
        }
        let Some(days) = days else { continue };
        if storage_class.ends_with("_IA") && days < INFREQUENT_ACCESS_MIN_DAYS {
            return Err(AwsError::invalid_argument(format!(
                "'{days_element}' in {action} action must be greater than or equal to {INFREQUENT_ACCESS_MIN_DAYS} for storageClass '{storage_class}'"
            )));
        }
        if expiration_days.is_some_and(|expiration_days| expiration_days <= days) {
            let message = format!(
                "'{days_element}' in the {expiration} action must be greater than '{days_element}' in the {action} action"
            );
            return Err(AwsError::invalid_argument(message));
        }
    }
    Ok(())
}

/// Checks a filter. Returns whether it selects by tag or size, and not only by prefix.
fn check_filter(node: &XmlNode) -> Result<bool, AwsError> {
    let conditions = match node.children.as_slice() {
        [] => return Ok(false),
        [and] if and.name == "And" && and.children.len() > 1 => and.children.as_slice(),
        [single] if single.name != "And" => std::slice::from_ref(single),
        _ => return Err(AwsError::malformed_xml()),
    };
    let mut selects_by_tag_or_size = false;
    for condition in conditions {
        match condition.name.as_str() {
            "Prefix" => {}
            "Tag"
                if condition.child_text("Key").is_some()
                    && condition.child_text("Value").is_some() =>
            {
                selects_by_tag_or_size = true;
            }
            "ObjectSizeGreaterThan" | "ObjectSizeLessThan" => {
                condition
                    .text
                    .parse::<u64>()
                    .map_err(|_| AwsError::malformed_xml())?;
                selects_by_tag_or_size = true;
            }
            _ => return Err(AwsError::malformed_xml()),
        }
    }
    Ok(selects_by_tag_or_size)
}

fn check_expiration(node: &XmlNode, selects_by_tag_or_size: bool) -> Result<(), AwsError> {
    let kinds = ["Days", "Date", "ExpiredObjectDeleteMarker"]
        .iter()
        .filter(|name| node.child(name).is_some())
        .count();
    if kinds != 1 || node.children.len() != 1 {
        return Err(AwsError::malformed_xml());
    }
    parse_days(node, "Days", 1)?;
    if node.child("ExpiredObjectDeleteMarker").is_some() && selects_by_tag_or_size {
        let message = "ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes.";
        return Err(AwsError::invalid_request(message));
    }
    Ok(())
}

fn parse_days(node: &XmlNode, name: &str, min: i64) -> Result<Option<i64>, AwsError> {
    let Some(text) = node.child_text(name) else {
        return Ok(None);
    };
    let number: i64 = text.parse().map_err(|_| AwsError::malformed_xml())?;
    if number < min {
        let kind = if min == 0 {
            "a non-negative"
        } else {
            "a positive"
        };
        return Err(AwsError::invalid_argument(format!(
            "'{name}' for {} action must be {kind} integer",
            node.name
        )));
    }
    Ok(Some(number))
}

/// Normalizes a date. S3 accepts only midnight UTC.
fn normalize_midnight_date(text: &str) -> Result<String, AwsError> {
    const DAY_MS: i64 = 86_400_000;
    let not_midnight = || AwsError::invalid_argument("'Date' must be at midnight GMT");
    let timestamp = clock::parse_timestamp(text)
        .or_else(|| clock::parse_timestamp(&format!("{text}T00:00:00Z")));
    let timestamp = timestamp
        .filter(|timestamp| timestamp % DAY_MS == 0)
        .ok_or_else(not_midnight)?;
    Ok(clock::format_millis(timestamp))
}
