//! Rejects configurations that Fly would reject.

use serde_json::Value;

use super::duration;
use crate::api::ApiError;
use crate::json;
use crate::world::JsonObject;

const SHARED_CPUS: [i64; 5] = [1, 2, 4, 6, 8];
const PERFORMANCE_CPUS: [i64; 12] = [1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128];
/// The most `statics` entries of one machine.
const MAX_STATICS: usize = 10;
/// The longest `stop_config.timeout` (from stop signal to kill), in nanoseconds: five minutes.
const MAX_STOP_NS: u64 = 300_000_000_000;

/// Validates a decoded configuration.
///
/// # Errors
/// `400` for the first error.
pub(super) fn validate(config: &JsonObject) -> Result<(), ApiError> {
    if json::string(config.get("image")).is_empty()
        && json::items(config.get("containers")).is_empty()
    {
        return Err(invalid_config("config.image is required"));
    }
    validate_guest(config.get("guest").unwrap_or(&Value::Null))?;
    validate_mounts(json::items(config.get("mounts")))?;
    for service in json::items(config.get("services")) {
        validate_service(service)?;
    }
    for (name, check) in json::members(config.get("checks")) {
        validate_machine_check(name, check)?;
    }
    validate_files(json::items(config.get("files")))?;
    if json::items(config.get("statics")).len() > MAX_STATICS {
        return Err(invalid_config(format!(
            "config.statics can have at most {MAX_STATICS} entries"
        )));
    }
    if !json::items(config.get("standbys")).is_empty()
        && !json::items(config.get("services")).is_empty()
    {
        return Err(invalid_config(
            "config.standbys is only allowed on machines without services",
        ));
    }
    validate_stop_config(config.get("stop_config"))
}

fn invalid_config(what: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("invalid {what}"))
}

/// The allowed memory depends on the CPUs: 256 MB to 2 GB for each shared one, 2 GB to 8 GB for
/// each performance one.
fn validate_guest(guest: &Value) -> Result<(), ApiError> {
    let number = |key: &str| guest.get(key).and_then(Value::as_i64).unwrap_or(0);
    let (cpus, memory) = (number("cpus"), number("memory_mb"));
    let (allowed, step, low, high) = match guest.get("cpu_kind").and_then(Value::as_str) {
        Some("shared") => (SHARED_CPUS.as_slice(), 256, 256, 2048),
        Some("performance") => (PERFORMANCE_CPUS.as_slice(), 1024, 2048, 8192),
        kind => {
            return Err(invalid_config(format!(
                "config.guest.cpu_kind: {:?}",
                kind.unwrap_or_default()
            )));
        }
    };
    if !allowed.contains(&cpus) {
        return Err(invalid_config(format!(
            "config.guest.cpus: {cpus}, must be one of {allowed:?}"
        )));
    }
    if memory < low * cpus {
        return Err(invalid_config(format!(
            "config.guest.memory_mb, minimum required {} MiB",
            low * cpus
        )));
    }
    if memory > high * cpus {
        return Err(invalid_config(format!(
            "config.guest.memory_mb, maximum allowed {} MiB",
            high * cpus
        )));
    }
    if memory % step != 0 {
        return Err(invalid_config(format!(
            "config.guest.memory_mb, must be a multiple of {step} MiB"
        )));
    }
    if number("gpus") > 0 || guest.get("gpu_kind").is_some() {
        return Err(invalid_config(
            "config.guest: GPU machines are no longer available",
        ));
    }
    Ok(())
}

fn validate_mounts(mounts: &[Value]) -> Result<(), ApiError> {
    if mounts.len() > 1 {
        return Err(invalid_config(
            "config.mounts: a machine can have at most one volume",
        ));
    }
    for mount in mounts {
        let path = json::string(mount.get("path"));
        if !path.starts_with('/') || path.trim_end_matches('/').is_empty() {
            return Err(invalid_config(format!(
                "config.mounts: path {path:?} must be absolute and not /"
            )));
        }
        if mount.get("volume").is_none() && mount.get("name").is_none() {
            return Err(invalid_config("config.mounts: volume is required"));
        }
    }
    Ok(())
}

