//! An address never changes: its kind and region are part of its name, so it is there or it is not.

use super::{Ip, IpKind, IpLive, IpSpec};
use crate::{
    kinds::{DataLoss, Diff, DiffContext, Kind, NoEdit, References},
    model::{Address, DiffLine},
};

impl Kind for Ip {
    type Spec = IpSpec;
    type Live = IpLive;
    type Edit = NoEdit;

    fn diff(_: &IpSpec, _: &IpLive, _: &DiffContext<'_>) -> Diff<NoEdit> {
        Diff::Same
    }

    fn creation_lines(spec: &IpSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let IpSpec {
            app: _,
            kind,
            region,
            stated: _,
        } = spec;
        let mut lines = vec![DiffLine::add("type", kind.as_str())];
        lines.extend(
            region
                .as_ref()
                .map(|region| DiffLine::add("region", region.as_str())),
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
    fn data_loss(live: &IpLive) -> Option<DataLoss> {
        (live.kind == IpKind::V4).then_some(DataLoss::Address)
    }

    fn deleted_with(live: &IpLive) -> Option<Address> {
        live.references().pop()
    }
}
