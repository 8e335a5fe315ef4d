//! How each edit of an AWS resource changes its values.

use serde_json::json;

use super::before_after::{ApplyEdit, BeforeAfter};
use crate::kinds::aws::{
    bucket::BucketEdit, oidc_provider::OidcProviderEdit, role::RoleEdit, tags::TagChange,
};

/// Applies a change of tags.
fn set_tags(values: &mut BeforeAfter, change: &TagChange) {
    let current = values
        .get_after("tags")
        .and_then(|tags| serde_json::from_value(tags).ok())
        .unwrap_or_default();
    values.set_after("tags", change.apply_to(&current));
}

impl ApplyEdit for OidcProviderEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        let Self::AddAudience = self;
        values.set_after("audience", crate::kinds::aws::oidc_provider::AUDIENCE);
    }
}

impl ApplyEdit for RoleEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        match self {
            Self::TrustPolicy(_, to) => values.set_after("trust", to),
            Self::Settings {
                description: (_, text),
                max_session: (_, secs),
            } => {
                values.set_after("description", text);
                values.set_after("max_session", secs);
            }
            Self::PermissionsBoundary(_, to) => values.set_after("boundary", to),
            Self::Tags(change) => set_tags(values, change),
            Self::InlinePolicy(name, _, to) => {
                let mut policies = values.get_after("policies").unwrap_or_else(|| json!({}));
                policies[name.as_str()] = json!(to);
                values.set_after("policies", policies);
            }
            Self::ManagedPolicy(arn, attached) => {
                let mut arns: Vec<String> = values
                    .get_after("managed")
                    .and_then(|arns| serde_json::from_value(arns).ok())
                    .unwrap_or_default();
                arns.retain(|other| other != arn);
                arns.extend(attached.then(|| arn.clone()));
                values.set_after("managed", arns);
            }
        }
    }
}

impl ApplyEdit for BucketEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        match self {
            Self::Tags(change) => set_tags(values, change),
            Self::PublicAccessBlock(_, to) => values.set_after("public_access", to),
            Self::Ownership(_, to) => values.set_after("ownership", to),
            Self::Encryption(_, to) => values.set_after("encryption", to),
            Self::Versioning(on) => {
                values.set_after("versioning", if *on { "Enabled" } else { "Suspended" });
            }
            Self::Lifecycle(_, to) => values.set_after("lifecycle", to),
            Self::Policy(_, to) => values.set_after("policy", to),
        }
    }
}
