//! The API calls of a machine of a process group.

use futures_util::future::join_all;

use super::{Machine, MachineLive, MachineSpec};
use crate::{
    clouds::{CloudError, ErrorKind},
    kinds::{
        CloudWriters, Drive, DriveRollout, World,
        fly::{
            app::fly_app_name,
            workload::{
                WorkloadEdit,
                drive::{self, CreateRequest},
            },
        },
    },
    model::{Name, ResourceRef},
};

/// Performs an operation on all machines concurrently, and waits for all before it reports an
/// error.
async fn for_all<'a, F: Future<Output = Result<(), CloudError>>>(
    machines: &[&'a MachineLive],
    call: impl Fn(&'a MachineLive) -> F,
) -> Result<(), CloudError> {
    let results = join_all(machines.iter().map(|live| call(live))).await;
    results.into_iter().collect()
}

/// Cordons a machine. A destroyed machine counts as cordoned.
async fn cordon(
    clouds: &CloudWriters,
    live: &MachineLive,
    world: &World,
) -> Result<(), CloudError> {
    match clouds
        .fly
        .cordon_machine(fly_app_name(world, &live.workload.app)?, &live.workload.id)
        .await
    {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

async fn uncordon(
    clouds: &CloudWriters,
    live: &MachineLive,
    world: &World,
) -> Result<(), CloudError> {
    clouds
        .fly
        .uncordon_machine(fly_app_name(world, &live.workload.app)?, &live.workload.id)
        .await
}

/// Whether the machine was in service when the plan was made.
fn was_serving(live: &MachineLive) -> bool {
    !live.workload.health.cordoned && !live.retired
}

/// Returns the first error.
fn log_undo_error(error: &CloudError) {
    tracing::error!(%error, "could not undo the hand-over");
}

impl Drive for Machine {
    async fn create(
        clouds: &CloudWriters,
        name: &Name,
        spec: &MachineSpec,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let volume_id = |volume: &ResourceRef<_>| {
            world
                .fly_volume
                .get(volume.name())
                .map(|live| live.id.clone())
        };
        let volume = spec.volume.as_ref().and_then(volume_id);
        let request = CreateRequest {
            spec: &spec.workload,
            name,
            machine_name: None,
            volume_id: volume.clone(),
            predecessor: None,
        };
        let workload = drive::create(clouds, &request, world).await?;
        let volume = volume.map(|id| (id, spec.volume.clone()));
        Ok(MachineLive {
            workload,
            volume,
            successor: None,
            retired: false,
        })
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &MachineLive,
        edit: &WorkloadEdit,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let workload = drive::edit(clouds, &live.workload, edit, world).await?;
        Ok(MachineLive {
            workload,
            volume: live.volume.clone(),
            successor: live.successor.clone(),
            retired: live.retired,
        })
    }

    async fn delete(
        clouds: &CloudWriters,
        live: &MachineLive,
        world: &World,
    ) -> Result<(), CloudError> {
        if let Some(successor) = &live.successor {
            let app = fly_app_name(world, &live.workload.app)?;
            match drive::discard_successor(clouds, app, &successor.id).await {
                // The successor has taken over, which is why this machine is deleted.
                Err(error) if error.kind == ErrorKind::Conflict => {}
                other => other?,
            }
        }
        drive::delete(clouds, &live.workload, world).await
    }
}

impl DriveRollout for Machine {
    async fn create_successor(
        clouds: &CloudWriters,
        name: &Name,
        spec: &MachineSpec,
        old: &MachineLive,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let predecessor = Some(&old.workload);
        let request = CreateRequest {
            spec: &spec.workload,
            name,
            machine_name: None,
            volume_id: None,
            predecessor,
        };
        let workload =
            drive::create_successor(clouds, &request, old.successor.as_deref(), world).await?;
        Ok(MachineLive {
            workload,
            volume: None,
            successor: None,
            retired: false,
        })
    }

    /// First all old machines are cordoned, then all new ones uncordoned. For the duration of one
    /// call no machine serves and the proxy holds requests, but two versions never serve at the
    /// same time.
    async fn hand_over(
        clouds: &CloudWriters,
        old: &[(Name, MachineLive)],
        world: &World,
    ) -> Result<(), CloudError> {
        let blue: Vec<&MachineLive> = old.iter().map(|(_, live)| live).collect();
        // A machine without a successor stays as it is.
        let successor = |(name, old): &(Name, MachineLive)| {
            world
                .fly_machine
                .get(name)
                .filter(|now| now.workload.id != old.workload.id)
        };
        let green: Vec<&MachineLive> = old.iter().filter_map(successor).collect();
        // Machines that were already cordoned belong to an earlier generation, so undoing the
        // hand-over does not uncordon them.
        let was_in_service: Vec<&MachineLive> = blue
            .iter()
            .copied()
            .filter(|live| was_serving(live))
            .collect();
        if let Err(error) = for_all(&blue, |live| cordon(clouds, live, world)).await {
            for_all(&was_in_service, |live| uncordon(clouds, live, world))
                .await
                .unwrap_or_else(|undo| log_undo_error(&undo));
            return Err(error);
        }
        if let Err(error) = for_all(&green, |live| uncordon(clouds, live, world)).await {
            // If a new machine cannot be cordoned again, it serves, so the old ones must stay
            // cordoned.
            match for_all(&green, |live| cordon(clouds, live, world)).await {
                Err(undo) => log_undo_error(&undo),
                Ok(()) => {
                    for_all(&was_in_service, |live| uncordon(clouds, live, world))
                        .await
                        .unwrap_or_else(|undo| log_undo_error(&undo));
                }
            }
            return Err(error);
        }
        Ok(())
    }
}
