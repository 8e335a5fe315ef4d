//! An address never changes: its kind and region are part of its name, so it is there or it is not.

use super::{Ip, IpKind, IpLive, IpSpec};
use crate::{
    kinds::{Around, Diff, Kind, Loss, Never, Refers},
    model::{Address, Line},
};

impl Kind for Ip {
    type Spec = IpSpec;
    type Live = IpLive;
    type Edit = Never;

    fn diff(_: &IpSpec, _: &IpLive, _: &Around<'_>) -> Diff<Never> {
        Diff::Same
    }

    fn outline(spec: &IpSpec, _: &Around<'_>) -> Vec<Line> {
        let IpSpec {
            app: _,
            kind,
            region,
            stated: _,
        } = spec;
        let mut lines = vec![Line::add("type", kind.as_str())];
        lines.extend(
            region
                .as_ref()
                .map(|region| Line::add("region", region.as_str())),
        );
        lines
    }

    fn identity(live: &IpLive) -> String {
        live.address.clone()
    }

    fn describe(live: &IpLive) -> String {
        live.address.clone()
    }

    /// A dedicated IPv4 address cannot be had again, and DNS records outside point at it. The other sorts are free and
    /// come with every app.
    fn loss(live: &IpLive) -> Option<Loss> {
        (live.kind == IpKind::V4).then_some(Loss::Address)
    }

    fn goes_with(live: &IpLive) -> Option<Address> {
        live.refs().pop()
    }
}
