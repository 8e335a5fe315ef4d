//! Compares a cron machine. Everything but its region changes in place.

use super::{Cron, CronLive, CronSpec};
use crate::{
    kinds::{
        Blocker, Cause, Cost, DeletionRules, Diff, DiffContext, Kind, LeaseTarget, Op,
        OperationRules, Phase, References, RolloutRules, fly,
        fly::workload::{WorkloadEdit, default_image, diff_workload, with_default_image},
    },
    model::{Address, DiffLine, KindName as _},
};

impl Kind for Cron {
    type Spec = CronSpec;
    type Live = CronLive;
    type Edit = WorkloadEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);

    fn diff(spec: &CronSpec, live: &CronLive, context: &DiffContext<'_>) -> Diff<WorkloadEdit> {
        let workload = &live.workload;
        if spec.workload.region != workload.region {
            let line = DiffLine::change(
                "region",
                workload.region.as_str(),
                spec.workload.region.as_str(),
            )
            .with_note("a machine never moves, and the new one runs its job at once")
            .forcing_replacement();
            return Diff::Replace(vec![line]);
        }
        // Without an image of its own, it is compared with the image that its app runs, so it is updated when that changes.
        let mut desired = spec.workload.clone();
        if desired.config.image.is_none() {
            desired.config.image = default_image(&desired, context);
        }
        diff_workload(&desired, workload, context, false)
    }

    /// A cron machine without an image of its own runs the image of its app.
    fn resolve_defaults(spec: &CronSpec, context: &DiffContext<'_>) -> Result<CronSpec, Blocker> {
        Ok(CronSpec {
            workload: with_default_image(&spec.workload, context)?.with_release(context),
            ..spec.clone()
        })
    }

    fn creation_lines(spec: &CronSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let mut lines = spec.workload.creation_lines();
        for line in lines.iter_mut().filter(|line| line.path == "schedule") {
            // Fly starts a new machine, whatever its schedule.
            line.note = Some("the first run is at once".to_owned());
        }
        lines
    }

    fn unavailable(live: &CronLive) -> Option<Blocker> {
        live.workload.unavailable()
    }

    fn identity(live: &CronLive) -> String {
        live.workload.id.clone()
    }

    fn describe(live: &CronLive) -> String {
        let workload = &live.workload;
        let schedule = workload.config.schedule.as_deref().unwrap_or("no schedule");
        format!(
            "{schedule}, {}, {}, {}",
            workload.region, workload.id, workload.state
        )
    }

    fn cause(spec: &CronSpec, live: &CronLive) -> Cause {
        live.workload.cause(&spec.workload)
    }
}

impl RolloutRules for Cron {
    const PHASE: Phase = Phase::PostRollout;
}

impl DeletionRules for Cron {
    fn deleted_with(live: &CronLive) -> Option<Address> {
        live.references().into_iter().next()
    }
}

impl OperationRules for Cron {
    fn lease_target(live: &CronLive) -> Option<LeaseTarget> {
        Some(live.workload.lease_target())
    }

    fn cost(op: &Op<Self>) -> Cost {
        match op {
            Op::Create(_) => Cost::creation(2),
            _ => Cost::change(2),
        }
    }
}
