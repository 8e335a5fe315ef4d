//! The calls that machines and cron machines share.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    ConfigUpdate, Health, MachineConfig, ProcessExit, Workload, WorkloadEdit, WorkloadLive,
    diff::update_body, json_tree,
};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{MachineRequest, WaitOutcome, wire},
    },
    kinds::{
        CloudWriters, World,
        fly::{App, app::fly_app_name},
    },
    model::{Name, OwnershipMark, Region, ResourceRef},
};

impl WorkloadLive {
    /// A machine as Fly reports it. A configuration that we cannot read is an error, not an empty one: an update
    /// planned against it would take everything away.
    ///
    /// # Errors
    /// When the configuration has a shape that we do not know.
    pub fn from_wire(
        app: &ResourceRef<App>,
        machine: &wire::MachineResponse,
        mark: &OwnershipMark,
    ) -> Result<Self, CloudError> {
        let host_ok = machine
            .host_status
            .as_deref()
            .is_none_or(|status| status == "ok");
        let raw = if machine.config.is_null() {
            &machine.incomplete_config
        } else {
            &machine.config
        };
        let raw = if raw.is_null() {
            json!({})
        } else {
            raw.clone()
        };
        let mut config: MachineConfig = serde_json::from_value(raw.clone()).map_err(|error| {
            let doing = format!(
                "read the configuration of machine {} of {}",
                machine.id,
                app.name()
            );
            CloudError::new(doing, ErrorKind::InvalidResponse, error.to_string())
        })?;
        config.verbatim.clear();
        config.guest.get_or_insert_default();
        let metadata: BTreeMap<String, String> = raw
            .get("metadata")
            .cloned()
            .and_then(|map| serde_json::from_value(map).ok())
            .unwrap_or_default();
        let passing = machine
            .checks
            .iter()
            .filter(|check| check.status == "passing")
            .count();
        Ok(Self {
            app: app.clone(),
            id: machine.id.clone(),
            machine: machine.name.clone(),
            created: machine.created_at.clone(),
            region: Region::from_api(&machine.region),
            state: machine.state.clone(),
            version: machine.instance_id.clone(),
            unknown: unmanaged_paths(&raw, &config),
            config,
            raw,
            ownership: mark.ownership_of(&metadata),
            metadata,
            digest: machine
                .image_ref
                .digest
                .clone()
                .filter(|digest| !digest.is_empty()),
            health: Health {
                host_ok,
                cordoned: machine.cordoned,
                checks: (passing, machine.checks.len()),
            },
            last_run: machine.events.iter().find_map(exit_from_event),
        })
    }
}

/// The end of a run, if the event is one.
fn exit_from_event(event: &wire::MachineEvent) -> Option<ProcessExit> {
    let exit = event.exit_event().filter(|_| event.kind == "exit")?;
    let flag = |key: &str| exit.get(key).and_then(Value::as_bool).unwrap_or(false);
    Some(ProcessExit {
        ended_at_ms: event.timestamp,
        exit_code: exit.get("exit_code").and_then(Value::as_i64),
        oom_killed: flag("oom_killed"),
        requested_stop: flag("requested_stop"),
    })
}

/// What of a configuration is neither managed by us nor filled in by the platform itself.
fn unmanaged_paths(raw: &Value, config: &MachineConfig) -> Vec<String> {
    let known = serde_json::to_value(config).unwrap_or_default();
    let filled_in = |path: &str| {
        let mount = path.starts_with("mounts[")
            && (path.ends_with(".size_gb") || path.ends_with(".encrypted"));
        mount
            || path.starts_with("metadata")
            || path == "auto_destroy"
            || path.starts_with("services[") && path.ends_with(".force_instance_key")
    };
    json_tree::unknown_paths(raw, &known)
        .into_iter()
        .filter(|path| !filled_in(path))
        .collect()
}

/// The metadata that a machine is given: marks, and what it shall remember of the app's secrets.
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

