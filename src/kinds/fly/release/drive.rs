//! The calls of a release command. Its machine destroys itself when the command ends, and one that a killed run left is
//! waited for or removed by the next: a migration is never cut off half-way by a second attempt.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GROUP, Leftover, ReleaseCommand, ReleaseEdit, ReleaseLive, ReleaseSpec};
use crate::{
    clouds::{
        CloudError, Clouds, Trouble,
        fly::{NewMachine, wire},
    },
    kinds::{
        Drive, World,
        fly::{app::fly_name, workload::drive::secrets_version},
    },
    model::{Mark, Name},
};

/// What is read from a machine's marks.
fn label<'m>(machine: &'m wire::Machine, key: &str) -> Option<&'m str> {
    machine.config.get("metadata")?.get(key)?.as_str()
}

fn is_of(machine: &wire::Machine, release: &str) -> bool {
    label(machine, Mark::RELEASE) == Some(release)
}

/// The machines of release commands that we made in this app, newest first, those that are gone included.
async fn attempts(
    clouds: &Clouds,
    app: &str,
    mark: &Mark,
) -> Result<Vec<wire::Machine>, CloudError> {
    let mut all = clouds.fly.machines_ever(app).await?;
    all.retain(|machine| {
        label(machine, "fly_process_group") == Some(GROUP)
            && label(machine, Mark::PROJECT) == Some(&mark.project)
            && label(machine, Mark::ENVIRONMENT) == Some(&mark.environment)
    });
    Ok(all)
}

/// Waits until the command ends. One whose time is over is stopped.
async fn end(
    clouds: &Clouds,
    app: &str,
    id: &str,
    limit: Option<u64>,
) -> Result<wire::Machine, CloudError> {
    let ended = clouds
        .fly
        .wait_until_ended(app, id, limit, &clouds.voice)
        .await;
    if ended
        .as_ref()
        .is_err_and(|error| error.trouble == Trouble::Failed)
    {
        remove(clouds, app, id).await?;
    }
    ended
}

async fn remove(clouds: &Clouds, app: &str, id: &str) -> Result<(), CloudError> {
    match clouds.fly.destroy_machine(app, id).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Runs the command, unless it has already run for this release.
async fn run(clouds: &Clouds, spec: &ReleaseSpec, world: &World) -> Result<(), CloudError> {
    let app = fly_name(world, &spec.workload.app)?;
    let release = spec.release.as_deref().unwrap_or_default();
    // Of what an earlier run did only the last counts: another release may have come between.
    let mut ran = false;
    for (at, earlier) in attempts(clouds, app, &spec.workload.mark)
        .await?
        .into_iter()
        .enumerate()
    {
        let id = earlier.id.clone();
        let ended = if earlier.has_ended() {
            earlier
        } else {
            end(clouds, app, &id, spec.limit_secs).await?
        };
        ran |= at == 0 && is_of(&ended, release) && ended.exit_code() == Some(0);
        if !ended.is_gone() {
            remove(clouds, app, &id).await?;
        }
    }
    if ran {
        return Ok(());
    }
    let id = start(clouds, app, spec, release, world).await?;
    let ended = end(clouds, app, &id, spec.limit_secs).await?;
    if !ended.is_gone() {
        remove(clouds, app, &id).await?;
    }
    if ended.exit_code() == Some(0) {
        clouds.fly.tell_output(app, &ended, &clouds.voice).await;
        return Ok(());
    }
    let doing = format!("run the release command of {app} (machine {id})");
    Err(clouds.fly.failed_command(doing, app, &ended).await)
}

/// Makes the machine. After an answer that was lost it is looked for, since it may be running already.
async fn start(
    clouds: &Clouds,
    app: &str,
    spec: &ReleaseSpec,
    release: &str,
    world: &World,
) -> Result<String, CloudError> {
    let new = NewMachine {
        region: spec.workload.region.to_string(),
        config: body(spec, release),
        min_secrets_version: secrets_version(&spec.workload, world),
        ..NewMachine::default()
    };
    match clouds.fly.create_machine(app, &new).await {
        Err(error) if error.is_ambiguous() => {
            let all = attempts(clouds, app, &spec.workload.mark).await?;
            let mine = all
                .into_iter()
                .find(|attempt| is_of(attempt, release) && !attempt.has_ended());
            mine.map(|attempt| attempt.id).ok_or(error)
        }
        other => Ok(other?.id),
    }
}

/// The configuration of the machine: the app's, marked, that destroys itself and is in nobody's DNS.
fn body(spec: &ReleaseSpec, release: &str) -> Value {
    let mut body = spec.workload.first_body();
    let mut labels: BTreeMap<String, String> = spec.workload.marks();
    labels.remove(Mark::APPLIED);
    labels.insert("fly_process_group".to_owned(), GROUP.to_owned());
    labels.insert("fly_platform_version".to_owned(), "v2".to_owned());
    labels.insert(Mark::RELEASE.to_owned(), release.to_owned());
    body["metadata"] = json!(labels);
    body["auto_destroy"] = json!(true);
    body["dns"] = json!({ "skip_registration": true });
    body
}

/// Removes machines that an earlier run left. A command that still runs is waited for.
async fn sweep(clouds: &Clouds, app: &str, leftovers: &[Leftover]) -> Result<(), CloudError> {
    for Leftover { id, state: _ } in leftovers {
        let limit = Some(ReleaseSpec::DEFAULT_LIMIT_SECS);
        match clouds
            .fly
            .wait_until_ended(app, id, limit, &clouds.voice)
            .await
        {
            Err(error) if error.is_not_found() => {}
            Ok(ended) if ended.is_gone() => {}
            Ok(_) => remove(clouds, app, id).await?,
            // Nobody knows how long it may take, so it is not cut off.
            Err(error) if error.trouble == Trouble::Failed => {
                return Err(CloudError {
                    trouble: Trouble::Busy,
                    ..error
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Notes the success on a machine that is there, before any of them changes. That it cannot be noted is no reason not to
/// go on: the machines themselves will bear the release.
async fn note(clouds: &Clouds, app: &str, live: &ReleaseLive, release: &str) {
    let Some(witness) = &live.witness else { return };
    let label = BTreeMap::from([(Mark::RELEASED.to_owned(), release.to_owned())]);
    if let Err(error) = clouds.fly.set_metadata(app, witness, &label).await {
        tracing::warn!(%error, "the release command's success could not be noted");
    }
}

impl Drive for ReleaseCommand {
    async fn create(
        clouds: &Clouds,
        _: &Name,
        spec: &ReleaseSpec,
        world: &World,
    ) -> Result<ReleaseLive, CloudError> {
        run(clouds, spec, world).await?;
        let done = spec.release.iter().cloned().collect();
        Ok(ReleaseLive {
            app: spec.workload.app.clone(),
            done,
            witness: None,
            leftovers: Vec::new(),
        })
    }

    async fn edit(
        clouds: &Clouds,
        live: &ReleaseLive,
        edit: &ReleaseEdit,
        world: &World,
    ) -> Result<ReleaseLive, CloudError> {
        let app = fly_name(world, &live.app)?;
        let mut after = ReleaseLive {
            leftovers: Vec::new(),
            ..live.clone()
        };
        match edit {
            ReleaseEdit::Sweep(leftovers) => sweep(clouds, app, leftovers).await?,
            ReleaseEdit::Run(spec) => {
                run(clouds, spec, world).await?;
                note(
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

    async fn delete(clouds: &Clouds, live: &ReleaseLive, world: &World) -> Result<(), CloudError> {
        sweep(clouds, fly_name(world, &live.app)?, &live.leftovers).await
    }
}
