//! The calls of a release command. Its machine destroys itself when the command ends, and one that a killed run left is
//! waited for or removed by the next: a migration is never cut off half-way by a second attempt.

use std::{collections::BTreeMap, time::Duration};

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

/// How often a running command is looked at. Fly allows five such looks a second; nobody waits for a migration that
/// closely.
const LOOK: Duration = Duration::from_secs(1);

/// One machine of a release command and what became of it.
struct Attempt {
    machine: wire::Machine,
}

impl Attempt {
    fn label(&self, key: &str) -> Option<&str> {
        self.machine.config.get("metadata")?.get(key)?.as_str()
    }

    fn is_ours(&self, mark: &Mark) -> bool {
        self.label("fly_process_group") == Some(GROUP)
            && self.label(Mark::PROJECT) == Some(&mark.project)
            && self.label(Mark::ENVIRONMENT) == Some(&mark.environment)
    }

    fn is_of(&self, release: &str) -> bool {
        self.label(Mark::RELEASE) == Some(release)
    }

    fn is_gone(&self) -> bool {
        matches!(self.machine.state.as_str(), "destroyed" | "destroying")
    }

    /// How the command ended, if it has.
    fn exit_code(&self) -> Option<i64> {
        let newest = |kind: &str| self.machine.events.iter().find(|event| event.kind == kind);
        let exit = newest("exit")?;
        let began = newest("start").map_or(0, |start| start.timestamp);
        let code = exit.exit()?.get("exit_code")?.as_i64()?;
        (exit.timestamp >= began).then_some(code)
    }

    /// Whether nothing more will happen by itself.
    fn has_ended(&self) -> bool {
        let rests =
            matches!(self.machine.state.as_str(), "stopped" | "failed" | "suspended" | "launch_failed");
        self.is_gone() || rests && self.exit_code().is_some()
    }
}

/// The machines of release commands that we made in this app, newest first, those that are gone included.
async fn attempts(clouds: &Clouds, app: &str, mark: &Mark) -> Result<Vec<Attempt>, CloudError> {
    let mut all = clouds.fly.machines_ever(app).await?;
    all.sort_by(|a, b| (&b.created_at, &b.id).cmp(&(&a.created_at, &a.id)));
    let all = all.into_iter().map(|machine| Attempt { machine });
    Ok(all.filter(|attempt| attempt.is_ours(mark)).collect())
}

/// Waits until the command ends, or its time is over.
async fn end(clouds: &Clouds, app: &str, id: &str, limit: Option<u64>) -> Result<Attempt, CloudError> {
    let deadline = limit.map(|limit| (limit, clouds.fly.deadline(limit)));
    loop {
        let attempt = Attempt { machine: clouds.fly.machine(app, id).await? };
        clouds.voice.say(&attempt.machine);
        if attempt.has_ended() {
            return Ok(attempt);
        }
        if let Some((limit, _)) = deadline.filter(|(_, deadline)| deadline.left_secs() == 0) {
            clouds.fly.destroy_machine(app, id).await?;
            let what = format!("it has not ended within {limit} seconds, and was stopped");
            return Err(failed(clouds, app, id, what).await);
        }
        clouds.fly.rest(LOOK).await;
    }
}

/// The error of a command that did not succeed, with the last lines it wrote.
async fn failed(clouds: &Clouds, app: &str, id: &str, what: String) -> CloudError {
    let said = clouds.fly.last_words(app, id).await;
    let doing = format!("run the release command of {app} (machine {id})");
    CloudError::new(doing, Trouble::Failed, format!("{what}{said}; the running machines are as they were"))
}

/// Runs the command, unless it has already run for this release.
async fn run(clouds: &Clouds, spec: &ReleaseSpec, world: &World) -> Result<(), CloudError> {
    let app = fly_name(world, &spec.workload.app)?;
    let release = spec.release.as_deref().unwrap_or_default();
    // Of what an earlier run did only the last counts: another release may have come between.
    let mut ran = false;
    for (at, earlier) in attempts(clouds, app, &spec.workload.mark).await?.into_iter().enumerate() {
        let id = earlier.machine.id.clone();
        let ended =
            if earlier.has_ended() { earlier } else { end(clouds, app, &id, spec.limit_secs).await? };
        ran |= at == 0 && ended.is_of(release) && ended.exit_code() == Some(0);
        if !ended.is_gone() {
            clouds.fly.destroy_machine(app, &id).await?;
        }
    }
    if ran {
        return Ok(());
    }
    let id = start(clouds, app, spec, release, world).await?;
    let attempt = end(clouds, app, &id, spec.limit_secs).await?;
    if !attempt.is_gone() {
        clouds.fly.destroy_machine(app, &id).await?;
    }
    match attempt.exit_code() {
        Some(0) => Ok(()),
        Some(_) => {
            let what = crate::clouds::fly::explain(&attempt.machine);
            Err(failed(clouds, app, &id, what).await)
        }
        None => Err(failed(clouds, app, &id, "nobody can tell how it ended".to_owned()).await),
    }
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
            let mine = all.into_iter().find(|attempt| attempt.is_of(release) && !attempt.has_ended());
            mine.map(|attempt| attempt.machine.id).ok_or(error)
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
        let ended = match end(clouds, app, id, Some(ReleaseSpec::DEFAULT_LIMIT_SECS)).await {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        if !ended.is_gone() {
            clouds.fly.destroy_machine(app, id).await?;
        }
    }
    Ok(())
}

/// Notes the success on a machine that is there, before any of them changes.
async fn note(clouds: &Clouds, app: &str, live: &ReleaseLive, release: &str) -> Result<(), CloudError> {
    let Some(witness) = &live.witness else { return Ok(()) };
    let label = BTreeMap::from([(Mark::RELEASED.to_owned(), release.to_owned())]);
    match clouds.fly.set_metadata(app, witness, &label).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
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
        let (app, current) = (spec.workload.app.clone(), spec.release.clone());
        Ok(ReleaseLive {
            app,
            done: current.iter().cloned().collect(),
            current,
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
        let mut after = ReleaseLive { leftovers: Vec::new(), ..live.clone() };
        match edit {
            ReleaseEdit::Sweep(leftovers) => sweep(clouds, app, leftovers).await?,
            ReleaseEdit::Run(spec) => {
                run(clouds, spec, world).await?;
                note(clouds, app, live, spec.release.as_deref().unwrap_or_default()).await?;
                after.current.clone_from(&spec.release);
                after.done.extend(spec.release.clone());
            }
        }
        Ok(after)
    }

    async fn delete(clouds: &Clouds, live: &ReleaseLive, world: &World) -> Result<(), CloudError> {
        sweep(clouds, fly_name(world, &live.app)?, &live.leftovers).await
    }
}
