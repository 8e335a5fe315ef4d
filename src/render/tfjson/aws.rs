//! The kinds of AWS as plain values: what each of their edits changes.

use serde_json::json;

use super::sides::{Overlay, Sides};
use crate::kinds::aws::{
    bucket::BucketEdit, provider::ProviderEdit, role::RoleEdit, tags::TagChange,
};

/// The tags afterwards, as far as they change.
fn tags(sides: &mut Sides, change: &TagChange) {
    let before = sides
        .get("tags")
        .and_then(|tags| serde_json::from_value(tags).ok())
        .unwrap_or_default();
    sides.set("tags", change.applied_to(&before));
}

impl Overlay for ProviderEdit {
    fn overlay(&self, sides: &mut Sides) {
        let Self::AddAudience = self;
        sides.set("audience", crate::kinds::aws::provider::AUDIENCE);
    }
}

impl Overlay for RoleEdit {
    fn overlay(&self, sides: &mut Sides) {
        match self {
            Self::Trust(_, to) => sides.set("trust", to),
            Self::Settings {
                description: (_, text),
                max_session: (_, secs),
            } => {
                sides.set("description", text);
                sides.set("max_session", secs);
            }
            Self::Boundary(_, to) => sides.set("boundary", to),
            Self::Tags(change) => tags(sides, change),
            Self::Policy(name, _, to) => {
                let mut policies = sides.get("policies").unwrap_or_else(|| json!({}));
                policies[name.as_str()] = json!(to);
                sides.set("policies", policies);
            }
            Self::Attached(arn, attached) => {
                let mut all: Vec<String> = sides
                    .get("managed")
                    .and_then(|there| serde_json::from_value(there).ok())
                    .unwrap_or_default();
                all.retain(|there| there != arn);
                all.extend(attached.then(|| arn.clone()));
                sides.set("managed", all);
            }
        }
    }
}

impl Overlay for BucketEdit {
    fn overlay(&self, sides: &mut Sides) {
        match self {
            Self::Tags(change) => tags(sides, change),
            Self::PublicAccess(_, to) => sides.set("public_access", to),
            Self::Ownership(_, to) => sides.set("ownership", to),
            Self::Encryption(_, to) => sides.set("encryption", to),
            Self::Versioning(on) => {
                sides.set("versioning", if *on { "Enabled" } else { "Suspended" })
            }
            Self::Lifecycle(_, to) => sides.set("lifecycle", to),
            Self::Policy(_, to) => sides.set("policy", to),
        }
    }
}
