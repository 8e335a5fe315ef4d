//! Machine configurations: what Fly keeps, rejects and adds.

mod decode;
mod defaults;
mod duration;
mod schema;
mod validate;

pub(crate) use defaults::resolve_guest;
pub(crate) use duration::{parse_duration_ms, parse_duration_nanos};

use serde_json::Value;

use crate::api::ApiError;
use crate::world::JsonObject;

/// Decodes and validates a configuration and fills in the defaults, which gives the form that Fly
/// stores and returns. Properties of volumes in `mounts` are still missing.
///
/// # Errors
/// `400` with the path of the invalid value.
pub(crate) fn normalize(sent: &Value) -> Result<JsonObject, ApiError> {
    let mut config = decode::decode_object("config", schema::CONFIG, sent)?;
    defaults::apply_defaults(&mut config)?;
    validate::validate(&config)?;
    Ok(config)
}
