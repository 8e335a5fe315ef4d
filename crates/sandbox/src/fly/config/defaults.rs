//! Fills in what Fly adds to an incomplete configuration.

use serde_json::{Value, json};

use super::duration;
use crate::api::ApiError;
use crate::world::JsonObject;

/// Bounds of the times of service checks, in nanoseconds; Fly raises shorter ones to one second and
/// lowers longer ones to one minute.
const CHECK_BOUNDS_NS: (u64, u64) = (1_000_000_000, 60_000_000_000);

/// Fills in the guest, the restart policy and empty objects, and clamps the times of service
/// checks.
///
/// # Errors
/// `400` for an unknown size, or when both size and guest are set.
pub(super) fn apply_defaults(config: &mut JsonObject) -> Result<(), ApiError> {
    let size = config.remove("size");
    let guest = resolve_guest(size.as_ref().and_then(Value::as_str), config.get("guest"))?;
    config.insert("guest".to_owned(), guest);
    config.entry("dns").or_insert_with(|| json!({}));
    let restart = config.entry("restart").or_insert_with(|| json!({}));
    if let Some(restart) = restart
        .as_object_mut()
        .filter(|restart| !restart.contains_key("policy"))
    {
        restart.insert("policy".to_owned(), "on-failure".into());
        restart.entry("max_retries").or_insert_with(|| 10.into());
    }
    for service in config
        .get_mut("services")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for check in service
            .get_mut("checks")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            clamp_check_times(check);
        }
    }
    Ok(())
}

fn clamp_check_times(check: &mut Value) {
    let (low, high) = CHECK_BOUNDS_NS;
    for key in ["interval", "timeout", "grace_period"] {
        let nanos = check.get(key).and_then(duration::parse_duration_nanos);
        // A check may do without a grace period, but not without an interval or a timeout.
        if let Some(nanos) = nanos.filter(|nanos| key != "grace_period" || *nanos != 0) {
            check[key] = duration::format_duration(nanos.clamp(low, high)).into();
        }
    }
}

/// The complete guest for a size or a partial guest; without either, `shared-cpu-1x`.
///
/// # Errors
/// `400` for an unknown size, or when both are set.
pub(crate) fn resolve_guest(size: Option<&str>, guest: Option<&Value>) -> Result<Value, ApiError> {
    match (size, guest) {
        (Some(_), Some(_)) => Err(ApiError::bad_request(
            "invalid config: size and guest are mutually exclusive",
        )),
        (Some(size), None) => guest_preset(size)
            .ok_or_else(|| ApiError::bad_request(format!("invalid machine size: {size:?}"))),
        (None, guest) => Ok(complete_guest(
            guest
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        )),
    }
}

fn complete_guest(mut guest: JsonObject) -> Value {
    let kind = guest
        .entry("cpu_kind")
        .or_insert_with(|| "shared".into())
        .clone();
    let cpus = guest
        .entry("cpus")
        .or_insert_with(|| 1.into())
        .as_i64()
        .unwrap_or(1);
    let per_cpu = if kind == "performance" { 2048 } else { 256 };
    guest
        .entry("memory_mb")
        .or_insert_with(|| cpus.saturating_mul(per_cpu).into());
    Value::Object(guest)
}

fn guest_preset(size: &str) -> Option<Value> {
    let (kind, count, per_cpu) = if let Some(count) = size.strip_prefix("shared-cpu-") {
        ("shared", count, 256)
    } else {
        ("performance", size.strip_prefix("performance-")?, 2048)
    };
    let cpus: i64 = count.strip_suffix('x')?.parse().ok()?;
    Some(json!({ "cpu_kind": kind, "cpus": cpus, "memory_mb": cpus.saturating_mul(per_cpu) }))
}
