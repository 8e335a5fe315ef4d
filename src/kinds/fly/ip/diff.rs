//! Compares an IP address. It never changes: its type and region are part of its name, so it either exists or does not.

use super::{Ip, IpKind, IpLive, IpSpec};
use crate::{
    kinds::{DataLoss, DeletionRules, Diff, DiffContext, Kind, NoEdit, References, fly},
    model::{Address, DiffLine, KindName as _},
};

impl Kind for Ip {
    type Spec = IpSpec;
    type Live = IpLive;
    type Edit = NoEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);
    const KNOWN_AFTER_CREATE: &'static [&'static str] = &["address"];

    fn diff(_: &IpSpec, _: &IpLive, _: &DiffContext<'_>) -> Diff<NoEdit> {
        Diff::Same
    }

    fn creation_lines(spec: &IpSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let IpSpec {
            app: _,
            kind,
            region,
            declared: _,
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
}

impl DeletionRules for Ip {
    /// A dedicated address is lost for good, and DNS records elsewhere may point at it. The others are assigned again to any app.
    fn data_loss(live: &IpLive) -> Option<DataLoss> {
        matches!(live.kind, IpKind::V4 | IpKind::V6).then_some(DataLoss::Address)
    }

    /// Every app that serves requests gets an IPv6 address. It is of no use without its app, which needs permission itself.
    fn data_loss_with_container(live: &IpLive) -> Option<DataLoss> {
        live.kind.lost_with_app()
    }

    fn deleted_with(live: &IpLive) -> Option<Address> {
        live.references().pop()
    }
}
