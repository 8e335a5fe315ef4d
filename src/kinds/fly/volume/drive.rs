//! The API calls of a volume.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{Volume, VolumeEdit, VolumeLive, VolumeSpec};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{CreateVolumeRequest, wire},
    },
    kinds::{
        CloudWriters, Drive, World,
        fly::{App, app::fly_app_name, duplicates::keep_oldest, workload::Workload},
    },
    model::{Gib, Name, Region, ResourceRef},
};

impl VolumeLive {
    /// Reads a volume from the API.
    #[must_use]
    pub fn from_wire(
        app: &ResourceRef<App>,
        volume: &wire::VolumeResponse,
        protected: bool,
    ) -> Self {
        let wire::VolumeResponse {
            id,
            name,
            state,
            size_gb,
            region,
            encrypted,
            attached_machine_id,
            snapshot_retention,
            auto_backup_enabled,
            created_at: _,
            bytes_used,
            bytes_total,
            host_status,
        } = volume;
        Self {
            app: app.clone(),
            id: id.clone(),
            volume: name.clone(),
            region: Region::from_api(region),
            size: Gib(*size_gb),
            snapshot_retention: *snapshot_retention,
            scheduled_snapshots: *auto_backup_enabled,
            encrypted: *encrypted,
            state: state.clone(),
            attached_machine: attached_machine_id.clone().filter(|id| !id.is_empty()),
            usage: (*bytes_total > 0).then_some((*bytes_used, *bytes_total)),
            host_ok: host_status.as_deref().is_none_or(|status| status == "ok"),
            protected,
        }
    }
}

/// The volumes with the name and region of a spec, except those with the ids in `known`: the ones
/// that existed when the run began, and the ones that this run has created.
async fn find_new_volumes(
    clouds: &CloudWriters,
    app: &str,
    spec: &VolumeSpec,
    known: &BTreeSet<String>,
) -> Result<Vec<wire::VolumeResponse>, CloudError> {
    let all = clouds.fly.list_volumes(app).await?;
    let is_new = |volume: &wire::VolumeResponse| {
        volume.name == spec.volume
            && volume.region == spec.region.as_str()
            && !known.contains(&volume.id)
    };
    Ok(all.into_iter().filter(is_new).collect())
}

fn is_unattached(volume: &wire::VolumeResponse) -> bool {
    volume
        .attached_machine_id
        .as_deref()
        .unwrap_or_default()
        .is_empty()
}

/// Creates a volume, and deletes it again if a concurrent run has created the same, see
/// [`keep_oldest`]. Volumes have no metadata, so a duplicate would stay forever, and in a protected
/// app nothing could delete it. The new volume is still empty.
async fn create_single_volume(
    clouds: &CloudWriters,
    app: &str,
    spec: &VolumeSpec,
    known: &BTreeSet<String>,
) -> Result<wire::VolumeResponse, CloudError> {
    let request = CreateVolumeRequest {
        name: spec.volume.clone(),
        region: spec.region.to_string(),
        size_gb: spec.size.unwrap_or(VolumeSpec::DEFAULT_SIZE).0,
        encrypted: spec.encrypted,
        snapshot_retention: spec.snapshot_retention,
        auto_backup_enabled: spec.scheduled_snapshots,
    };
    let created = match clouds.fly.create_volume(app, &request).await {
        Err(error) if error.is_ambiguous() => {
            let found = find_new_volumes(clouds, app, spec, known).await?;
            return found.into_iter().find(is_unattached).ok_or(error);
        }
        created => created?,
    };
    let others = find_new_volumes(clouds, app, spec, known).await?;
    match keep_oldest(&created, others, |volume| (&volume.created_at, &volume.id)) {
        None => Ok(created),
        Some(first) => {
            clouds.fly.delete_volume(app, &created.id).await?;
            Ok(first)
        }
    }
}

impl Drive for Volume {
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &VolumeSpec,
        world: &World,
    ) -> Result<VolumeLive, CloudError> {
        let app = fly_app_name(world, &spec.app)?;
        let mut created_in_run = clouds
            .fly
            .lock_volume_creation(app, &spec.volume, spec.region.as_str())
            .await;
        let managed = world.fly_volume.values().map(|volume| &volume.id);
        let spare = world
            .findings
            .unmanaged
            .iter()
            .map(|object| &object.identity);
        let known = managed
            .chain(spare)
            .chain(created_in_run.iter())
            .cloned()
            .collect();
        let created = create_single_volume(clouds, app, spec, &known).await?;
        created_in_run.insert(created.id.clone());
        Ok(VolumeLive::from_wire(&spec.app, &created, false))
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &VolumeLive,
        edit: &VolumeEdit,
        world: &World,
    ) -> Result<VolumeLive, CloudError> {
        let app = fly_app_name(world, &live.app)?;
        let mut after = live.clone();
        match edit {
            VolumeEdit::Extend {
                from: _,
                to,
                attached: _,
            } => {
                let extended = clouds.fly.extend_volume(app, &live.id, to.0).await?;
                if let Some(machine) = live
                    .attached_machine
                    .as_deref()
                    .filter(|_| extended.needs_restart)
                {
                    clouds.fly.restart_machine(app, machine).await?;
                    clouds
                        .fly
                        .wait_for_state(
                            app,
                            machine,
                            None,
                            "started",
                            Workload::DEFAULT_WAIT_SECS,
                            &clouds.progress,
                        )
                        .await?;
                }
                after.size = *to;
            }
            VolumeEdit::Snapshots {
                retention,
                scheduled,
            } => {
                let mut body = json!({});
                if let Some((_, days)) = retention {
                    body["snapshot_retention"] = json!(days);
                    after.snapshot_retention = Some(*days);
                }
                if let Some((_, enabled)) = scheduled {
                    body["auto_backup_enabled"] = json!(enabled);
                    after.scheduled_snapshots = Some(*enabled);
                }
                clouds.fly.update_volume(app, &live.id, body).await?;
            }
        }
        Ok(after)
    }

    /// Fly refuses to delete a volume that is still attached, see `DETACH_TIMEOUT`.
    async fn delete(
        clouds: &CloudWriters,
        live: &VolumeLive,
        world: &World,
    ) -> Result<(), CloudError> {
        let app = fly_app_name(world, &live.app)?;
        let retries = DETACH_TIMEOUT.as_secs() / DETACH_POLL_INTERVAL.as_secs();
        for _ in 0..retries {
            match clouds.fly.delete_volume(app, &live.id).await {
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) if error.kind == ErrorKind::Conflict => {
                    clouds.fly.sleep_scaled(DETACH_POLL_INTERVAL).await;
                }
                other => return other,
            }
        }
        clouds.fly.delete_volume(app, &live.id).await
    }
}

/// How long to wait until a volume is detached. trimtab destroys the machine first and waits until
/// it is gone, so this only has to cover Fly's delay in detaching the volume.
const DETACH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often to try the deletion while the volume is attached.
const DETACH_POLL_INTERVAL: Duration = Duration::from_secs(2);
