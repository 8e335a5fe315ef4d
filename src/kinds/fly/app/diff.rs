//! What of an app changes in place: only its labels. The rest says where it shall be.

use super::{App, AppLive, AppSpec};
use crate::{
    kinds::{Blocker, DataLoss, DescribeEdit, Diff, DiffContext, Kind},
    model::{DiffLine, OwnershipMark},
};

/// One call that sets an app's labels; nothing restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppEdit {
    /// Whose it shall be, when it bears no label yet.
    pub owner: Option<OwnershipMark>,
    /// Whether it shall be protected, when it is otherwise.
    pub protect: Option<bool>,
}

impl DescribeEdit for AppEdit {
    fn lines(&self) -> Vec<DiffLine> {
        let Self { owner, protect } = self;
        let owner = owner.iter().map(
            |OwnershipMark {
                 project,
                 environment,
             }| DiffLine::add("owner", format!("{project}/{environment}")),
        );
        let protect = protect
            .iter()
            .map(|protect| DiffLine::change("protected", !protect, *protect));
        owner.chain(protect).collect()
    }
}

impl Kind for App {
    type Spec = AppSpec;
    type Live = AppLive;
    type Edit = AppEdit;

    fn diff(spec: &AppSpec, live: &AppLive, _: &DiffContext<'_>) -> Diff<AppEdit> {
        let AppSpec {
            name,
            org,
            network,
            mark,
            protected,
            verify: _,
        } = spec;
        if *org != live.org && org != "personal" {
            return Diff::Blocked(Blocker {
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
            let line = DiffLine::change("network", live.network.clone(), network.clone())
                .with_note("a network is chosen when an app is made");
            return Diff::Replace(vec![line.forcing_replacement()]);
        }
        let owner = (!live.has_owner_label(mark)).then(|| mark.clone());
        let protect = (live.is_protected() != *protected).then_some(*protected);
        let edit = AppEdit { owner, protect };
        if edit.lines().is_empty() {
            Diff::Same
        } else {
            Diff::Edit(vec![edit])
        }
    }

    fn creation_lines(spec: &AppSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let AppSpec {
            name,
            org,
            network,
            mark: _,
            protected,
            verify: _,
        } = spec;
        let mut lines = vec![
            DiffLine::add("name", name.clone()),
            DiffLine::add("org", org.clone()),
        ];
        lines.extend(
            network
                .clone()
                .map(|network| DiffLine::add("network", network)),
        );
        lines.extend(protected.then(|| DiffLine::add("protected", true)));
        lines
    }

    fn has_verification(spec: &AppSpec) -> bool {
        spec.verify.is_some()
    }

    fn identity(live: &AppLive) -> String {
        live.id.clone()
    }

    fn describe(live: &AppLive) -> String {
        live.name.clone()
    }

    /// Whatever it serves goes with it, whether it holds data or not.
    fn data_loss(_: &AppLive) -> Option<DataLoss> {
        Some(DataLoss::App)
    }

    fn is_protected(live: &AppLive) -> bool {
        live.is_protected()
    }
}
