//! What a manifest says of an app, and what Fly reports.

use serde::Serialize;

use super::Verification;
use crate::{
    kinds::References,
    model::{Address, OwnershipMark},
};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppSpec {
    /// The app's name on Fly, unique over all organizations.
    pub name: String,
    /// The slug of its organization.
    pub org: String,
    /// A private network of its own; fixed when the app is made.
    pub network: Option<String>,
    /// Whose it is.
    pub mark: OwnershipMark,
    /// Whether it, and everything in it, must not be destroyed.
    pub protected: bool,
    /// What shows, at the end of a rollout, that it works.
    #[serde(skip)]
    pub verify: Option<Verification>,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct AppLive {
    /// The app's name on Fly.
    pub name: String,
    /// Fly's id.
    pub id: String,
    /// The slug of its organization.
    pub org: String,
    /// Its private network; `default` unless made with another.
    pub network: String,
    /// The labels it bears, see [`Mark::label`].
    pub labels: Vec<String>,
}

impl AppLive {
    /// Whether it bears the label of protection.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.labels
            .iter()
            .any(|label| label == OwnershipMark::PROTECTED_LABEL)
    }

    /// Whether it bears the label of this owner.
    #[must_use]
    pub fn has_owner_label(&self, mark: &OwnershipMark) -> bool {
        self.labels.contains(&mark.app_label())
    }
}

impl References for AppSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            name: _,
            org: _,
            network: _,
            mark: _,
            protected: _,
            verify: _,
        } = self;
        Vec::new()
    }
}

impl References for AppLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            name: _,
            id: _,
            org: _,
            network: _,
            labels: _,
        } = self;
        Vec::new()
    }
}
