//! An IP address of an app: shared or dedicated IPv4, IPv6, or a private (Flycast) address.

mod diff;
mod drive;
mod spec;

pub use spec::{IpKind, IpLive, IpSpec};

use crate::model::KindName;

/// The kind `fly.ip`.
#[derive(Clone, Copy, Debug)]
pub enum Ip {}

impl KindName for Ip {
    const NAME: &'static str = "fly.ip";
}
