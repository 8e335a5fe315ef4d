//! The desired and the live state of an app.

use serde::Serialize;

use super::Verification;
use crate::{
    kinds::References,
    model::{Address, OwnershipMark},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppSpec {
    /// The app's name on Fly, unique over all organizations.
    pub name: String,
    /// The slug of the organization.
    pub org: String,
    /// The private network of the app, if it has its own; it cannot be changed after creation.
    pub network: Option<String>,
    /// The app's role on Fly, such as `postgres_cluster`; it cannot be changed after creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The owner.
    pub mark: OwnershipMark,
    /// Whether the app and everything in it is protected from deletion.
    pub protected: bool,
    /// Whether the manifest lists the app's addresses, so that any other is to be released. The list
    /// may be empty.
    #[serde(skip)]
    pub ips_stated: bool,
    /// How to verify, at the end of a rollout, that the app works.
    #[serde(skip)]
    pub verify: Option<Verification>,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct AppLive {
    /// The app's name on Fly.
    pub name: String,
    /// Fly's id.
    pub id: String,
    /// The slug of the organization.
    pub org: String,
    /// The private network; `default` unless the app was created with another.
    pub network: String,
    /// The ownership labels, see
    /// [`OwnershipMark::app_label`](crate::model::OwnershipMark::app_label).
    pub labels: Vec<String>,
}

impl AppLive {
    /// Whether the app is labelled as protected.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.labels
            .iter()
            .any(|label| label == OwnershipMark::PROTECTED_LABEL)
    }

    /// Whether the app is labelled with this owner.
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
            role: _,
            mark: _,
            protected: _,
            ips_stated: _,
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
