//! The calls of a machine of a process group.

use super::{Machine, MachineLive, MachineSpec};
use crate::{
    clouds::{CloudError, Clouds},
    kinds::{
        Drive, World,
        fly::workload::{
            WorkloadEdit,
            drive::{self, Birth},
        },
    },
    model::{Name, Ref},
};

impl Drive for Machine {
    async fn create(
        clouds: &Clouds,
        name: &Name,
        spec: &MachineSpec,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let volume_id = |volume: &Ref<_>| world.fly_volume.get(volume.name()).map(|live| live.id.clone());
        let volume = spec.volume.as_ref().and_then(volume_id);
        let birth = Birth { spec: &spec.workload, name, machine: None, volume: volume.clone() };
        let workload = drive::create(clouds, &birth, world).await?;
        Ok(MachineLive { workload, volume: volume.map(|id| (id, spec.volume.clone())) })
    }

    async fn edit(
        clouds: &Clouds,
        live: &MachineLive,
        edit: &WorkloadEdit,
        world: &World,
    ) -> Result<MachineLive, CloudError> {
        let workload = drive::edit(clouds, &live.workload, edit, world).await?;
        Ok(MachineLive { workload, volume: live.volume.clone() })
    }

    async fn delete(clouds: &Clouds, live: &MachineLive, world: &World) -> Result<(), CloudError> {
        drive::delete(clouds, &live.workload, world).await
    }
}
