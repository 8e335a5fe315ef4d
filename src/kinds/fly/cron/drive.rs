//! The calls of a cron machine.

use super::{Cron, CronLive, CronSpec};
use crate::{
    clouds::{CloudError, Clouds, Trouble},
    kinds::{
        Drive, World,
        fly::{
            app::fly_name,
            workload::{
                WorkloadEdit,
                drive::{self, Birth},
            },
        },
    },
    model::Name,
};

/// How long an update waits for a running job to end, in seconds. A job that takes longer is not killed: the step
/// fails, says so, and the next apply updates it.
const JOB_LIMIT: u64 = 300;

impl Drive for Cron {
    /// A new cron machine runs once: Fly arms a schedule at the first start, and does not allow that start later.
    async fn create(
        clouds: &Clouds,
        name: &Name,
        spec: &CronSpec,
        world: &World,
    ) -> Result<CronLive, CloudError> {
        let birth = Birth {
            spec: &spec.workload,
            name,
            machine: Some(&spec.machine),
            volume: None,
            instead_of: None,
        };
        drive::create(clouds, &birth, world).await.map(|workload| CronLive { workload })
    }

    async fn edit(
        clouds: &Clouds,
        live: &CronLive,
        edit: &WorkloadEdit,
        world: &World,
    ) -> Result<CronLive, CloudError> {
        let mut there = live.workload.clone();
        let app = fly_name(world, &there.app)?;
        // The job may have begun since the plan was made.
        let runs = matches!(edit, WorkloadEdit::Update(_))
            && matches!(clouds.fly.machine(app, &there.id).await?.state.as_str(), "started" | "starting");
        if runs {
            let ended = clouds.fly.wait_for(app, &there.id, None, "stopped", JOB_LIMIT, &clouds.voice).await;
            ended.map_err(|error| match error.trouble {
                Trouble::Failed => {
                    let doing = format!("update machine {} of {app}", there.id);
                    let why = format!("its job runs, did not end within {JOB_LIMIT} s, and is not cut off");
                    CloudError::new(doing, Trouble::Busy, why)
                }
                _ => error,
            })?;
            "stopped".clone_into(&mut there.state);
        }
        drive::edit(clouds, &there, edit, world).await.map(|workload| CronLive { workload })
    }

    async fn delete(clouds: &Clouds, live: &CronLive, world: &World) -> Result<(), CloudError> {
        drive::delete(clouds, &live.workload, world).await
    }
}
