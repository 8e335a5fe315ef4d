//! What of a cron machine changes in place: everything but its region.

use super::{Cron, CronLive, CronSpec};
use crate::{
    kinds::{
        Around, Cause, Diff, Kind, Leased, Op, Phase, Refers, Refused, Takes,
        fly::workload::{WorkloadEdit, app_image, compare, with_image},
    },
    model::{Address, Line},
};

impl Kind for Cron {
    type Spec = CronSpec;
    type Live = CronLive;
    type Edit = WorkloadEdit;

    const PHASE: Phase = Phase::Follow;

    fn diff(spec: &CronSpec, live: &CronLive, around: &Around<'_>) -> Diff<WorkloadEdit> {
        let there = &live.workload;
        if spec.workload.region != there.region {
            let line = Line::change(
                "region",
                there.region.as_str(),
                spec.workload.region.as_str(),
            )
            .with_note("a machine never moves")
            .forcing();
            return Diff::Replace(vec![line]);
        }
        let mut wanted = spec.workload.clone();
        if wanted.config.image.is_none() {
            wanted.config.image = app_image(&wanted, around);
        }
        compare(&wanted, there, around, false)
    }

    /// A cron machine without an image of its own follows its app's.
    fn complete(spec: &CronSpec, around: &Around<'_>) -> Result<CronSpec, Refused> {
        Ok(CronSpec {
            workload: with_image(&spec.workload, around)?.released(around),
            ..spec.clone()
        })
    }

    fn outline(spec: &CronSpec, _: &Around<'_>) -> Vec<Line> {
        spec.workload.outline()
    }

    fn held(live: &CronLive) -> Option<Refused> {
        live.workload.held()
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

    fn lease(live: &CronLive) -> Option<Leased> {
        Some(live.workload.lease())
    }

    fn cause(spec: &CronSpec, live: &CronLive) -> Cause {
        live.workload.cause(&spec.workload)
    }

    fn goes_with(live: &CronLive) -> Option<Address> {
        live.refs().into_iter().next()
    }

    fn takes(op: &Op<Self>) -> Takes {
        match op {
            Op::Create(_) => Takes {
                secs: 2,
                makes: true,
            },
            _ => Takes {
                secs: 3,
                makes: false,
            },
        }
    }
}
