//! Lifecycle rules: kept as they were written, and shown in another order, as S3 promises none.
//!
//! Nothing expires by itself here: what rules would remove in days is no business of a sandbox that lives for minutes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::call::S3Call;
use super::config::no_such_configuration;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::clock;
use crate::ids;

/// What no configuration may exceed.
const RULES_MAX: usize = 1000;
const MINIMUM_SIZE_HEADER: &str = "x-amz-transition-default-minimum-object-size";
/// What may happen to objects; a rule without any of it says nothing.
const RULE_ACTIONS: [&str; 5] = [
    "Expiration",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
    "Transition",
    "NoncurrentVersionTransition",
];

/// Where objects can move.
const TRANSITION_STORAGE_CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
/// What is rarely read has been kept elsewhere so long before.
const INFREQUENT_ACCESS_MIN_DAYS: i64 = 30;
/// No more newer versions can be kept.
const NEWER_NONCURRENT_VERSIONS_MAX: i64 = 100;

/// The rules of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LifecycleConfiguration {
    rules: Vec<XmlNode>,
    minimum_size: String,
}

pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let Some(lifecycle) = &call.visible_config()?.lifecycle else {
        return Err(no_such_configuration(
            call,
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ));
    };
    // An order that no client chose, and the same each time.
    let mut rules: Vec<&XmlNode> = lifecycle.rules.iter().collect();
    rules.sort_by_key(|rule| {
        ids::derive_bytes(&["lifecycle", rule.child_text("ID").unwrap_or_default()])
    });
    let node = XmlNode::new("LifecycleConfiguration").with_children(rules.into_iter().cloned());
    Ok(AwsResponse::s3_document(&node).with_header(MINIMUM_SIZE_HEADER, &lifecycle.minimum_size))
}

