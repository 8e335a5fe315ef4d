//! Compares a managed cluster. Nothing of it can be changed by the API.

use super::{ManagedCluster, ManagedClusterLive, ManagedClusterSpec};
use crate::{
    kinds::{
        Blocker, Cost, DataLoss, DeletionRules, Diff, DiffContext, Kind, NoEdit, Op, OperationRules,
    },
    model::DiffLine,
};

/// How long a new cluster takes until it is ready, in seconds. Fly names no time; reports speak of minutes.
const TYPICAL_CREATION_SECS: u64 = 240;

impl Kind for ManagedCluster {
    type Spec = ManagedClusterSpec;
    type Live = ManagedClusterLive;
    type Edit = NoEdit;

    fn diff(
        spec: &ManagedClusterSpec,
        live: &ManagedClusterLive,
        _: &DiffContext<'_>,
    ) -> Diff<NoEdit> {
        let ManagedClusterSpec {
            name,
            org: _,
            region,
            plan,
            disk_gb,
            version,
            pool_mode: _,
        } = spec;
        let is_failed = matches!(live.status.as_str(), "failed" | "error");
        if is_failed {
            return Diff::Blocked(Blocker {
                reason: format!(
                    "the cluster {name} ({}) is in the state {}",
                    live.id, live.status
                ),
                hint: format!(
                    "look at it with `fly mpg status {}`; destroy it there to have a new one",
                    live.id
                ),
            });
        }
        // Plans are written in any case.
        let same_plan = plan.eq_ignore_ascii_case(&live.plan);
        let disk = live
            .disk_gb
            .filter(|disk| disk != disk_gb)
            .map(|disk| format!("{disk} GB"));
        let differences = [
            (
                "region",
                (*region != live.region).then(|| live.region.clone()),
                region.clone(),
            ),
            (
                "plan",
                (!same_plan).then(|| live.plan.clone()),
                plan.clone(),
            ),
            ("disk_size", disk, format!("{disk_gb} GB")),
            (
                "version",
                (!live.version.is_empty() && *version != live.version)
                    .then(|| live.version.clone()),
                version.clone(),
            ),
        ];
        let found = differences
            .into_iter()
            .find_map(|(key, from, to)| Some((key, from?, to)));
        let Some((key, from, to)) = found else {
            return Diff::Same;
        };
        Diff::Blocked(Blocker {
            reason: format!(
                "{key} of the managed cluster {name} is {from}, the manifest says {to}, and Fly's API cannot change it"
            ),
            hint: format!(
                "change it in Fly's dashboard, or write {key} as it is; for another region or version make a second cluster, \
                 copy the data with pg_dump, and move the apps to it"
            ),
        })
    }

    fn creation_lines(spec: &ManagedClusterSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let ManagedClusterSpec {
            name,
            org: _,
            region,
            plan,
            disk_gb,
            version,
            pool_mode,
        } = spec;
        vec![
            DiffLine::add("name", name.clone()),
            DiffLine::add("region", region.clone()),
            DiffLine::add("plan", plan.clone()),
            DiffLine::add("disk_size", format!("{disk_gb} GB")),
            DiffLine::add("version", version.clone()),
            DiffLine::add("pool_mode", pool_mode.clone()),
        ]
    }

    fn identity(live: &ManagedClusterLive) -> String {
        live.id.clone()
    }

    fn describe(live: &ManagedClusterLive) -> String {
        format!("{}, {}, {}", live.region, live.plan, live.id)
    }
}

impl DeletionRules for ManagedCluster {
    /// No plan deletes one, because it bears no mark; if one did, all of its data would be lost.
    fn data_loss(_: &ManagedClusterLive) -> Option<DataLoss> {
        Some(DataLoss::Data)
    }

    fn is_protected(_: &ManagedClusterLive) -> bool {
        true
    }
}

impl OperationRules for ManagedCluster {
    fn cost(_: &Op<Self>) -> Cost {
        Cost::change(TYPICAL_CREATION_SECS)
    }
}
