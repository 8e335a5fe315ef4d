//! The API calls that machines, cron machines and release command machines share.

use std::collections::BTreeMap;

use serde_json::{Value, json};

mod from_wire;

use super::{
    ConfigUpdate, MachineConfig, Workload, WorkloadEdit, WorkloadLive, diff::update_body,
    standby::set_standby, unstated::KeptSettings,
};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{MachineRequest, WaitOutcome, wire},
    },
    kinds::{CloudWriters, World, fly::app::fly_app_name, postgres},
    model::{Name, OwnershipMark},
};

/// The metadata of a machine, including the record of the app's secrets.
fn full_metadata(spec: &Workload, world: &World) -> BTreeMap<String, String> {
    let mut metadata = spec.base_metadata();
    let secrets = spec
        .secrets
        .as_ref()
        .and_then(|secrets| world.fly_secrets.get(secrets.name()));
    if let Some(secrets) = secrets {
        metadata.insert(
            OwnershipMark::SECRET_FINGERPRINTS_KEY.to_owned(),
            secrets.record().to_string(),
        );
        let version = secrets.version.map(|version| {
            (
                OwnershipMark::SECRETS_VERSION_KEY.to_owned(),
                version.to_string(),
            )
        });
        metadata.extend(version);
    }
    metadata
}

/// The version of the secrets that a machine must start with, if known: from a write in this run,
/// or from machine metadata.
pub(crate) fn secrets_version(spec: &Workload, world: &World) -> Option<u64> {
    spec.secrets
        .as_ref()
        .and_then(|secrets| world.fly_secrets.get(secrets.name()))?
        .version
}

/// The record of the settings that the manifest leaves open, as they are in the configuration that is sent.
fn kept_settings(spec: &Workload, config: &Value) -> KeptSettings {
    let config: MachineConfig = serde_json::from_value(config.clone()).unwrap_or_default();
    KeptSettings::new(spec, &config)
}

/// The inputs of a machine's creation.
pub(crate) struct CreateRequest<'a> {
    pub(crate) spec: &'a Workload,
    /// The resource name, stored in the metadata.
    pub(crate) name: &'a Name,
    /// The machine's name on Fly, if it is fixed.
    pub(crate) machine_name: Option<&'a str>,
    /// The id of the volume to mount.
    pub(crate) volume_id: Option<String>,
    /// The machine that the new one will replace. Until then the new one is cordoned.
    pub(crate) predecessor: Option<&'a WorkloadLive>,
}

impl CreateRequest<'_> {
    /// Whether to start the machine. A standby stays stopped until Fly needs it, and the successor
    /// of a stopped machine is also stopped.
    fn launches(&self) -> bool {
        let was_started = |old: &WorkloadLive| old.is_running() || old.is_start_unconfirmed();
        self.spec.standby_for.is_none() && self.predecessor.is_none_or(was_started)
    }

    fn config(&self, world: &World) -> Value {
        let Self {
            spec,
            name: _,
            machine_name: _,
            volume_id,
            predecessor,
        } = self;
        let mut config = match predecessor {
            // A successor inherits the unknown fields of its predecessor.
            Some(old) => update_body(spec, old),
            None => spec.create_body(),
        };
        let mut labels = full_metadata(spec, world);
        let starts = self.launches() && spec.config.schedule.is_none();
        labels.extend(starts.then(|| (OwnershipMark::STARTING_KEY.to_owned(), "true".to_owned())));
        labels.extend(
            predecessor.map(|old| (OwnershipMark::SUCCEEDS_KEY.to_owned(), old.id.clone())),
        );
        labels.extend(kept_settings(spec, &config).metadata_change(&labels));
        config["metadata"] = json!(labels);
        set_standby(spec, world, &mut config);
        if let (Some(volume_id), Some(mount)) = (volume_id, config.pointer_mut("/mounts/0")) {
            mount["volume"] = volume_id.as_str().into();
        }
        config
    }

    /// Whether a machine is the result of an earlier, ambiguous attempt.
    fn is_result(&self, machine: &wire::MachineResponse) -> bool {
        let mark = &self.spec.mark;
        let text = |key: &str| {
            machine
                .config
                .pointer(&format!("/metadata/{key}"))
                .and_then(Value::as_str)
        };
        text(OwnershipMark::PROJECT_KEY) == Some(&mark.project)
            && text(OwnershipMark::ENVIRONMENT_KEY) == Some(&mark.environment)
            && text(OwnershipMark::NAME_KEY) == Some(self.name.as_str())
            && self
                .predecessor
                .is_none_or(|old| text(OwnershipMark::SUCCEEDS_KEY) == Some(&old.id))
    }
}