pub(super) fn put(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document("LifecycleConfiguration")?;
    if node.children.is_empty() || node.children.len() > RULES_MAX {
        return Err(AwsError::malformed_xml());
    }
    let minimum_size = match call.request.header(MINIMUM_SIZE_HEADER) {
        None => "all_storage_classes_128K",
        Some(said @ ("all_storage_classes_128K" | "varies_by_storage_class")) => said,
        Some(_) => {
            return Err(AwsError::invalid_argument(format!(
                "Invalid {MINIMUM_SIZE_HEADER} header"
            )));
        }
    };
    let minimum_size = minimum_size.to_owned();
    let mut rules = Vec::new();
    let mut named = BTreeSet::new();
    for rule in node.children {
        let rule = ensure_rule_id(call, check_rule(rule)?);
        let id = rule.child_text("ID").unwrap_or_default();
        if id.len() > 255 {
            return Err(AwsError::invalid_argument(
                "ID length should not exceed allowed limit of 255",
            ));
        }
        if !named.insert(id.to_owned()) {
            return Err(AwsError::invalid_argument(
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
        rules.push(rule);
    }
    let answer = AwsResponse::empty(200).with_header(MINIMUM_SIZE_HEADER, &minimum_size);
    call.update_config(|config| {
        config.lifecycle = Some(LifecycleConfiguration {
            rules,
            minimum_size,
        });
    })?;
    Ok(answer)
}

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
    let known = |child: &XmlNode| {
        RULE_ACTIONS.contains(&child.name.as_str())
            || matches!(child.name.as_str(), "ID" | "Status" | "Prefix" | "Filter")
    };
    if rule.name != "Rule"
        || !matches!(status, "Enabled" | "Disabled")
        || !rule.children.iter().all(known)
    {
        return Err(AwsError::malformed_xml());
    }
    // Exactly one of the modern and the legacy form.
    if rule.child("Filter").is_some() == rule.child("Prefix").is_some() {
        return Err(AwsError::malformed_xml());
    }
    if !RULE_ACTIONS.iter().any(|deed| rule.child(deed).is_some()) {
        return Err(AwsError::invalid_request(
            "At least one action needs to be specified in a rule",
        ));
    }
    let narrow = rule
        .child("Filter")
        .map(check_filter)
        .transpose()?
        .unwrap_or(false);
    if let Some(node) = rule.child("Expiration") {
        check_expiration(node, narrow)?;
    }
    if let Some(node) = rule.child("NoncurrentVersionExpiration") {
        parse_days(node, "NoncurrentDays", 1)?.ok_or_else(AwsError::malformed_xml)?;
        check_newer_noncurrent_versions(node)?;
    }
    if let Some(node) = rule.child("AbortIncompleteMultipartUpload") {
        parse_days(node, "DaysAfterInitiation", 1)?.ok_or_else(AwsError::malformed_xml)?;
        if narrow {
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
    let dated = |deed: &str, name: &str| {
        rule.children_named(deed)
            .any(|node| node.child(name).is_some())
    };
    let both = |name: &str| dated("Transition", name) || dated("Expiration", name);
    if both("Date") && both("Days") {
        let message = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule";
        return Err(AwsError::invalid_request(message));
    }
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

/// How many newer versions are kept beside those that are too young.
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

/// Objects move to classes that there are, to each once, not too early for it, and before they expire.
fn check_transitions(rule: &XmlNode, deed: &str, unit: &str, end: &str) -> Result<(), AwsError> {
    let last = rule
        .child(end)
        .map(|node| parse_days(node, unit, 1))
        .transpose()?
        .flatten();
    let mut classes = BTreeSet::new();
    for node in rule.children_named(deed) {
        let class = node
            .child_text("StorageClass")
            .filter(|class| TRANSITION_STORAGE_CLASSES.contains(class));
        let class = class.ok_or_else(AwsError::malformed_xml)?;
        let day = parse_days(node, unit, 0)?;
        // Only what is current can also move on a date.
        if day.is_some() == (unit == "Days" && node.child("Date").is_some()) {
            return Err(AwsError::malformed_xml());
        }
        if deed == "NoncurrentVersionTransition" {
            check_newer_noncurrent_versions(node)?;
        }
        if !classes.insert(class) {
            let message =
                format!("'StorageClass' must be different for '{deed}' actions in same 'Rule'");
            return Err(AwsError::invalid_argument(message));
        }
        let Some(day) = day else { continue };
        if class.ends_with("_IA") && day < INFREQUENT_ACCESS_MIN_DAYS {
            return Err(AwsError::invalid_argument(format!(
                "'{unit}' in {deed} action must be greater than or equal to {INFREQUENT_ACCESS_MIN_DAYS} for storageClass '{class}'"
            )));
        }
        if last.is_some_and(|last| last <= day) {
            let message = format!(
                "'{unit}' in the {end} action must be greater than '{unit}' in the {deed} action"
            );
            return Err(AwsError::invalid_argument(message));
        }
    }
    Ok(())
}

/// Whether a filter looks at more than the key.
fn check_filter(node: &XmlNode) -> Result<bool, AwsError> {
    let inner = match node.children.as_slice() {
        [] => return Ok(false),
        [and] if and.name == "And" && and.children.len() > 1 => and.children.as_slice(),
        [one] if one.name != "And" => std::slice::from_ref(one),
        _ => return Err(AwsError::malformed_xml()),
    };
    let mut narrow = false;
    for part in inner {
        match part.name.as_str() {
            "Prefix" => {}
            "Tag" if part.child_text("Key").is_some() && part.child_text("Value").is_some() => {
                narrow = true;
            }
            "ObjectSizeGreaterThan" | "ObjectSizeLessThan" => {
                part.text
                    .parse::<u64>()
                    .map_err(|_| AwsError::malformed_xml())?;
                narrow = true;
            }
            _ => return Err(AwsError::malformed_xml()),
        }
    }
    Ok(narrow)
}

fn check_expiration(node: &XmlNode, narrow: bool) -> Result<(), AwsError> {
    let said = ["Days", "Date", "ExpiredObjectDeleteMarker"]
        .iter()
        .filter(|name| node.child(name).is_some())
        .count();
    if said != 1 || node.children.len() != 1 {
        return Err(AwsError::malformed_xml());
    }
    parse_days(node, "Days", 1)?;
    if node.child("ExpiredObjectDeleteMarker").is_some() && narrow {
        let message = "ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes.";
        return Err(AwsError::invalid_request(message));
    }
    Ok(())
}

fn parse_days(node: &XmlNode, name: &str, least: i64) -> Result<Option<i64>, AwsError> {
    let Some(text) = node.child_text(name) else {
        return Ok(None);
    };
    let number: i64 = text.parse().map_err(|_| AwsError::malformed_xml())?;
    if number < least {
        let kind = if least == 0 {
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

/// The day of a date, at its beginning: the only moment at which rules begin.
fn normalize_midnight_date(text: &str) -> Result<String, AwsError> {
    const DAY_MS: i64 = 86_400_000;
    let wrong = || AwsError::invalid_argument("'Date' must be at midnight GMT");
    let moment = clock::parse_timestamp(text)
        .or_else(|| clock::parse_timestamp(&format!("{text}T00:00:00Z")));
    let moment = moment
        .filter(|moment| moment % DAY_MS == 0)
        .ok_or_else(wrong)?;
    Ok(clock::format_millis(moment))
}
