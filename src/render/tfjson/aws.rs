//! The kinds of AWS as plain values: what each of their edits changes.

use serde_json::json;

use super::before_after::{ApplyEdit, BeforeAfter};
use crate::kinds::aws::{
    bucket::BucketEdit, oidc_provider::OidcProviderEdit, role::RoleEdit, tags::TagChange,
};

/// The tags afterwards, as far as they change.
fn set_tags(sides: &mut BeforeAfter, change: &TagChange) {
    let before = sides
        .get_after("tags")
        .and_then(|tags| serde_json::from_value(tags).ok())
        .unwrap_or_default();
    sides.set_after("tags", change.apply_to(&before));
}

impl ApplyEdit for OidcProviderEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        let Self::AddAudience = self;
        sides.set_after("audience", crate::kinds::aws::oidc_provider::AUDIENCE);
    }
}

impl ApplyEdit for RoleEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        match self {
            Self::TrustPolicy(_, to) => sides.set_after("trust", to),
            Self::Settings {
                description: (_, text),
                max_session: (_, secs),
            } => {
                sides.set_after("description", text);
                sides.set_after("max_session", secs);
            }
            Self::PermissionsBoundary(_, to) => sides.set_after("boundary", to),
            Self::Tags(change) => set_tags(sides, change),
            Self::InlinePolicy(name, _, to) => {
                let mut policies = sides.get_after("policies").unwrap_or_else(|| json!({}));
                policies[name.as_str()] = json!(to);
                sides.set_after("policies", policies);
            }
            Self::ManagedPolicy(arn, attached) => {
                let mut all: Vec<String> = sides
                    .get_after("managed")
                    .and_then(|there| serde_json::from_value(there).ok())
                    .unwrap_or_default();
                all.retain(|there| there != arn);
                all.extend(attached.then(|| arn.clone()));
                sides.set_after("managed", all);
            }
        }
    }
}

impl ApplyEdit for BucketEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        match self {
            Self::Tags(change) => set_tags(sides, change),
            Self::PublicAccessBlock(_, to) => sides.set_after("public_access", to),
            Self::Ownership(_, to) => sides.set_after("ownership", to),
            Self::Encryption(_, to) => sides.set_after("encryption", to),
            Self::Versioning(on) => {
                sides.set_after("versioning", if *on { "Enabled" } else { "Suspended" });
            }
            Self::Lifecycle(_, to) => sides.set_after("lifecycle", to),
            Self::Policy(_, to) => sides.set_after("policy", to),
        }
    }
}