/// Creates a machine and waits until it is healthy.
///
/// # Guarantees
/// After an ambiguous error the machine is looked up by its metadata, so that no slot is filled
/// twice.
pub(crate) async fn create(
    clouds: &CloudWriters,
    request: &CreateRequest<'_>,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let spec = request.spec;
    let app = fly_app_name(world, &spec.app)?;
    let body = MachineRequest {
        name: request.machine_name.map(str::to_owned),
        region: spec.region.to_string(),
        config: request.config(world),
        min_secrets_version: secrets_version(spec, world),
        skip_launch: !request.launches(),
        skip_service_registration: request.predecessor.is_some(),
        ..MachineRequest::default()
    };
    let created = match clouds.fly.create_machine(app, &body).await {
        Err(error) if error.is_ambiguous() || error.kind == ErrorKind::Conflict => {
            // A conflict, too: Fly rejects a second machine of the same name, which may be ours.
            let mut all = clouds.fly.list_machines(app).await?.into_iter();
            all.find(|machine| request.is_result(machine))
                .ok_or(error)?
        }
        other => other?,
    };
    if !request.launches() {
        // Wait for `stopped`: a machine that is still being prepared cannot be started.
        let (limit, progress) = (spec.wait_secs, &clouds.progress);
        clouds
            .fly
            .wait_for_state(app, &created.id, None, "stopped", limit, progress)
            .await?;
    }
    wait_until_healthy(
        clouds,
        app,
        spec,
        &created.id,
        &created.instance_id,
        request.launches(),
    )
    .await
}

/// Creates the successor of a machine, or reuses the one that an earlier run created, and waits
/// until it is healthy.
pub(crate) async fn create_successor(
    clouds: &CloudWriters,
    request: &CreateRequest<'_>,
    existing: Option<&WorkloadLive>,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let spec = request.spec;
    let app = fly_app_name(world, &spec.app)?;
    let metadata = full_metadata(spec, world);
    // The existing successor has the desired configuration if it has all the metadata that we would
    // write, which includes the hash of the configuration.
    let same = |green: &&WorkloadLive| {
        metadata
            .iter()
            .all(|(key, value)| green.metadata.get(key) == Some(value))
    };
    match existing {
        // Reuse it unless its start failed: waiting would not start it.
        Some(green) if same(&green) && (green.is_running() || !green.is_start_unconfirmed()) => {
            wait_until_healthy(
                clouds,
                app,
                spec,
                &green.id,
                &green.version,
                request.launches(),
            )
            .await
        }
        Some(green) => {
            discard_successor(clouds, app, &green.id).await?;
            create(clouds, request, world).await
        }
        None => create(clouds, request, world).await,
    }
}

/// Waits until a machine is healthy, and reads it. Then its start is confirmed in the metadata.
async fn wait_until_healthy(
    clouds: &CloudWriters,
    app: &str,
    spec: &Workload,
    id: &str,
    version: &str,
    launched: bool,
) -> Result<WorkloadLive, CloudError> {
    // A cron machine runs once and stops again, so there is no running state to wait for.
    let awaited = launched && spec.config.schedule.is_none();
    if awaited {
        let waited = clouds
            .fly
            .wait_for_state(
                app,
                id,
                Some(version),
                "started",
                spec.wait_secs,
                &clouds.progress,
            )
            .await?;
        if matches!(waited, WaitOutcome::Gone) {
            let operation = format!("wait until machine {id} of {app} is started");
            return Err(CloudError::new(operation, ErrorKind::Failed, "it is gone"));
        }
    }
    let machine = if !awaited {
        clouds.fly.get_machine(app, id).await?
    } else if spec.config.has_checks() {
        clouds
            .fly
            .wait_until_checks_pass(app, id, spec.wait_secs, &clouds.progress)
            .await?
    } else {
        clouds
            .fly
            .wait_until_stable(app, id, spec.wait_secs, &clouds.progress)
            .await?
    };
    let mut live = WorkloadLive::from_wire(&spec.app, &machine, &spec.mark)?;
    let mut metadata = BTreeMap::new();
    if awaited {
        metadata.insert(OwnershipMark::STARTING_KEY.to_owned(), String::new());
    }
    metadata.extend(KeptSettings::new(spec, &live.config).metadata_change(&live.metadata));
    if !metadata.is_empty() {
        clouds.fly.set_metadata(app, id, &metadata).await?;
    }
    live.metadata.extend(metadata);
    live.metadata.retain(|_, value| !value.is_empty());
    Ok(live)
}

/// Performs an in-place change.
pub(crate) async fn edit(
    clouds: &CloudWriters,
    live: &WorkloadLive,
    edit: &WorkloadEdit,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let app = fly_app_name(world, &live.app)?;
    match edit {
        WorkloadEdit::Update(change) => update_config(clouds, app, live, change, world).await,
        WorkloadEdit::Metadata { labels, lines: _ } => {
            clouds.fly.set_metadata(app, &live.id, labels).await?;
            let mut after = live.clone();
            after.metadata.extend(labels.clone());
            after.metadata.retain(|_, value| !value.is_empty());
            after.ownership = crate::model::Ownership::Ours;
            Ok(after)
        }
        WorkloadEdit::ConfirmStart(spec) => {
            wait_until_healthy(clouds, app, spec, &live.id, &live.version, true).await
        }
        WorkloadEdit::Uncordon { .. } => {
            clouds.fly.uncordon_machine(app, &live.id).await?;
            let mut after = live.clone();
            after.health.cordoned = false;
            Ok(after)
        }
        WorkloadEdit::DiscardSuccessor { id } => {
            discard_successor(clouds, app, id).await?;
            Ok(live.clone())
        }
    }
}