/// The version of the secrets that a machine must start with, as far as it is known: from a write of this run, or from
/// what machines remember.
pub(crate) fn secrets_version(spec: &Workload, world: &World) -> Option<u64> {
    spec.secrets
        .as_ref()
        .and_then(|secrets| world.fly_secrets.get(secrets.name()))?
        .version
}

/// The machine that a standby stands by for, once it is known.
fn set_standby(spec: &Workload, world: &World, config: &mut Value) {
    let other = spec
        .standby_for
        .as_ref()
        .and_then(|other| world.fly_machine.get(other.name()));
    if let Some(other) = other {
        config["standbys"] = json!([other.workload.id]);
    }
}

/// What a new machine is made of.
pub(crate) struct CreateRequest<'a> {
    pub(crate) spec: &'a Workload,
    /// The resource's name, written into its mark.
    pub(crate) name: &'a Name,
    /// The machine's name on Fly, when it has a fixed one.
    pub(crate) machine_name: Option<&'a str>,
    /// The id of the volume to mount.
    pub(crate) volume_id: Option<String>,
    /// The machine whose place it is to take. Until then the proxy does not know it.
    pub(crate) predecessor: Option<&'a WorkloadLive>,
}

impl CreateRequest<'_> {
    /// Whether it is started. A standby sleeps until Fly needs it, and who takes the place of a sleeper sleeps.
    fn launches(&self) -> bool {
        let woken = |old: &WorkloadLive| old.is_running() || old.is_start_unconfirmed();
        self.spec.standby_for.is_none() && self.predecessor.is_none_or(woken)
    }

    fn config(&self, world: &World) -> Value {
        let Self {
            spec,
            name: _,
            machine_name: _,
            volume_id: volume,
            predecessor: instead_of,
        } = self;
        let mut config = match instead_of {
            // What we do not know of the old one, the new one has as well.
            Some(old) => update_body(&spec.config, old),
            None => spec.create_body(),
        };
        let mut labels = full_metadata(spec, world);
        let starts = self.launches() && spec.config.schedule.is_none();
        labels.extend(starts.then(|| (OwnershipMark::STARTING_KEY.to_owned(), "true".to_owned())));
        labels
            .extend(instead_of.map(|old| (OwnershipMark::SUCCEEDS_KEY.to_owned(), old.id.clone())));
        config["metadata"] = json!(labels);
        set_standby(spec, world, &mut config);
        if let (Some(volume), Some(mount)) = (volume, config.pointer_mut("/mounts/0")) {
            mount["volume"] = volume.as_str().into();
        }
        config
    }

    /// Whether a machine is the one that an unanswered attempt made.
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

/// Makes a machine and waits until it is healthy.
///
/// # Guarantees
/// After an answer that was lost, the machine is looked for by its mark before anything else is tried, so that no slot
/// is filled twice.
pub(crate) async fn create(
    clouds: &CloudWriters,
    birth: &CreateRequest<'_>,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let spec = birth.spec;
    let app = fly_app_name(world, &spec.app)?;
    let new = MachineRequest {
        name: birth.machine_name.map(str::to_owned),
        region: spec.region.to_string(),
        config: birth.config(world),
        min_secrets_version: secrets_version(spec, world),
        skip_launch: !birth.launches(),
        skip_service_registration: birth.predecessor.is_some(),
        ..MachineRequest::default()
    };
    let made = match clouds.fly.create_machine(app, &new).await {
        Err(error) if error.is_ambiguous() || error.kind == ErrorKind::Conflict => {
            let mut all = clouds.fly.list_machines(app).await?.into_iter();
            all.find(|machine| birth.is_result(machine)).ok_or(error)?
        }
        other => other?,
    };
    if !birth.launches() {
        // A machine that is still being prepared can be started by nobody.
        let (limit, voice) = (spec.wait_secs, &clouds.progress);
        clouds
            .fly
            .wait_for_state(app, &made.id, None, "stopped", limit, voice)
            .await?;
    }
    wait_until_healthy(
        clouds,
        app,
        spec,
        &made.id,
        &made.instance_id,
        birth.launches(),
    )
    .await
}

