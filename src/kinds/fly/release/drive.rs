//! The API calls of a release command. Its machine destroys itself when the command ends. A machine
//! that a killed run left behind is waited for or removed by the next run, so a second attempt
//! never interrupts a migration.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    LeftoverMachine, RELEASE_COMMAND_GROUP, ReleaseCommand, ReleaseEdit, ReleaseLive, ReleaseSpec,
};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{MachineRequest, wire},
    },
    kinds::{
        CloudWriters, Drive, World,
        fly::{app::fly_app_name, workload::drive::secrets_version},
    },
    model::{Name, OwnershipMark},
};

/// Reads a metadata value of a machine.
fn metadata_value<'m>(machine: &'m wire::MachineResponse, key: &str) -> Option<&'m str> {
    machine.config.get("metadata")?.get(key)?.as_str()
}

fn is_for_release(machine: &wire::MachineResponse, release: &str) -> bool {
    metadata_value(machine, OwnershipMark::RELEASE_KEY) == Some(release)
}

/// The release command machines that we created in this app, newest first, including destroyed
/// ones.
async fn find_release_machines(
    clouds: &CloudWriters,
    app: &str,
    mark: &OwnershipMark,
) -> Result<Vec<wire::MachineResponse>, CloudError> {
    let mut all = clouds.fly.list_machines_with_deleted(app).await?;
    all.retain(|machine| {
        metadata_value(machine, "fly_process_group") == Some(RELEASE_COMMAND_GROUP)
            && metadata_value(machine, OwnershipMark::PROJECT_KEY) == Some(&mark.project)
            && metadata_value(machine, OwnershipMark::ENVIRONMENT_KEY) == Some(&mark.environment)
    });
    Ok(all)
}

/// Waits until the command ends, and stops it after its timeout.
async fn wait_or_remove(
    clouds: &CloudWriters,
    app: &str,
    id: &str,
    limit: Option<u64>,
) -> Result<wire::MachineResponse, CloudError> {
    let ended = clouds
        .fly
        .wait_until_finished(app, id, limit, &clouds.progress)
        .await;
    if ended
        .as_ref()
        .is_err_and(|error| error.kind == ErrorKind::Failed)
    {
        destroy_machine(clouds, app, id).await?;
    }
    ended
}

