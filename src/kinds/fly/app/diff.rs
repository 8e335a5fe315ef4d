//! Compares an app. Only its labels change in place: an app stays in its network, and only its owner can move it to another
//! organization.

use super::{App, AppLive, AppSpec};
use crate::{
    kinds::{
        Blocker, DataLoss, DeletionRules, DescribeEdit, Diff, DiffContext, Kind, Op, RolloutNote,
        RolloutRules,
    },
    model::{DiffLine, OwnershipMark},
};

/// One call that sets the labels of an app. Nothing restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppEdit {
    /// The owner to write, when the app has no owner label yet.
    pub owner: Option<OwnershipMark>,
    /// The protection to set, when it differs.
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
            role: _,
            mark,
            protected,
            ips_stated: _,
            verify: _,
        } = spec;
        if *org != live.org {
            return Diff::Blocked(Blocker {
                reason: format!(
                    "app {name} is in the organization `{}`, not in `{org}`",
                    live.org
                ),
                hint: format!(
                    "move it with `fly apps move {name} --org {org}`, or set org = \"{}\"",
                    live.org
                ),
            });
        }
        if let Some(network) = network.as_ref().filter(|network| **network != live.network) {
            let line = DiffLine::change("network", live.network.clone(), network.clone())
                .with_note("the network of an app cannot be changed");
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
            role,
            mark: _,
            protected,
            ips_stated: _,
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
        lines.extend(role.map(|role| DiffLine::add("role", role)));
        lines.extend(protected.then(|| DiffLine::add("protected", true)));
        lines
    }

    fn identity(live: &AppLive) -> String {
        live.id.clone()
    }

    fn describe(live: &AppLive) -> String {
        live.name.clone()
    }
}

impl RolloutRules for App {
    fn rollout_note(op: &Op<Self>) -> Option<RolloutNote> {
        let Op::Verify(spec) = op else { return None };
        let verify = spec.verify.as_ref()?;
        // The query may hold credentials, so it is not shown.
        let path = verify.path.split(['?', '#']).next().unwrap_or_default();
        Some(RolloutNote::Verification {
            url: format!("https://{}{path}", verify.host(&spec.name)),
            status: verify.status,
            checks_body: verify.body.is_some(),
        })
    }

    fn has_verification(spec: &AppSpec) -> bool {
        spec.verify.is_some()
    }
}

impl DeletionRules for App {
    /// Deleting an app stops everything that it serves, whether or not it holds data.
    fn data_loss(_: &AppLive) -> Option<DataLoss> {
        Some(DataLoss::App)
    }

    fn is_protected(live: &AppLive) -> bool {
        live.is_protected()
    }
}
