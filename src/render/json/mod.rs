//! trimtab's own JSON: the plan as one document, and an apply as JSON Lines. The plan document is versioned; its schema is
//! `schema/plan.schema.json`.

use serde_json::{Value, json};

use super::Headline;
use crate::{
    model::redact_json,
    plan::{Plan, Refusal},
};

mod document;
mod enum_schemas;
mod event;

pub use document::PlanDocument;
pub use event::{RolledBack, event, message, report, running, summary};

/// The version of the plan document, as major.minor. New fields raise the minor version; a field that is removed or
/// changes its meaning raises the major version.
pub const FORMAT_VERSION: &str = "1.0";

/// Renders the plan document.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline) -> Value {
    let document = PlanDocument::new(plan, refusals, headline);
    // Serialization cannot fail: all map keys are strings.
    redact_json(serde_json::to_value(document).unwrap_or_default())
}

/// Returns the JSON Schema of the plan document.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(PlanDocument).to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), json!("A plan of trimtab"));
    }
    schema
}
