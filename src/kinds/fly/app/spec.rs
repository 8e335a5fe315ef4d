//! What a manifest says of an app, and what Fly reports.

use serde::Serialize;

use super::Verify;
use crate::{
    kinds::Refers,
    model::{Address, Mark},
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
    pub mark: Mark,
    /// Whether it, and everything in it, must not be destroyed.
    pub protected: bool,
    /// What shows, at the end of a rollout, that it works.
    #[serde(skip)]
    pub verify: Option<Verify>,
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
    pub fn protected(&self) -> bool {
        self.labels.iter().any(|label| label == Mark::PROTECTED)
    }

    /// Whether it bears the label of this owner.
    #[must_use]
    pub fn is_labelled(&self, mark: &Mark) -> bool {
        self.labels.contains(&mark.label())
    }
}

impl Refers for AppSpec {
    fn refs(&self) -> Vec<Address> {
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

impl Refers for AppLive {
    fn refs(&self) -> Vec<Address> {
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
