//! The calls that machines and cron machines share.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Health, MachineConfig, Run, Update, Workload, WorkloadEdit, WorkloadLive, tree};
use crate::{
    clouds::{
        CloudError, Clouds, Trouble,
        fly::{NewMachine, Waited, wire},
    },
    kinds::{
        World,
        fly::{App, app::fly_name},
    },
    model::{Mark, Name, Ref, Region},
};

impl WorkloadLive {
    /// A machine as Fly reports it. A configuration that we cannot read is an error, not an empty one: an update
    /// planned against it would take everything away.
    ///
    /// # Errors
    /// When the configuration has a shape that we do not know.
    pub fn read(app: &Ref<App>, machine: &wire::Machine, mark: &Mark) -> Result<Self, CloudError> {
        let host_ok = machine.host_status.as_deref().is_none_or(|status| status == "ok");
        let raw = if machine.config.is_null() { &machine.incomplete_config } else { &machine.config };
        let raw = if raw.is_null() { json!({}) } else { raw.clone() };
        let mut config: MachineConfig = serde_json::from_value(raw.clone()).map_err(|error| {
            let doing = format!("read the configuration of machine {} of {}", machine.id, app.name());
            CloudError::new(doing, Trouble::Unreadable, error.to_string())
        })?;
        config.verbatim.clear();
        config.guest.get_or_insert_default();
        let metadata: BTreeMap<String, String> =
            raw.get("metadata").cloned().and_then(|map| serde_json::from_value(map).ok()).unwrap_or_default();
        let passing = machine.checks.iter().filter(|check| check.status == "passing").count();
        Ok(Self {
            app: app.clone(),
            id: machine.id.clone(),
            machine: machine.name.clone(),
            created: machine.created_at.clone(),
            region: Region::reported(&machine.region),
            state: machine.state.clone(),
            version: machine.instance_id.clone(),
            unknown: unknown(&raw, &config),
            config,
            raw,
            ownership: mark.judge(&metadata),
            metadata,
            digest: machine.image_ref.digest.clone().filter(|digest| !digest.is_empty()),
            health: Health { host_ok, cordoned: machine.cordoned, checks: (passing, machine.checks.len()) },
            last_run: machine.events.iter().find_map(last_run),
        })
    }
}

/// The end of a run, if the event is one.
fn last_run(event: &wire::Event) -> Option<Run> {
    let exit = event.exit().filter(|_| event.kind == "exit")?;
    let flag = |key: &str| exit.get(key).and_then(Value::as_bool).unwrap_or(false);
    Some(Run {
        ended: event.timestamp,
        exit_code: exit.get("exit_code").and_then(Value::as_i64),
        oom_killed: flag("oom_killed"),
        requested: flag("requested_stop"),
    })
}

/// What of a configuration is neither managed by us nor filled in by the platform itself.
fn unknown(raw: &Value, config: &MachineConfig) -> Vec<String> {
    let known = serde_json::to_value(config).unwrap_or_default();
    let filled_in = |path: &str| {
        let mount =
            path.starts_with("mounts[") && (path.ends_with(".size_gb") || path.ends_with(".encrypted"));
        mount
            || path.starts_with("metadata")
            || path == "auto_destroy"
            || path.starts_with("services[") && path.ends_with(".force_instance_key")
    };
    tree::unknown(raw, &known).into_iter().filter(|path| !filled_in(path)).collect()
}

/// The metadata that a machine is given: marks, and what it shall remember of the app's secrets.
fn metadata(spec: &Workload, world: &World) -> BTreeMap<String, String> {
    let mut metadata = spec.marks();
    let secrets = spec.secrets.as_ref().and_then(|secrets| world.fly_secrets.get(secrets.name()));
    if let Some(secrets) = secrets {
        metadata.insert(Mark::SECRETS.to_owned(), secrets.record().to_string());
    }
    metadata
}

/// The version of the secrets that a machine must start with: only known, and only needed, after a write.
fn secrets_version(spec: &Workload, world: &World) -> Option<u64> {
    spec.secrets.as_ref().and_then(|secrets| world.fly_secrets.get(secrets.name()))?.version
}

/// What a new machine is made of.
pub(crate) struct Birth<'a> {
    pub(crate) spec: &'a Workload,
    /// The resource's name, written into its mark.
    pub(crate) name: &'a Name,
    /// The machine's name on Fly, when it has a fixed one.
    pub(crate) machine: Option<&'a str>,
    /// The id of the volume to mount.
    pub(crate) volume: Option<String>,
}

/// Makes a machine and waits until it has started.
///
/// # Guarantees
/// After an answer that was lost, the machine is looked for by its mark before anything else is tried, so that no slot
/// is filled twice.
pub(crate) async fn create(
    clouds: &Clouds,
    birth: &Birth<'_>,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let Birth { spec, name, machine, volume } = birth;
    let app = fly_name(world, &spec.app)?;
    let mut config = spec.first_body();
    let mut labels = metadata(spec, world);
    labels.extend(spec.config.schedule.is_none().then(|| (Mark::STARTING.to_owned(), "true".to_owned())));
    config["metadata"] = json!(labels);
    if let (Some(volume), Some(mount)) = (volume, config.pointer_mut("/mounts/0")) {
        mount["volume"] = volume.as_str().into();
    }
    let new = NewMachine {
        name: machine.map(str::to_owned),
        region: spec.region.to_string(),
        config,
        min_secrets_version: secrets_version(spec, world),
        skip_launch: false,
    };
    let made = match clouds.fly.create_machine(app, &new).await {
        Err(error) if error.is_ambiguous() || error.trouble == Trouble::Conflict => {
            let mine = |machine: &wire::Machine| is_slot(machine, name, &spec.mark);
            clouds.fly.machines(app).await?.into_iter().find(mine).ok_or(error)?
        }
        other => other?,
    };
    settle(clouds, app, spec, &made.id, &made.instance_id, true).await
}

