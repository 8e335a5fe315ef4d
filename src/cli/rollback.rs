//! `trimtab rollback`: machines back to an earlier release, from the versions that the platform keeps.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::{
    CommandContext, CommandError, confirm, exit,
    locking::{self, LockOutcome},
    progress,
    session::{Session, TargetArgs},
};
use crate::{
    clouds::{CloudError, fly::wire},
    kinds::{
        Kind as _, RolloutGroup, World,
        fly::{
            Cron, Machine,
            workload::{PreviousConfig, VersionHistory, WorkloadLive},
        },
    },
    manifest::SecretsMode,
    model::{Address, Image, Name, OwnershipMark, ResourceMap},
    plan::{Limits, Plan, PreviousState, PreviousStates, guard, is_selected, plan_rollback},
    render,
    status::EnvironmentStatus,
};

/// Take machines back to an earlier release: image, variables and configuration.
///
/// Fly keeps the versions that a machine had. Secrets keep their present values, and what a release command did stays
/// done. The manifest still asks for the newer release, so change it before the next apply.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    target: TargetArgs,
    /// The release to go back to, as `status` shows it, or a machine's version; the one before the present when absent
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Only these resources; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    only: Vec<Address>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    show: progress::ProgressArgs,
}

/// What is said before anybody agrees.
const NOT_ROLLED_BACK_NOTE: &str =
    "Secrets keep their present values, and what a release command did stays done.";

/// What is said afterwards.
pub(super) const MANIFEST_UNCHANGED_NOTE: &str =
    "The manifest still asks for the newer version: change it before the next apply.";

pub(super) async fn run(context: &CommandContext<'_>, args: &Rollback) -> Result<u8, CommandError> {
    let session = Session::open(context, &args.target, SecretsMode::Lenient, &[]).await?;
    let result = roll_back(context, args, &session).await;
    session.close().await;
    result
}

async fn roll_back(
    context: &CommandContext<'_>,
    args: &Rollback,
    session: &Session,
) -> Result<u8, CommandError> {
    let desired = &session.loaded.desired;
    let now = session.observe(context).await?;
    super::session::check_known_addresses(&args.only, desired, &now)?;
    let mut histories = read_histories(session, &now).await?;
    histories.retain_selected(&args.only);
    let before = choose_previous_state(&histories, args, &now)?;
    session.check_images_exist(before.images()).await?;
    let (plan, mut world) = narrow_plan(plan_rollback(desired, &now, &before)?, &args.only);
    if plan.is_empty() {
        args.show
            .print_message(context, "rollback", "Nothing to do: that is what runs.")?;
        return Ok(exit::OK);
    }
    if args.show.is_text() {
        let text = render::text::plan(
            &plan,
            &[],
            &session.headline("rollback"),
            &context.ui.stdout_options(),
        );
        context
            .ui
            .print(&format!("{text}\n{NOT_ROLLED_BACK_NOTE}"))?;
    }
    let all = plan.steps().map(|step| step.address.clone()).collect();
    let approved = guard(
        plan,
        &Limits {
            allow_destroy: all,
            destroy_all: true,
            max_destroy: 100,
        },
    )?;
    confirm::confirm(context, args.yes, "Go back to this?")?;
    if locking::acquire_lock(context, session, &world, &args.show, "rollback").await?
        != LockOutcome::NoLock
    {
        // Under the lock nobody else writes any more; until then somebody may have, while the question stood.
        let now = session.observe(context).await?;
        let (again, seen) = narrow_plan(plan_rollback(desired, &now, &before)?, &args.only);
        if again.id() != approved.plan().id() {
            return Err(CommandError::new(
                "somebody else was at work here meanwhile; nothing was changed",
            )
            .with_hint("look what runs now: run the same command again"));
        }
        world = seen;
    }
    let work = progress::ApplyJob {
        session,
        approved: &approved,
        world,
        command: "rollback",
    };
    let report = progress::apply_with_progress(context, &args.show, work).await;
    if args.show.is_text() {
        let look = context.ui.stdout_options();
        let fleet = EnvironmentStatus::from_world(desired, &session.observe(context).await?);
        let (ended, versions) = (
            render::text::report(&report, &look),
            render::text::versions(&fleet, &look),
        );
        context
            .ui
            .print(&format!("{ended}\nWhat runs now:\n{versions}"))?;
        context.ui.eprint(MANIFEST_UNCHANGED_NOTE);
    }
    Ok(if report.is_complete() {
        exit::OK
    } else {
        exit::INCOMPLETE
    })
}