fn is_port(port: i64) -> bool {
    (1..=65_535).contains(&port)
}

fn validate_service(service: &Value) -> Result<(), ApiError> {
    const HANDLERS: [&str; 5] = ["http", "tls", "pg_tls", "proxy_proto", "edge_http"];
    if !matches!(
        service.get("protocol").and_then(Value::as_str),
        Some("tcp" | "udp")
    ) {
        return Err(invalid_config(
            "config.services: protocol must be tcp or udp",
        ));
    }
    if !service
        .get("internal_port")
        .and_then(Value::as_i64)
        .is_some_and(is_port)
    {
        return Err(invalid_config("config.services: internal_port is required"));
    }
    for port in json::items(service.get("ports")) {
        let number = |key: &str| port.get(key).and_then(Value::as_i64);
        let fits = match (number("port"), number("start_port"), number("end_port")) {
            (Some(port), None, None) => is_port(port),
            (None, Some(start), Some(end)) => is_port(start) && is_port(end) && start <= end,
            _ => false,
        };
        if !fits {
            return Err(invalid_config(
                "config.services.ports: port, or start_port and end_port, is required",
            ));
        }
        for handler in json::items(port.get("handlers")) {
            if !handler
                .as_str()
                .is_some_and(|handler| HANDLERS.contains(&handler))
            {
                return Err(invalid_config(format!(
                    "config.services.ports: unknown handler {handler}"
                )));
            }
        }
    }
    match service
        .get("concurrency")
        .and_then(|concurrency| concurrency.get("type")?.as_str())
    {
        None | Some("connections" | "requests") => Ok(()),
        Some(other) => Err(invalid_config(format!(
            "config.services.concurrency.type: {other:?}"
        ))),
    }
}

/// Fly rejects times of machine checks that are out of bounds; those of service checks it only
/// clamps.
fn validate_machine_check(name: &str, check: &Value) -> Result<(), ApiError> {
    let nanos = |key: &str| check.get(key).and_then(duration::parse_duration_nanos);
    if check.get("port").is_none() {
        return Err(invalid_config(format!(
            "config.checks.{name}: port is required"
        )));
    }
    if nanos("interval").is_some_and(|nanos| nanos < 2_000_000_000) {
        return Err(invalid_config(format!(
            "config.checks.{name}: interval must be at least 2s"
        )));
    }
    if nanos("timeout").is_some_and(|nanos| nanos > 60_000_000_000) {
        return Err(invalid_config(format!(
            "config.checks.{name}: timeout must be at most 1m0s"
        )));
    }
    Ok(())
}

fn validate_files(files: &[Value]) -> Result<(), ApiError> {
    use base64::Engine as _;
    for file in files {
        let path = json::string(file.get("guest_path"));
        if !path.starts_with('/') {
            return Err(invalid_config(format!(
                "config.files: guest_path {path:?} must be absolute"
            )));
        }
        let sources = ["raw_value", "secret_name", "image_config"];
        if sources
            .iter()
            .filter(|source| file.get(**source).is_some())
            .count()
            > 1
        {
            return Err(invalid_config(format!(
                "config.files: {path} must have one source"
            )));
        }
        let raw = json::string(file.get("raw_value"));
        if base64::engine::general_purpose::STANDARD
            .decode(raw)
            .is_err()
        {
            return Err(invalid_config(format!(
                "config.files: raw_value of {path} is not base64"
            )));
        }
    }
    Ok(())
}

fn validate_stop_config(stop: Option<&Value>) -> Result<(), ApiError> {
    let timeout = stop
        .and_then(|stop| stop.get("timeout"))
        .and_then(duration::parse_duration_nanos);
    if timeout.is_some_and(|nanos| nanos > MAX_STOP_NS) {
        return Err(invalid_config("config.stop_config.timeout: at most 5m0s"));
    }
    Ok(())
}
