//! What of an app changes in place: only its labels. The rest says where it shall be.

use super::{App, AppLive, AppSpec};
use crate::{
    kinds::{Announce, Around, Diff, Kind, Loss, Refused},
    model::{Line, Mark},
};

/// One call that sets an app's labels; nothing restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppEdit {
    /// Whose it shall be, when it bears no label yet.
    pub owner: Option<Mark>,
    /// Whether it shall be protected, when it is otherwise.
    pub protect: Option<bool>,
}

impl Announce for AppEdit {
    fn lines(&self) -> Vec<Line> {
        let Self { owner, protect } = self;
        let owner = owner.iter().map(
            |Mark {
                 project,
                 environment,
             }| Line::add("owner", format!("{project}/{environment}")),
        );
        let protect = protect
            .iter()
            .map(|protect| Line::change("protected", !protect, *protect));
        owner.chain(protect).collect()
    }
}

impl Kind for App {
    type Spec = AppSpec;
    type Live = AppLive;
    type Edit = AppEdit;

    fn diff(spec: &AppSpec, live: &AppLive, _: &Around<'_>) -> Diff<AppEdit> {
        let AppSpec {
            name,
            org,
            network,
            mark,
            protected,
            verify: _,
        } = spec;
        if *org != live.org && org != "personal" {
            return Diff::Refuse(Refused {
                reason: format!(
                    "app {name} is in the organization `{}`, not in `{org}`",
                    live.org
                ),
                hint: format!(
                    "move it with `fly apps move {name} --org {org}`, or say org = \"{}\"",
                    live.org
                ),
            });
        }
        if let Some(network) = network.as_ref().filter(|network| **network != live.network) {
            let line = Line::change("network", live.network.clone(), network.clone())
                .with_note("a network is chosen when an app is made");
            return Diff::Replace(vec![line.forcing()]);
        }
        let owner = (!live.is_labelled(mark)).then(|| mark.clone());
        let protect = (live.protected() != *protected).then_some(*protected);
        let edit = AppEdit { owner, protect };
        if edit.lines().is_empty() {
            Diff::Same
        } else {
            Diff::Edit(vec![edit])
        }
    }

    fn outline(spec: &AppSpec, _: &Around<'_>) -> Vec<Line> {
        let AppSpec {
            name,
            org,
            network,
            mark: _,
            protected,
            verify: _,
        } = spec;
        let mut lines = vec![
            Line::add("name", name.clone()),
            Line::add("org", org.clone()),
        ];
        lines.extend(network.clone().map(|network| Line::add("network", network)));
        lines.extend(protected.then(|| Line::add("protected", true)));
        lines
    }

    fn has_proof(spec: &AppSpec) -> bool {
        spec.verify.is_some()
    }

    fn identity(live: &AppLive) -> String {
        live.id.clone()
    }

    fn describe(live: &AppLive) -> String {
        live.name.clone()
    }

    /// Whatever it serves goes with it, whether it holds data or not.
    fn loss(_: &AppLive) -> Option<Loss> {
        Some(Loss::App)
    }

    fn protected(live: &AppLive) -> bool {
        live.protected()
    }
}
