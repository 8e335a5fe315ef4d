//! Lifecycle rules: kept as they were written, and shown in another order, as S3 promises none.
//!
//! Nothing expires by itself here: what rules would remove in days is no business of a sandbox that lives for minutes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::config::absent;
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::Node;
use crate::clock;
use crate::ids;

/// What no configuration may exceed.
const RULES_MAX: usize = 1000;
const SIZE_HEADER: &str = "x-amz-transition-default-minimum-object-size";
/// What may happen to objects; a rule without any of it says nothing.
const DEEDS: [&str; 5] = [
    "Expiration",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
    "Transition",
    "NoncurrentVersionTransition",
];

/// Where objects can move.
const CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
/// What is rarely read has been kept elsewhere so long before.
const RARE_MIN_DAYS: i64 = 30;
/// No more newer versions can be kept.
const NEWER_MAX: i64 = 100;

/// The rules of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lifecycle {
    rules: Vec<Node>,
    minimum_size: String,
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let Some(lifecycle) = &call.config()?.lifecycle else {
        return Err(absent(
            call,
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ));
    };
    // An order that no client chose, and the same each time.
    let mut rules: Vec<&Node> = lifecycle.rules.iter().collect();
    rules.sort_by_key(|rule| ids::draw(&["lifecycle", rule.text_of("ID").unwrap_or_default()]));
    let node = Node::new("LifecycleConfiguration").all(rules.into_iter().cloned());
    Ok(Reply::xml(&node).header(SIZE_HEADER, &lifecycle.minimum_size))
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let node = call.document("LifecycleConfiguration")?;
    if node.children.is_empty() || node.children.len() > RULES_MAX {
        return Err(Problem::malformed_xml());
    }
    let minimum_size = match call.request.header(SIZE_HEADER) {
        None => "all_storage_classes_128K",
        Some(said @ ("all_storage_classes_128K" | "varies_by_storage_class")) => said,
        Some(_) => return Err(Problem::argument(format!("Invalid {SIZE_HEADER} header"))),
    };
    let minimum_size = minimum_size.to_owned();
    let mut rules = Vec::new();
    let mut named = BTreeSet::new();
    for rule in node.children {
        let rule = with_id(call, check(rule)?);
        let id = rule.text_of("ID").unwrap_or_default();
        if id.len() > 255 {
            return Err(Problem::argument(
                "ID length should not exceed allowed limit of 255",
            ));
        }
        if !named.insert(id.to_owned()) {
            return Err(Problem::argument(
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
        rules.push(rule);
    }
    let answer = Reply::empty(200).header(SIZE_HEADER, &minimum_size);
    call.configure(|config| {
        config.lifecycle = Some(Lifecycle {
            rules,
            minimum_size,
        })
    })?;
    Ok(answer)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, Problem> {
    call.configure(|config| config.lifecycle = None)?;
    Ok(Reply::empty(204))
}

fn with_id(call: &mut Call<'_>, mut rule: Node) -> Node {
    if rule.text_of("ID").is_none_or(str::is_empty) {
        let id = ids::hex(&call.world.draw_aws("rule")[..24]);
        rule.children.retain(|child| child.name != "ID");
        rule.children.insert(0, Node::leaf("ID", id));
    }
    rule
}

fn check(mut rule: Node) -> Result<Node, Problem> {
    let status = rule.text_of("Status").unwrap_or_default();
    let known = |child: &Node| {
        DEEDS.contains(&child.name.as_str())
            || matches!(child.name.as_str(), "ID" | "Status" | "Prefix" | "Filter")
    };
    if rule.name != "Rule"
        || !matches!(status, "Enabled" | "Disabled")
        || !rule.children.iter().all(known)
    {
        return Err(Problem::malformed_xml());
    }
    // Exactly one of the modern and the legacy form.
    if rule.get("Filter").is_some() == rule.get("Prefix").is_some() {
        return Err(Problem::malformed_xml());
    }
    if !DEEDS.iter().any(|deed| rule.get(deed).is_some()) {
        return Err(Problem::request(
            "At least one action needs to be specified in a rule",
        ));
    }
    let narrow = rule.get("Filter").map(filter).transpose()?.unwrap_or(false);
    if let Some(node) = rule.get("Expiration") {
        expiration(node, narrow)?;
    }
    if let Some(node) = rule.get("NoncurrentVersionExpiration") {
        days(node, "NoncurrentDays", 1)?.ok_or_else(Problem::malformed_xml)?;
        newer(node)?;
    }
    if let Some(node) = rule.get("AbortIncompleteMultipartUpload") {
        days(node, "DaysAfterInitiation", 1)?.ok_or_else(Problem::malformed_xml)?;
        if narrow {
            let message =
                "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.";
            return Err(Problem::request(message));
        }
    }
    transitions(&rule, "Transition", "Days", "Expiration")?;
    transitions(
        &rule,
        "NoncurrentVersionTransition",
        "NoncurrentDays",
        "NoncurrentVersionExpiration",
    )?;
    let dated = |deed: &str, name: &str| rule.each(deed).any(|node| node.get(name).is_some());
    let both = |name: &str| dated("Transition", name) || dated("Expiration", name);
    if both("Date") && both("Days") {
        let message = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule";
        return Err(Problem::request(message));
    }
    for node in rule
        .children
        .iter_mut()
        .flat_map(|child| &mut child.children)
        .filter(|node| node.name == "Date")
    {
        node.text = midnight(&node.text)?;
    }
    Ok(rule)
}

/// How many newer versions are kept beside those that are too young.
fn newer(node: &Node) -> Result<(), Problem> {
    let Some(count) = days(node, "NewerNoncurrentVersions", 1)? else {
        return Ok(());
    };
    match count > NEWER_MAX {
        true => Err(Problem::argument(format!(
            "'NewerNoncurrentVersions' for {} action must be less than or equal to {NEWER_MAX}",
            node.name
        ))),
        false => Ok(()),
    }
}

/// Objects move to classes that there are, to each once, not too early for it, and before they expire.
fn transitions(rule: &Node, deed: &str, unit: &str, end: &str) -> Result<(), Problem> {
    let last = rule
        .get(end)
        .map(|node| days(node, unit, 1))
        .transpose()?
        .flatten();
    let mut classes = BTreeSet::new();
    for node in rule.each(deed) {
        let class = node
            .text_of("StorageClass")
            .filter(|class| CLASSES.contains(class));
        let class = class.ok_or_else(Problem::malformed_xml)?;
        let day = days(node, unit, 0)?;
        // Only what is current can also move on a date.
        if day.is_some() == (unit == "Days" && node.get("Date").is_some()) {
            return Err(Problem::malformed_xml());
        }
        if deed == "NoncurrentVersionTransition" {
            newer(node)?;
        }
        if !classes.insert(class) {
            let message =
                format!("'StorageClass' must be different for '{deed}' actions in same 'Rule'");
            return Err(Problem::argument(message));
        }
        let Some(day) = day else { continue };
        if class.ends_with("_IA") && day < RARE_MIN_DAYS {
            return Err(Problem::argument(format!(
                "'{unit}' in {deed} action must be greater than or equal to {RARE_MIN_DAYS} for storageClass '{class}'"
            )));
        }
        if last.is_some_and(|last| last <= day) {
            let message = format!(
                "'{unit}' in the {end} action must be greater than '{unit}' in the {deed} action"
            );
            return Err(Problem::argument(message));
        }
    }
    Ok(())
}

/// Whether a filter looks at more than the key.
fn filter(node: &Node) -> Result<bool, Problem> {
    let inner = match node.children.as_slice() {
        [] => return Ok(false),
        [and] if and.name == "And" && and.children.len() > 1 => and.children.as_slice(),
        [one] if one.name != "And" => std::slice::from_ref(one),
        _ => return Err(Problem::malformed_xml()),
    };
    let mut narrow = false;
    for part in inner {
        match part.name.as_str() {
            "Prefix" => {}
            "Tag" if part.text_of("Key").is_some() && part.text_of("Value").is_some() => {
                narrow = true
            }
            "ObjectSizeGreaterThan" | "ObjectSizeLessThan" => {
                part.text
                    .parse::<u64>()
                    .map_err(|_| Problem::malformed_xml())?;
                narrow = true;
            }
            _ => return Err(Problem::malformed_xml()),
        }
    }
    Ok(narrow)
}

fn expiration(node: &Node, narrow: bool) -> Result<(), Problem> {
    let said = ["Days", "Date", "ExpiredObjectDeleteMarker"]
        .iter()
        .filter(|name| node.get(name).is_some())
        .count();
    if said != 1 || node.children.len() != 1 {
        return Err(Problem::malformed_xml());
    }
    days(node, "Days", 1)?;
    if node.get("ExpiredObjectDeleteMarker").is_some() && narrow {
        let message = "ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes.";
        return Err(Problem::request(message));
    }
    Ok(())
}

fn days(node: &Node, name: &str, least: i64) -> Result<Option<i64>, Problem> {
    let Some(text) = node.text_of(name) else {
        return Ok(None);
    };
    let number: i64 = text.parse().map_err(|_| Problem::malformed_xml())?;
    if number < least {
        let kind = if least == 0 {
            "a non-negative"
        } else {
            "a positive"
        };
        return Err(Problem::argument(format!(
            "'{name}' for {} action must be {kind} integer",
            node.name
        )));
    }
    Ok(Some(number))
}

/// The day of a date, at its beginning: the only moment at which rules begin.
fn midnight(text: &str) -> Result<String, Problem> {
    const DAY_MS: i64 = 86_400_000;
    let wrong = || Problem::argument("'Date' must be at midnight GMT");
    let moment = clock::parse(text).or_else(|| clock::parse(&format!("{text}T00:00:00Z")));
    let moment = moment
        .filter(|moment| moment % DAY_MS == 0)
        .ok_or_else(wrong)?;
    Ok(clock::millis(moment))
}
