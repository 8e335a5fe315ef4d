//! What flyctl asks of a mount: sizes of at least a gigabyte, and rules for growing that are whole.

use std::ops::RangeInclusive;

use super::{report::Report, text};
use crate::manifest::node::{Node, Place, Table, Value};

/// Applies the rules to a mount.
pub(super) fn validate(mount: &Node, report: &mut Report) {
    let Value::Table(table) = &mount.value else {
        return;
    };
    size(table, "initial_size", &(1..=i64::MAX), report);
    let increment = size(table, "auto_extend_size_increment", &(1..=100), report);
    let limit = size(table, "auto_extend_size_limit", &(1..=500), report);
    growth(mount, table, increment.is_some(), limit.is_some(), report);
}

/// The size at a key, in gigabytes. flyctl counts a wrong one as absent in what follows, as does this.
fn size(
    table: &Table,
    key: &str,
    allowed: &RangeInclusive<i64>,
    report: &mut Report,
) -> Option<i64> {
    let node = table.get(key)?;
    let Some(gigabytes) = node.as_str().and_then(text::gigabytes) else {
        let message = format!("`{key}` in `mounts` must be a size such as \"10gb\"");
        report.wrong(&node.at, message, "this is no size", None);
        return Some(0);
    };
    if !allowed.contains(&gigabytes) {
        let rule = match *allowed.end() {
            i64::MAX => "at least 1 GB".to_owned(),
            most => format!("between 1 GB and {most} GB"),
        };
        let label = format!("this is {gigabytes} GB");
        report.wrong(
            &node.at,
            format!("`{key}` in `mounts` must be {rule}"),
            label,
            None,
        );
    }
    Some(gigabytes)
}

fn growth(mount: &Node, table: &Table, increment: bool, limit: bool, report: &mut Report) {
    let threshold = table.get("auto_extend_size_threshold");
    if threshold.is_none() && !increment && !limit {
        return;
    }
    let percent = match threshold.map(|node| &node.value) {
        Some(Value::Integer(percent)) => *percent,
        _ => 0,
    };
    if !(50..=99).contains(&percent) {
        let at = threshold.map_or(&mount.at, |node| &node.at);
        let rule = "between 50 and 99";
        missing(at, "auto_extend_size_threshold", rule, report);
    }
    if !increment {
        missing(
            &mount.at,
            "auto_extend_size_increment",
            "between 1 GB and 100 GB",
            report,
        );
    }
}

fn missing(at: &Place, key: &str, rule: &str, report: &mut Report) {
    let message = format!("`{key}` in `mounts` must be {rule}");
    let help = "a volume that grows needs a threshold in percent and an increment".to_owned();
    report.wrong(at, message, "flyctl refuses this", Some(help));
}