/// What of it the user has asked for.
fn narrow_plan((plan, world): (Plan, World), only: &[Address]) -> (Plan, World) {
    (
        if only.is_empty() {
            plan
        } else {
            plan.only(only)
        },
        world,
    )
}

/// What is known of the past of each machine, by name.
#[derive(Default)]
struct MachineHistories {
    machines: ResourceMap<VersionHistory>,
    crons: ResourceMap<VersionHistory>,
}

impl MachineHistories {
    /// Forgets what nobody has asked for.
    fn retain_selected(&mut self, only: &[Address]) {
        if !only.is_empty() {
            self.machines
                .retain(|name, _| is_selected(&Address::new::<Machine>(name), only));
            self.crons
                .retain(|name, _| is_selected(&Address::new::<Cron>(name), only));
        }
    }
}

/// Reads the versions of every machine, all at once, and what Fly still knows of machines that are gone.
async fn read_histories(
    session: &Session,
    world: &World,
) -> Result<MachineHistories, CommandError> {
    let reader = &session.readers.fly;
    let gone = world.fly_app.iter().map(|(key, app)| async move {
        Ok::<_, CloudError>((
            key.clone(),
            reader.list_machines_with_deleted(&app.name).await?,
        ))
    });
    let gone: BTreeMap<Name, Vec<_>> = try_join_all(gone).await?.into_iter().collect();
    let of = |name: &Name, live: &WorkloadLive, waiting: Option<&WorkloadLive>| {
        let (name, id, key) = (name.clone(), live.id.clone(), name.root());
        // A successor that waits is the newest that there is, and going back means to go without it.
        let waiting = waiting.map(|green| (green.version.clone(), green.raw.clone()));
        let app = world
            .fly_app
            .get(&key)
            .map(|app| app.name.clone())
            .unwrap_or_default();
        let predecessors = gone.get(&key).map(Vec::as_slice).unwrap_or_default();
        async move {
            let versions = reader.list_machine_versions(&app, &id).await?;
            let before = predecessor_configs(&versions, predecessors);
            let own = versions.into_iter().map(
                |wire::MachineVersion {
                     version,
                     user_config,
                 }| (version, user_config),
            );
            let all = waiting.into_iter().chain(own).chain(before);
            Ok::<_, CloudError>((name.clone(), VersionHistory::new(all)))
        }
    };
    // Of a machine whose host cannot be reached nothing can be said, and nothing changed.
    let machines = world
        .fly_machine
        .iter()
        .filter(|(_, live)| live.workload.health.host_ok);
    let machines = machines.map(|(name, live)| of(name, &live.workload, live.successor.as_deref()));
    let crons = world
        .fly_cron
        .iter()
        .filter(|(_, live)| live.workload.health.host_ok);
    let crons = crons.map(|(name, live)| of(name, &live.workload, None));
    let (machines, crons) = tokio::try_join!(try_join_all(machines), try_join_all(crons))?;
    Ok(MachineHistories {
        machines: machines.into_iter().collect(),
        crons: crons.into_iter().collect(),
    })
}

/// What is known of the machines whose place a machine took, one after the other. A machine that was to take its place and
/// never did, or that gave it back, is not among them.
fn predecessor_configs(
    versions: &[wire::MachineVersion],
    all: &[wire::MachineResponse],
) -> Vec<(String, Value)> {
    let mut configs = versions.iter().rev().map(|version| &version.user_config);
    let mut succeeds = configs.find_map(predecessor_id);
    let mut line = Vec::new();
    while let Some(machine) = succeeds.and_then(|id| all.iter().find(|machine| machine.id == id)) {
        line.push((machine.instance_id.clone(), machine.config.clone()));
        // Marks that lead in a circle are nobody's past.
        succeeds = predecessor_id(&machine.config).filter(|_| line.len() <= all.len());
    }
    line
}

fn predecessor_id(config: &Value) -> Option<&str> {
    config
        .get("metadata")?
        .get(OwnershipMark::SUCCEEDS_KEY)?
        .as_str()
}

