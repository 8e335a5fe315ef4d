//! What of a cron machine changes in place: everything but its region.

use super::{Cron, CronLive, CronSpec};
use crate::{
    kinds::{
        Blocker, Cause, Cost, Diff, DiffContext, Kind, LeaseTarget, Op, Phase, References,
        fly::workload::{WorkloadEdit, default_image, diff_workload, with_default_image},
    },
    model::{Address, DiffLine},
};

impl Kind for Cron {
    type Spec = CronSpec;
    type Live = CronLive;
    type Edit = WorkloadEdit;

    const PHASE: Phase = Phase::PostRollout;

    fn diff(spec: &CronSpec, live: &CronLive, around: &DiffContext<'_>) -> Diff<WorkloadEdit> {
        let there = &live.workload;
        if spec.workload.region != there.region {
            let line = DiffLine::change(
                "region",
                there.region.as_str(),
                spec.workload.region.as_str(),
            )
            .with_note("a machine never moves")
            .forcing_replacement();
            return Diff::Replace(vec![line]);
        }
        let mut wanted = spec.workload.clone();
        if wanted.config.image.is_none() {
            wanted.config.image = default_image(&wanted, around);
        }
        diff_workload(&wanted, there, around, false)
    }

    /// A cron machine without an image of its own follows its app's.
    fn resolve_defaults(spec: &CronSpec, around: &DiffContext<'_>) -> Result<CronSpec, Blocker> {
        Ok(CronSpec {
            workload: with_default_image(&spec.workload, around)?.with_release(around),
            ..spec.clone()
        })
    }

    fn creation_lines(spec: &CronSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        spec.workload.creation_lines()
    }

    fn unavailable(live: &CronLive) -> Option<Blocker> {
        live.workload.unavailable()
    }

    fn identity(live: &CronLive) -> String {
        live.workload.id.clone()
    }

    fn describe(live: &CronLive) -> String {
        let there = &live.workload;
        let schedule = there.config.schedule.as_deref().unwrap_or("no schedule");
        format!(
            "{schedule}, {}, {}, {}",
            there.region, there.id, there.state
        )
    }

    fn lease_target(live: &CronLive) -> Option<LeaseTarget> {
        Some(live.workload.lease_target())
    }

    fn cause(spec: &CronSpec, live: &CronLive) -> Cause {
        live.workload.cause(&spec.workload)
    }

    fn deleted_with(live: &CronLive) -> Option<Address> {
        live.references().into_iter().next()
    }

    fn cost(op: &Op<Self>) -> Cost {
        match op {
            Op::Create(_) => Cost {
                secs: 2,
                is_create: true,
            },
            _ => Cost {
                secs: 3,
                is_create: false,
            },
        }
    }
}