/// Updates the configuration. After an ambiguous error the machine is read to find out whether the
/// update was done.
async fn update_config(
    clouds: &CloudWriters,
    app: &str,
    live: &WorkloadLive,
    change: &ConfigUpdate,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let ConfigUpdate {
        spec,
        body,
        launch,
        lines: _,
        restored_metadata: earlier,
    } = change;
    // Fly's proxy may have started the machine since the plan was made. Then it must keep running. A machine that becomes a
    // standby stops.
    let was_started = spec.config.schedule.is_none()
        && spec.standby_for.is_none()
        && clouds.fly.get_machine(app, &live.id).await?.state == "started";
    let launch = &(*launch || was_started);
    let mut config = body.clone();
    let mut labels = live.metadata.clone();
    // Remove the metadata of the previous version. What still applies is written again below.
    labels.remove(OwnershipMark::SECRET_FINGERPRINTS_KEY);
    labels.remove(OwnershipMark::SECRETS_VERSION_KEY);
    labels.remove(OwnershipMark::STARTING_KEY);
    labels.remove(OwnershipMark::SUCCEEDS_KEY);
    labels.remove(OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY);
    labels.remove(OwnershipMark::ROLLBACK_KEY);
    match earlier {
        None => labels.extend(full_metadata(spec, world)),
        Some(earlier) => {
            // Restore the earlier metadata except for the record of secrets: the machine starts
            // with the current secrets.
            labels.clone_from(earlier);
            // What is recorded of databases describes the data and not the release.
            let databases = live.metadata.iter();
            let databases = databases.filter(|(key, _)| key.starts_with(postgres::KEY_PREFIX));
            labels.extend(databases.map(|(key, value)| (key.clone(), value.clone())));
            let mut now = full_metadata(spec, world);
            now.retain(|key, _| {
                matches!(
                    key.as_str(),
                    OwnershipMark::SECRET_FINGERPRINTS_KEY | OwnershipMark::SECRETS_VERSION_KEY
                )
            });
            labels.extend(now);
        }
    }
    let cause = match earlier {
        None => "true",
        Some(_) => OwnershipMark::STARTING_BY_ROLLBACK,
    };
    labels.extend(launch.then(|| (OwnershipMark::STARTING_KEY.to_owned(), cause.to_owned())));
    labels.extend(kept_settings(spec, &config).metadata_change(&labels));
    labels.retain(|_, value| !value.is_empty());
    config["metadata"] = json!(labels);
    set_standby(spec, world, &mut config);
    let request = MachineRequest {
        region: live.region.to_string(),
        config,
        min_secrets_version: secrets_version(spec, world),
        skip_launch: !launch,
        ..MachineRequest::default()
    };
    let version = match clouds
        .fly
        .update_machine(app, &live.id, &live.version, &request)
        .await
    {
        // The update was done if the machine has a new version with exactly our metadata.
        Err(error) if error.is_ambiguous() => {
            let now = WorkloadLive::from_wire(
                &live.app,
                &clouds.fly.get_machine(app, &live.id).await?,
                &spec.mark,
            )?;
            let done = now.version != live.version && now.metadata == labels;
            if done { now.version } else { return Err(error) }
        }
        other => other?.instance_id,
    };
    wait_until_healthy(clouds, app, spec, &live.id, &version, *launch).await
}

/// Destroys a machine and waits until it is gone, so that its volume is free.
pub(crate) async fn delete(
    clouds: &CloudWriters,
    live: &WorkloadLive,
    world: &World,
) -> Result<(), CloudError> {
    destroy_machine(clouds, fly_app_name(world, &live.app)?, &live.id).await
}

/// Destroys a successor that never took over. If another run has let it take over since the plan
/// was made, it stays, and that is an error.
pub(crate) async fn discard_successor(
    clouds: &CloudWriters,
    app: &str,
    id: &str,
) -> Result<(), CloudError> {
    match clouds.fly.get_machine(app, id).await {
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
        Ok(machine) if machine.cordoned || machine.is_destroyed() => {
            destroy_machine(clouds, app, id).await
        }
        Ok(_) => {
            let operation = format!("discard the successor {id} of {app}");
            Err(CloudError::new(
                operation,
                ErrorKind::Conflict,
                "it has taken over since the plan was made",
            ))
        }
    }
}

async fn destroy_machine(clouds: &CloudWriters, app: &str, id: &str) -> Result<(), CloudError> {
    match clouds.fly.destroy_machine(app, id).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    }
    let limit = Workload::DEFAULT_WAIT_SECS;
    clouds
        .fly
        .wait_for_state(app, id, None, "destroyed", limit, &clouds.progress)
        .await
        .map(drop)
}