/// What each machine goes back to.
fn choose_previous_state(
    histories: &MachineHistories,
    args: &Rollback,
    now: &World,
) -> Result<PreviousStates, CommandError> {
    let to = args.to.as_deref();
    let mut apps: BTreeMap<Name, Vec<&VersionHistory>> = BTreeMap::new();
    for (name, history) in histories.machines.iter().chain(&histories.crons) {
        apps.entry(name.root()).or_default().push(history);
    }
    let targets: BTreeMap<&Name, String> = apps
        .iter()
        .filter_map(|(app, all)| Some((app, VersionHistory::rollback_target(all, to)?)))
        .collect();
    if targets.is_empty() {
        return Err(no_release_error(&apps, to));
    }
    if let ([first, _, ..], true, None) = (
        &*targets.keys().collect::<Vec<_>>(),
        args.only.is_empty(),
        to,
    ) {
        let names: Vec<&str> = targets.keys().map(|app| app.as_str()).collect();
        return Err(CommandError::new(format!(
            "each of {} would go back to a release of its own",
            names.join(", ")
        ))
        .with_hint(format!(
            "say which: --only fly.app/{first}; it can be said more than once"
        )));
    }
    let lane = |name: &Name| Machine::rollout_group(name);
    let mut groups: BTreeMap<Option<RolloutGroup>, PreviousConfig> = BTreeMap::new();
    for (name, history) in &histories.machines {
        if let Some(earlier) = targets
            .get(&name.root())
            .and_then(|target| history.config_in_release(target))
        {
            groups.entry(lane(name)).or_insert(earlier);
        }
    }
    let pick = |name: &Name, history: &VersionHistory| {
        history.config_in_release(targets.get(&name.root())?)
    };
    // One that was not there yet becomes what the others of its group were.
    let pick_machine = |name: &Name, history: &VersionHistory| {
        pick(name, history).or_else(|| groups.get(&lane(name)).cloned())
    };
    // A machine that has given way in a rollout that did not end is still there, and takes over again.
    let old = |name: &Name| {
        let id = now.fly_machine.get(name)?.workload.predecessor_id()?;
        let (old, live) = now
            .fly_machine
            .iter()
            .find(|(_, live)| live.workload.id == id)?;
        let target = targets.get(&name.root())?;
        let same = PreviousConfig::from_live(&live.workload)
            .metadata_value(OwnershipMark::RELEASE_KEY)
            == Some(target);
        (same && live.workload.health.cordoned && old != name)
            .then(|| PreviousState::OtherMachine(id.to_owned()))
    };
    let was = |name: &Name, history: &VersionHistory| {
        old(name).or_else(|| Some(PreviousState::Config(pick_machine(name, history)?)))
    };
    let machines = histories.machines.iter();
    let machines = machines.filter_map(|(name, history)| Some((name.clone(), was(name, history)?)));
    let crons = histories.crons.iter();
    let crons = crons.filter_map(|(name, history)| Some((name.clone(), pick(name, history)?)));
    Ok(PreviousStates {
        machines: machines.collect(),
        crons: crons.collect(),
    })
}

/// There is no such release, or none before the present one.
fn no_release_error(apps: &BTreeMap<Name, Vec<&VersionHistory>>, to: Option<&str>) -> CommandError {
    let known: BTreeSet<String> = apps
        .values()
        .flatten()
        .flat_map(|history| history.releases())
        .collect();
    let known: Vec<String> = known.into_iter().collect();
    match to {
        Some(to) => CommandError::new(format!(
            "no machine has ever run `{to}`, as far as Fly still knows"
        ))
        .with_hint(if known.is_empty() {
            "no machine remembers a release".to_owned()
        } else {
            format!("these are known: {}", known.join(", "))
        }),
        None => CommandError::new("there is no earlier release to go back to")
            .with_hint("name the image instead: trimtab apply ENV --image APP=REFERENCE"),
    }
}

impl PreviousStates {
    /// The images that machines go back to.
    fn images(&self) -> BTreeSet<Image> {
        let machines = self.machines.values().filter_map(|was| match was {
            PreviousState::Config(earlier) => earlier.image(),
            PreviousState::OtherMachine(_) | PreviousState::Absent | PreviousState::Uncordoned => {
                None
            }
        });
        machines
            .chain(self.crons.values().filter_map(PreviousConfig::image))
            .collect()
    }
}
