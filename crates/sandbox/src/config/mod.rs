//! Machine configurations: what Fly keeps of one that was sent, what it refuses, and what it adds.

mod decode;
mod defaults;
mod duration;
mod schema;
mod validate;

pub(crate) use defaults::guest_of;
pub(crate) use duration::parse_or_nanos;

use serde_json::Value;

use super::answer::Refusal;
use super::world::Object;

/// Takes a configuration as it was sent and gives it back as Fly stores and shows it; mounts still lack what only
/// their volumes know.
///
/// # Errors
/// `400` with the path of what is wrong.
pub(crate) fn accept(sent: &Value) -> Result<Object, Refusal> {
    let mut config = decode::object("config", schema::CONFIG, sent)?;
    defaults::fill(&mut config)?;
    validate::check(&config)?;
    Ok(config)
}