async fn destroy_machine(clouds: &CloudWriters, app: &str, id: &str) -> Result<(), CloudError> {
    match clouds.fly.destroy_machine(app, id).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Runs the command, unless it has already run for this release.
async fn run_command(
    clouds: &CloudWriters,
    spec: &ReleaseSpec,
    world: &World,
) -> Result<(), CloudError> {
    let app = fly_app_name(world, &spec.workload.app)?;
    let release = spec.release.as_deref().unwrap_or_default();
    // Only the latest earlier command counts: another release may have run in between.
    let mut ran = false;
    for (index, earlier) in find_release_machines(clouds, app, &spec.workload.mark)
        .await?
        .into_iter()
        .enumerate()
    {
        let id = earlier.id.clone();
        let ended = if earlier.has_finished() {
            earlier
        } else {
            wait_or_remove(clouds, app, &id, spec.limit_secs).await?
        };
        ran |= index == 0 && is_for_release(&ended, release) && ended.exit_code() == Some(0);
        if !ended.is_destroyed() {
            destroy_machine(clouds, app, &id).await?;
        }
    }
    if ran {
        return Ok(());
    }
    let id = create_machine(clouds, app, spec, release, world).await?;
    let ended = wait_or_remove(clouds, app, &id, spec.limit_secs).await?;
    if !ended.is_destroyed() {
        destroy_machine(clouds, app, &id).await?;
    }
    if ended.exit_code() == Some(0) {
        clouds
            .fly
            .report_output(app, &ended, &clouds.progress)
            .await;
        return Ok(());
    }
    let operation = format!("run the release command of {app} (machine {id})");
    Err(clouds.fly.command_error(operation, app, &ended).await)
}

/// Creates the machine. After an ambiguous error it is looked up, since it may already be running.
async fn create_machine(
    clouds: &CloudWriters,
    app: &str,
    spec: &ReleaseSpec,
    release: &str,
    world: &World,
) -> Result<String, CloudError> {
    let new = MachineRequest {
        region: spec.workload.region.to_string(),
        config: machine_config(spec, release),
        min_secrets_version: secrets_version(&spec.workload, world),
        ..MachineRequest::default()
    };
    match clouds.fly.create_machine(app, &new).await {
        Err(error) if error.is_ambiguous() => {
            let all = find_release_machines(clouds, app, &spec.workload.mark).await?;
            let mine = all
                .into_iter()
                .find(|attempt| is_for_release(attempt, release) && !attempt.has_finished());
            mine.map(|attempt| attempt.id).ok_or(error)
        }
        other => Ok(other?.id),
    }
}

/// The machine's configuration: the app's, with our metadata, destroying itself, and left out of
/// DNS.
fn machine_config(spec: &ReleaseSpec, release: &str) -> Value {
    let mut body = spec.workload.create_body();
    let mut labels: BTreeMap<String, String> = spec.workload.base_metadata();
    labels.remove(OwnershipMark::APPLIED_HASH_KEY);
    labels.insert(
        "fly_process_group".to_owned(),
        RELEASE_COMMAND_GROUP.to_owned(),
    );
    labels.insert("fly_platform_version".to_owned(), "v2".to_owned());
    labels.insert(OwnershipMark::RELEASE_KEY.to_owned(), release.to_owned());
    body["metadata"] = json!(labels);
    body["auto_destroy"] = json!(true);
    body["dns"] = json!({ "skip_registration": true });
    body
}

/// Removes the machines that earlier runs left behind. A command that still runs is waited for.
async fn remove_leftovers(
    clouds: &CloudWriters,
    app: &str,
    leftovers: &[LeftoverMachine],
) -> Result<(), CloudError> {
    for LeftoverMachine { id, state: _ } in leftovers {
        let limit = Some(ReleaseSpec::DEFAULT_LIMIT_SECS);
        match clouds
            .fly
            .wait_until_finished(app, id, limit, &clouds.progress)
            .await
        {
            Err(error) if error.is_not_found() => {}
            Ok(ended) if ended.is_destroyed() => {}
            Ok(_) => destroy_machine(clouds, app, id).await?,
            // It is unknown how long the command may take, so wait without a limit.
            Err(error) if error.kind == ErrorKind::Failed => {
                return Err(CloudError {
                    kind: ErrorKind::Busy,
                    ..error
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Records the success in the metadata of an existing machine before any machine changes. A failure
/// to record it is ignored: the updated machines will record the release themselves.
async fn record_success(clouds: &CloudWriters, app: &str, live: &ReleaseLive, release: &str) {
    let Some(witness) = &live.witness else { return };
    let label = BTreeMap::from([(
        OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY.to_owned(),
        release.to_owned(),
    )]);
    if let Err(error) = clouds.fly.set_metadata(app, witness, &label).await {
        tracing::warn!(%error, "the release command's success could not be noted");
    }
}

impl Drive for ReleaseCommand {
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &ReleaseSpec,
        world: &World,
    ) -> Result<ReleaseLive, CloudError> {
        run_command(clouds, spec, world).await?;
        let done = spec.release.iter().cloned().collect();
        Ok(ReleaseLive {
            app: spec.workload.app.clone(),
            done,
            witness: None,
            leftovers: Vec::new(),
        })
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &ReleaseLive,
        edit: &ReleaseEdit,
        world: &World,
    ) -> Result<ReleaseLive, CloudError> {
        let app = fly_app_name(world, &live.app)?;
        let mut after = ReleaseLive {
            leftovers: Vec::new(),
            ..live.clone()
        };
        match edit {
            ReleaseEdit::RemoveLeftovers(leftovers) => {
                remove_leftovers(clouds, app, leftovers).await?;
            }
            ReleaseEdit::Run(spec) => {
                run_command(clouds, spec, world).await?;
                record_success(
                    clouds,
                    app,
                    live,
                    spec.release.as_deref().unwrap_or_default(),
                )
                .await;
                after.done.extend(spec.release.clone());
            }
        }
        Ok(after)
    }

    async fn delete(
        clouds: &CloudWriters,
        live: &ReleaseLive,
        world: &World,
    ) -> Result<(), CloudError> {
        remove_leftovers(clouds, fly_app_name(world, &live.app)?, &live.leftovers).await
    }
}
