//! Our own documents for programs: the plan as one value, a run as one line for each event. The shape is versioned and
//! described by `schema/plan.schema.json`.

use serde_json::{Value, json};

use super::Headline;
use crate::plan::{Plan, Refusal};

mod document;
mod event;

pub use document::PlanDocument;
pub use event::{event, message, report, summary};

/// The version of the plan document. The second part grows when fields are added, the first when any changes meaning.
pub const FORMAT_VERSION: &str = "1.0";

/// The plan as a document.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline) -> Value {
    let document = PlanDocument::new(plan, refusals, headline);
    // Every type in it serialises: no map has keys that are not text.
    serde_json::to_value(document).unwrap_or_default()
}

/// The JSON Schema of the plan document.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(PlanDocument).to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), json!("A plan of trimtab"));
    }
    schema
}
