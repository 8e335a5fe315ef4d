//! What Fly adds to a configuration that leaves it out.

use serde_json::{Value, json};

use super::duration;
use crate::answer::Refusal;
use crate::world::Object;

/// Health checks of services outside one second to one minute are moved to the nearer end.
const CHECK_BOUNDS_NS: (u64, u64) = (1_000_000_000, 60_000_000_000);

/// Fills in guest, restart policy and the empty objects, and clamps the times of service checks.
///
/// # Errors
/// `400` for an unknown size, or a size beside a guest.
pub(super) fn fill(config: &mut Object) -> Result<(), Refusal> {
    let size = config.remove("size");
    let guest = guest_of(size.as_ref().and_then(Value::as_str), config.get("guest"))?;
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
            clamp(check);
        }
    }
    Ok(())
}

fn clamp(check: &mut Value) {
    let (low, high) = CHECK_BOUNDS_NS;
    for key in ["interval", "timeout"] {
        if let Some(nanos) = check.get(key).and_then(duration::parse_or_nanos) {
            check[key] = duration::format(nanos.clamp(low, high)).into();
        }
    }
}

/// The guest that a size and a partial guest mean together; nothing at all is `shared-cpu-1x`.
///
/// # Errors
/// `400` for an unknown size, or both at once.
pub(crate) fn guest_of(size: Option<&str>, guest: Option<&Value>) -> Result<Value, Refusal> {
    match (size, guest) {
        (Some(_), Some(_)) => Err(Refusal::invalid(
            "invalid config: size and guest are mutually exclusive",
        )),
        (Some(size), None) => {
            preset(size).ok_or_else(|| Refusal::invalid(format!("invalid machine size: {size:?}")))
        }
        (None, guest) => Ok(complete(
            guest
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        )),
    }
}

fn complete(mut guest: Object) -> Value {
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

fn preset(size: &str) -> Option<Value> {
    let (kind, count, per_cpu) = if let Some(count) = size.strip_prefix("shared-cpu-") {
        ("shared", count, 256)
    } else {
        ("performance", size.strip_prefix("performance-")?, 2048)
    };
    let cpus: i64 = count.strip_suffix('x')?.parse().ok()?;
    Some(json!({ "cpu_kind": kind, "cpus": cpus, "memory_mb": cpus.saturating_mul(per_cpu) }))
}