/// Whether a machine bears this very slot's mark.
fn is_slot(machine: &wire::Machine, name: &Name, mark: &Mark) -> bool {
    let text = |key: &str| machine.config.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
    text(Mark::PROJECT) == Some(&mark.project)
        && text(Mark::ENVIRONMENT) == Some(&mark.environment)
        && text(Mark::NAME) == Some(name.as_str())
}

/// Waits until a machine is where it should be, and reads it. Once it runs and its checks pass, its start is confirmed.
async fn settle(
    clouds: &Clouds,
    app: &str,
    spec: &Workload,
    id: &str,
    version: &str,
    launched: bool,
) -> Result<WorkloadLive, CloudError> {
    // A cron machine runs once and stops again: there is nothing to wait for but that it was accepted.
    let awaited = launched && spec.config.schedule.is_none();
    if awaited {
        let waited = clouds.fly.wait_for(app, id, Some(version), "started", spec.wait_secs).await?;
        if matches!(waited, Waited::Gone) {
            let doing = format!("wait until machine {id} of {app} is started");
            return Err(CloudError::new(doing, Trouble::Failed, "it is gone"));
        }
    }
    let mut machine = clouds.fly.machine(app, id).await?;
    if awaited {
        if has_checks(&spec.config) {
            machine = clouds.fly.wait_until_passing(app, id, spec.wait_secs).await?;
        }
        let confirmed = BTreeMap::from([(Mark::STARTING.to_owned(), String::new())]);
        clouds.fly.set_metadata(app, id, &confirmed).await?;
    }
    let mut live = WorkloadLive::read(&spec.app, &machine, &spec.mark)?;
    live.metadata.remove(Mark::STARTING);
    Ok(live)
}

fn has_checks(config: &MachineConfig) -> bool {
    !config.checks.is_empty() || config.services.iter().any(|service| !service.checks.is_empty())
}

/// Makes one change in place.
pub(crate) async fn edit(
    clouds: &Clouds,
    live: &WorkloadLive,
    edit: &WorkloadEdit,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let app = fly_name(world, &live.app)?;
    match edit {
        WorkloadEdit::Update(change) => update(clouds, app, live, change, world).await,
        WorkloadEdit::Metadata { labels, lines: _ } => {
            clouds.fly.set_metadata(app, &live.id, labels).await?;
            let mut after = live.clone();
            after.metadata.extend(labels.clone());
            after.metadata.retain(|_, value| !value.is_empty());
            after.ownership = crate::model::Ownership::Ours;
            Ok(after)
        }
    }
}

/// Sends a new configuration. After a lost answer the machine itself says whether it has it.
async fn update(
    clouds: &Clouds,
    app: &str,
    live: &WorkloadLive,
    change: &Update,
    world: &World,
) -> Result<WorkloadLive, CloudError> {
    let Update { spec, body, launch, lines: _ } = change;
    // The proxy may have woken it since the plan was made: then it stays awake.
    let woken = spec.config.schedule.is_none() && clouds.fly.machine(app, &live.id).await?.state == "started";
    let launch = &(*launch || woken);
    let mut config = body.clone();
    let mut labels = live.metadata.clone();
    // What is not written anew shall not be remembered.
    labels.remove(Mark::SECRETS);
    labels.remove(Mark::STARTING);
    labels.extend(metadata(spec, world));
    labels.extend(launch.then(|| (Mark::STARTING.to_owned(), "true".to_owned())));
    config["metadata"] = json!(labels);
    let request = NewMachine {
        name: None,
        region: live.region.to_string(),
        config,
        min_secrets_version: secrets_version(spec, world),
        skip_launch: !launch,
    };
    let version = match clouds.fly.update_machine(app, &live.id, &live.version, &request).await {
        Err(error) if error.is_ambiguous() => {
            let now = WorkloadLive::read(&live.app, &clouds.fly.machine(app, &live.id).await?, &spec.mark)?;
            let done = now.version != live.version && now.metadata == labels;
            if done { now.version } else { return Err(error) }
        }
        other => other?.instance_id,
    };
    settle(clouds, app, spec, &live.id, &version, *launch).await
}

/// Destroys a machine and waits until it is gone, so that its volume is free.
pub(crate) async fn delete(clouds: &Clouds, live: &WorkloadLive, world: &World) -> Result<(), CloudError> {
    let app = fly_name(world, &live.app)?;
    match clouds.fly.destroy_machine(app, &live.id).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    }
    clouds.fly.wait_for(app, &live.id, None, "destroyed", Workload::DEFAULT_WAIT_SECS).await.map(drop)
}
