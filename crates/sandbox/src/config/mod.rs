//! Machine configurations: what Fly keeps of one that was sent, what it refuses, and what it adds.

mod decode;
mod defaults;
mod duration;
mod schema;
mod validate;

pub(crate) use defaults::resolve_guest;
pub(crate) use duration::parse_duration_nanos;

use serde_json::Value;

use super::api::ApiError;
use super::world::JsonObject;

/// Takes a configuration as it was sent and gives it back as Fly stores and shows it; mounts still lack what only
/// their volumes know.
///
/// # Errors
/// `400` with the path of what is wrong.
pub(crate) fn normalize(sent: &Value) -> Result<JsonObject, ApiError> {
    let mut config = decode::decode_object("config", schema::CONFIG, sent)?;
    defaults::apply_defaults(&mut config)?;
    validate::validate(&config)?;
    Ok(config)
}
