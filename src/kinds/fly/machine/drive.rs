//! The calls of a machine of a process group.

use futures_util::future::join_all;

use super::{Machine, MachineLive, MachineSpec};
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
    model::{Name, Ref},
};

/// Does the same to all of them at once, and finishes all before it says what failed.
async fn all<'a, F: Future<Output = Result<(), CloudError>>>(
    machines: &[&'a MachineLive],
    call: impl Fn(&'a MachineLive) -> F,
) -> Result<(), CloudError> {
    let results = join_all(machines.iter().map(|live| call(live))).await;
    results.into_iter().collect()
}

/// Hides a machine from the proxy. One that is gone is hidden.
async fn hide(clouds: &Clouds, live: &MachineLive, world: &World) -> Result<(), CloudError> {
    match clouds
        .fly
        .cordon(fly_name(world, &live.workload.app)?, &live.workload.id)
        .await
    {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

async fn show(clouds: &Clouds, live: &MachineLive, world: &World) -> Result<(), CloudError> {
    clouds
        .fly
        .uncordon(fly_name(world, &live.workload.app)?, &live.workload.id)
        .await
}

/// Whether requests reached it when the plan was made.
fn served(live: &MachineLive) -> bool {
    !live.workload.health.cordoned && !live.retired
}

/// The first error is the one that is reported.
fn log(error: &CloudError) {
    tracing::error!(%error, "could not undo the hand-over");
}

impl Drive for Machine {
    async fn create(
        clouds: &Clouds,
        name: &Name,
        spec: &MachineSpec,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let volume_id = |volume: &Ref<_>| {
            world
                .fly_volume
                .get(volume.name())
                .map(|live| live.id.clone())
        };
        let volume = spec.volume.as_ref().and_then(volume_id);
        let birth = Birth {
            spec: &spec.workload,
            name,
            machine: None,
            volume: volume.clone(),
            instead_of: None,
        };
        let workload = drive::create(clouds, &birth, world).await?;
        let volume = volume.map(|id| (id, spec.volume.clone()));
        Ok(MachineLive {
            workload,
            volume,
            successor: None,
            retired: false,
        })
    }

    async fn succeed(
        clouds: &Clouds,
        name: &Name,
        spec: &MachineSpec,
        old: &MachineLive,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let instead_of = Some(&old.workload);
        let birth = Birth {
            spec: &spec.workload,
            name,
            machine: None,
            volume: None,
            instead_of,
        };
        let workload = drive::succeed(clouds, &birth, old.successor.as_deref(), world).await?;
        Ok(MachineLive {
            workload,
            volume: None,
            successor: None,
            retired: false,
        })
    }

    /// First every old machine is hidden from the proxy, then every new one is shown: for the length of one call nobody
    /// serves, and the proxy holds requests; at no moment do two versions.
    async fn hand_over(
        clouds: &Clouds,
        old: &[(Name, MachineLive)],
        world: &World,
    ) -> Result<(), CloudError> {
        let blue: Vec<&MachineLive> = old.iter().map(|(_, live)| live).collect();
        // What has no successor is still there itself, and is not shown again.
        let successor = |(name, old): &(Name, MachineLive)| {
            world
                .fly_machine
                .get(name)
                .filter(|now| now.workload.id != old.workload.id)
        };
        let green: Vec<&MachineLive> = old.iter().filter_map(successor).collect();
        // What was hidden before stays hidden when the hand-over is undone: it is of an earlier generation.
        let served: Vec<&MachineLive> = blue.iter().copied().filter(|live| served(live)).collect();
        if let Err(error) = all(&blue, |live| hide(clouds, live, world)).await {
            all(&served, |live| show(clouds, live, world))
                .await
                .unwrap_or_else(|undo| log(&undo));
            return Err(error);
        }
        if let Err(error) = all(&green, |live| show(clouds, live, world)).await {
            // A new one that cannot be hidden again serves; then the old ones must not.
            match all(&green, |live| hide(clouds, live, world)).await {
                Err(undo) => log(&undo),
                Ok(()) => {
                    all(&served, |live| show(clouds, live, world))
                        .await
                        .unwrap_or_else(|undo| log(&undo));
                }
            }
            return Err(error);
        }
        Ok(())
    }

    async fn edit(
        clouds: &Clouds,
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

    async fn delete(clouds: &Clouds, live: &MachineLive, world: &World) -> Result<(), CloudError> {
        if let Some(successor) = &live.successor {
            let app = fly_name(world, &live.workload.app)?;
            match drive::discard(clouds, app, &successor.id).await {
                // It has taken over: that is why this one goes.
                Err(error) if error.trouble == Trouble::Conflict => {}
                other => other?,
            }
        }
        drive::delete(clouds, &live.workload, world).await
    }
}
