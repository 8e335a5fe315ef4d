//! flyctl's rules for a mount: sizes of at least a gigabyte, and complete settings for automatic
//! extension.

use std::ops::RangeInclusive;

use super::{diagnostics::FlyTomlDiagnostics, go_format};
use crate::manifest::syntax::node::{SourceLocation, TomlNode, TomlTable, TomlValue};

/// Validates a mount.
pub(super) fn validate_mount(mount: &TomlNode, diagnostics: &mut FlyTomlDiagnostics) {
    let TomlValue::Table(table) = &mount.value else {
        return;
    };
    mount_size(table, "initial_size", &(1..=i64::MAX), diagnostics);
    let increment = mount_size(table, "auto_extend_size_increment", &(1..=100), diagnostics);
    let limit = mount_size(table, "auto_extend_size_limit", &(1..=500), diagnostics);
    validate_auto_extend(
        mount,
        table,
        increment.is_some(),
        limit.is_some(),
        diagnostics,
    );
}

/// The size at a key, in gigabytes; zero when it is invalid. Like flyctl, the checks that follow
/// count an invalid size as set.
fn mount_size(
    table: &TomlTable,
    key: &str,
    allowed: &RangeInclusive<i64>,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<i64> {
    let node = table.get(key)?;
    let Some(gigabytes) = node.as_str().and_then(go_format::parse_gigabytes) else {
        let message = format!("`{key}` in `mounts` must be a size such as \"10gb\"");
        diagnostics.error(&node.location, message, "this is not a size", None);
        return Some(0);
    };
    if !allowed.contains(&gigabytes) {
        let rule = match *allowed.end() {
            i64::MAX => "at least 1 GB".to_owned(),
            max => format!("between 1 GB and {max} GB"),
        };
        let label = format!("this is {gigabytes} GB");
        diagnostics.error(
            &node.location,
            format!("`{key}` in `mounts` must be {rule}"),
            label,
            None,
        );
    }
    Some(gigabytes)
}

fn validate_auto_extend(
    mount: &TomlNode,
    table: &TomlTable,
    increment: bool,
    limit: bool,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    let threshold = table.get("auto_extend_size_threshold");
    if threshold.is_none() && !increment && !limit {
        return;
    }
    let percent = match threshold.map(|node| &node.value) {
        Some(TomlValue::Integer(percent)) => *percent,
        _ => 0,
    };
    if !(50..=99).contains(&percent) {
        let location = threshold.map_or(&mount.location, |node| &node.location);
        let rule = "between 50 and 99";
        report_invalid(location, "auto_extend_size_threshold", rule, diagnostics);
    }
    if !increment {
        report_invalid(
            &mount.location,
            "auto_extend_size_increment",
            "between 1 GB and 100 GB",
            diagnostics,
        );
    }
}

fn report_invalid(
    location: &SourceLocation,
    key: &str,
    rule: &str,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    let message = format!("`{key}` in `mounts` must be {rule}");
    let help = "a volume that grows needs a threshold in percent and an increment".to_owned();
    diagnostics.error(location, message, "flyctl refuses this", Some(help));
}
