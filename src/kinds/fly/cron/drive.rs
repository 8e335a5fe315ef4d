//! The API calls of a cron machine.

use super::{Cron, CronLive, CronSpec};
use crate::{
    clouds::{CloudError, ErrorKind},
    kinds::{
        CloudWriters, Drive, World,
        fly::{
            app::fly_app_name,
            workload::{
                WorkloadEdit,
                drive::{self, CreateRequest},
            },
        },
    },
    model::Name,
};

/// How long an update waits for a running job, in seconds. A job that takes longer is not killed:
/// the step fails and says so, and the next apply updates the machine.
const JOB_TIMEOUT_SECS: u64 = 300;

/// Waits until a running job has ended. Returns whether there was one; it may have started after
/// the plan was made.
async fn wait_for_job(
    clouds: &CloudWriters,
    live: &CronLive,
    world: &World,
) -> Result<bool, CloudError> {
    let (app, id) = (fly_app_name(world, &live.workload.app)?, &live.workload.id);
    if !matches!(
        clouds.fly.get_machine(app, id).await?.state.as_str(),
        "started" | "starting"
    ) {
        return Ok(false);
    }
    let ended = clouds
        .fly
        .wait_for_state(app, id, None, "stopped", JOB_TIMEOUT_SECS, &clouds.progress)
        .await;
    ended.map(|_| true).map_err(|error| match error.kind {
        ErrorKind::Failed => {
            let operation = format!("change machine {id} of {app}");
            let why = format!(
                "its job runs, did not end within {JOB_TIMEOUT_SECS} s, and is not cut off"
            );
            CloudError::new(operation, ErrorKind::Busy, why)
        }
        _ => error,
    })
}

impl Drive for Cron {
    /// A new cron machine runs once: Fly activates the schedule at the first start, and does not
    /// allow that start later.
    async fn create(
        clouds: &CloudWriters,
        name: &Name,
        spec: &CronSpec,
        world: &World,
    ) -> Result<CronLive, CloudError> {
        let request = CreateRequest {
            spec: &spec.workload,
            name,
            machine_name: Some(&spec.machine),
            volume_id: None,
            predecessor: None,
        };
        drive::create(clouds, &request, world)
            .await
            .map(|workload| CronLive { workload })
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &CronLive,
        edit: &WorkloadEdit,
        world: &World,
    ) -> Result<CronLive, CloudError> {
        let mut current = live.workload.clone();
        if matches!(edit, WorkloadEdit::Update(_)) && wait_for_job(clouds, live, world).await? {
            "stopped".clone_into(&mut current.state);
        }
        drive::edit(clouds, &current, edit, world)
            .await
            .map(|workload| CronLive { workload })
    }

    async fn delete(
        clouds: &CloudWriters,
        live: &CronLive,
        world: &World,
    ) -> Result<(), CloudError> {
        match wait_for_job(clouds, live, world).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        drive::delete(clouds, &live.workload, world).await
    }
}
