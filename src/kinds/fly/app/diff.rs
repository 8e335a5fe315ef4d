//! Nothing of an app changes in place: the manifest only says where it shall be.

use super::{App, AppLive, AppSpec};
use crate::{
    kinds::{Around, Diff, Kind, Never, Refused},
    model::Line,
};

impl Kind for App {
    type Spec = AppSpec;
    type Live = AppLive;
    type Edit = Never;

    fn diff(spec: &AppSpec, live: &AppLive, _: &Around<'_>) -> Diff<Never> {
        let AppSpec { name, org, network } = spec;
        if *org != live.org && org != "personal" {
            return Diff::Refuse(Refused {
                reason: format!("app {name} is in the organization `{}`, not in `{org}`", live.org),
                hint: format!(
                    "move it with `fly apps move {name} --org {org}`, or say org = \"{}\"",
                    live.org
                ),
            });
        }
        match network {
            Some(network) if *network != live.network => Diff::Replace(vec![
                Line::change("network", live.network.clone(), network.clone())
                    .with_note("a network is chosen when an app is made")
                    .forcing(),
            ]),
            _ => Diff::Same,
        }
    }

    fn outline(spec: &AppSpec, _: &Around<'_>) -> Vec<Line> {
        let AppSpec { name, org, network } = spec;
        let mut lines = vec![Line::add("name", name.clone()), Line::add("org", org.clone())];
        lines.extend(network.clone().map(|network| Line::add("network", network)));
        lines
    }

    fn describe(live: &AppLive) -> String {
        live.name.clone()
    }

    fn protected(live: &AppLive) -> bool {
        live.protected
    }
}
