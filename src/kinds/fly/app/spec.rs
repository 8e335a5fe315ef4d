//! What a manifest says of an app, and what Fly reports.

use serde::Serialize;

use crate::{kinds::Refers, model::Address};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppSpec {
    /// The app's name on Fly, unique over all organizations.
    pub name: String,
    /// The slug of its organization.
    pub org: String,
    /// A private network of its own; fixed when the app is made.
    pub network: Option<String>,
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
    /// Whether its machines bear the mark of protection.
    pub protected: bool,
}

impl Refers for AppSpec {
    fn refs(&self) -> Vec<Address> {
        let Self { name: _, org: _, network: _ } = self;
        Vec::new()
    }
}

impl Refers for AppLive {
    fn refs(&self) -> Vec<Address> {
        let Self { name: _, id: _, org: _, network: _, protected: _ } = self;
        Vec::new()
    }
}
