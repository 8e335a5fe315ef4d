//! What a manifest says of an address, and what Fly reports.

use std::fmt;

use serde::Serialize;

use crate::{
    kinds::{References, fly::App},
    model::{Address, Region, ResourceRef},
};

/// The sorts of address, by the names that the Machines API gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IpKind {
    /// An IPv4 address shared with other apps; free.
    SharedV4,
    /// An IPv4 address of the app's own.
    V4,
    /// An IPv6 address of the app's own; free.
    V6,
    /// A private address (Flycast), reachable inside the organization only.
    PrivateV6,
}

impl IpKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::SharedV4, Self::V4, Self::V6, Self::PrivateV6];

    /// The name on the wire and in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SharedV4 => "shared_v4",
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::PrivateV6 => "private_v6",
        }
    }

    /// The sort of an address as Fly lists it, which has no type field: shared ones say so, private ones lie in
    /// `fdaa::/16`.
    #[must_use]
    pub fn from_address(address: &str, shared: bool) -> Self {
        match address {
            _ if shared => Self::SharedV4,
            private if private.starts_with("fdaa:") => Self::PrivateV6,
            v6 if v6.contains(':') => Self::V6,
            _ => Self::V4,
        }
    }
}

impl fmt::Display for IpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IpSpec {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// The sort of address.
    pub kind: IpKind,
    /// A region for a regional address; anycast when absent.
    pub region: Option<Region>,
    /// Whether the manifest says so itself. When it is only the default for an app with services, a dedicated IPv4
    /// does as well as a shared one.
    pub stated: bool,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct IpLive {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// The address itself.
    pub address: String,
    /// The sort of address.
    pub kind: IpKind,
    /// Its region, or `global`.
    pub region: String,
}

impl References for IpSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            kind: _,
            region: _,
            stated: _,
        } = self;
        vec![app.address()]
    }
}

impl References for IpLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            address: _,
            kind: _,
            region: _,
        } = self;
        vec![app.address()]
    }
}