/// Makes the successor of a machine, or finds the one that an earlier run made, and waits until it is healthy.
pub(crate) async fn create_successor(
    clouds: &CloudWriters,
    birth: &CreateRequest<'_>,
    there: Option<&WorkloadLive>,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let spec = birth.spec;
    let app = fly_app_name(world, &spec.app)?;
    let wanted = full_metadata(spec, world);
    // It is the same one when all that we would write on it stands on it.
    let same = |green: &&WorkloadLive| {
        wanted
            .iter()
            .all(|(key, value)| green.metadata.get(key) == Some(value))
    };
    match there {
        // One that has come to rest will not come up by being waited for.
        Some(green) if same(&green) && (green.is_running() || !green.is_start_unconfirmed()) => {
            wait_until_healthy(
                clouds,
                app,
                spec,
                &green.id,
                &green.version,
                birth.launches(),
            )
            .await
        }
        Some(green) => {
            discard_successor(clouds, app, &green.id).await?;
            create(clouds, birth, world).await
        }
        None => create(clouds, birth, world).await,
    }
}

/// Waits until a machine is where it should be, and reads it. Once it is healthy, its start is confirmed.
async fn wait_until_healthy(
    clouds: &CloudWriters,
    app: &str,
    spec: &Workload,
    id: &str,
    version: &str,
    launched: bool,
) -> Result<WorkloadLive, CloudError> {
    // A cron machine runs once and stops again: there is nothing to wait for but that it was accepted.
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
            let doing = format!("wait until machine {id} of {app} is started");
            return Err(CloudError::new(doing, ErrorKind::Failed, "it is gone"));
        }
    }
    let machine = if !awaited {
        clouds.fly.get_machine(app, id).await?
    } else if has_checks(&spec.config) {
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
    if awaited {
        let confirmed = BTreeMap::from([(OwnershipMark::STARTING_KEY.to_owned(), String::new())]);
        clouds.fly.set_metadata(app, id, &confirmed).await?;
    }
    let mut live = WorkloadLive::from_wire(&spec.app, &machine, &spec.mark)?;
    live.metadata.remove(OwnershipMark::STARTING_KEY);
    Ok(live)
}

fn has_checks(config: &MachineConfig) -> bool {
    !config.checks.is_empty()
        || config
            .services
            .iter()
            .any(|service| !service.checks.is_empty())
}

/// Makes one change in place.
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
        WorkloadEdit::Uncordon => {
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

/// Sends a new configuration. After a lost answer the machine itself says whether it has it.
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
    // The proxy may have woken it since the plan was made: then it stays awake.
    let woken = spec.config.schedule.is_none()
        && clouds.fly.get_machine(app, &live.id).await?.state == "started";
    let launch = &(*launch || woken);
    let mut config = body.clone();
    let mut labels = live.metadata.clone();
    // What is not written anew shall not be remembered.
    labels.remove(OwnershipMark::SECRET_FINGERPRINTS_KEY);
    labels.remove(OwnershipMark::SECRETS_VERSION_KEY);
    labels.remove(OwnershipMark::STARTING_KEY);
    labels.remove(OwnershipMark::SUCCEEDS_KEY);
    labels.remove(OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY);
    match earlier {
        None => labels.extend(full_metadata(spec, world)),
        Some(earlier) => {
            // What was there goes back, but for the secrets: it starts with those that are there now.
            labels.clone_from(earlier);
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
    labels.extend(launch.then(|| (OwnershipMark::STARTING_KEY.to_owned(), "true".to_owned())));
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

/// Destroys a successor that never took over. Another run may have let it take over since the plan was made: then it
/// stays.
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
            let doing = format!("discard the successor {id} of {app}");
            Err(CloudError::new(
                doing,
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
