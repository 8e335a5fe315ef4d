//! The desired and the live state of an address.

use std::fmt;

use serde::Serialize;

use crate::{
    kinds::{DataLoss, References, fly::App},
    model::{Address, Region, ResourceRef},
};

/// The address types, with the names of the Machines API.
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
    /// All address types, in display order.
    pub const ALL: [Self; 4] = [Self::SharedV4, Self::V4, Self::V6, Self::PrivateV6];

    /// The name in the API and in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SharedV4 => "shared_v4",
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::PrivateV6 => "private_v6",
        }
    }

    /// What is lost when an app with such an address goes.
    #[must_use]
    pub fn lost_with_app(self) -> Option<DataLoss> {
        (self == Self::V4).then_some(DataLoss::Address)
    }

    /// The type of a listed address. The list has no type field: shared addresses are flagged,
    /// private ones are in `fdaa::/16`.
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

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IpSpec {
    /// The app that it belongs to.
    pub app: ResourceRef<App>,
    /// The address type.
    pub kind: IpKind,
    /// The region of a regional address; anycast if absent.
    pub region: Option<Region>,
    /// Whether the manifest declares the address. If it is only the default of an app with
    /// services, a dedicated IPv4 address satisfies it as well as a shared one.
    #[serde(rename = "stated")]
    pub declared: bool,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct IpLive {
    /// The app that it belongs to.
    pub app: ResourceRef<App>,
    /// The address.
    pub address: String,
    /// The address type.
    pub kind: IpKind,
    /// The region, or `global`.
    pub region: String,
}

impl References for IpSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            kind: _,
            region: _,
            declared: _,
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
