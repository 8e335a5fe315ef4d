//! After an apply whose rollout failed: the rollback, where the manifest asks for it, and what the user can do next.

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, Frontend, OperationError, rollback::states_before_failure, run::Run};
use crate::{
    apply::{ApplyReport, Outcome, event::StepReport},
    kinds::{KindInfo, Phase, World, fly::workload::WorkloadLive},
    model::{Name, resources_in_app},
    plan::{Action, Limits, PreviousStates, guard, plan_rollback},
    status::EnvironmentStatus,
};

/// Rolls back the apps whose manifest asks for it, and shows what runs now and what can be done.
pub(super) async fn recover<F: Frontend>(
    run: &Run<'_, F>,
    report: &ApplyReport,
    before: &World,
) -> Result<(), OperationError> {
    if !report.outcomes.iter().any(is_rollout_step) {
        return Ok(());
    }
    let desired = run.workspace.desired();
    let apps = apps_to_roll_back(run, report);
    let mut now = run.observe().await?;
    let mut changed = changed_apps(run, before, &now);
    let suspects = suspect_releases(before, &now, &apps);
    let rolls_back = apps
        .iter()
        .any(|app| changed.contains(app) || suspects.contains_key(app));
    if rolls_back {
        let states = run
            .read(states_to_restore(run, before, &now, &apps, &suspects))
            .await?;
        let complete = roll_back(run, &now, &apps, &states).await?;
        now = run.observe().await?;
        changed = changed_apps(run, before, &now);
        // What was rolled back in full needs no further rollback, even where a version number differs.
        changed.retain(|app| !complete || !apps.contains(app));
    } else if !apps.is_empty() {
        run.frontend.notify(Event::NothingToRollBack);
    }
    // Old machines that are still there can take over again, whichever run it was that cordoned them.
    let retired = now.fly_machine.iter().filter(|(_, live)| live.retired);
    changed.extend(retired.map(|(name, _)| name.root()));
    let selectors: String = match desired.fly_app.len() {
        1 => String::new(),
        _ => changed
            .iter()
            .map(|app| format!(" --only fly.app/{app}"))
            .collect(),
    };
    run.frontend.notify(Event::RolloutFailed {
        status: &EnvironmentStatus::from_world(desired, &now),
        rollback: (!changed.is_empty()).then_some(selectors.as_str()),
        rolled_back: rolls_back,
    });
    Ok(())
}

/// The apps whose rollout failed and whose manifest says `on_failure = "rollback"`.
fn apps_to_roll_back<F: Frontend>(run: &Run<'_, F>, report: &ApplyReport) -> BTreeSet<Name> {
    // Without the lock, what is live may be another run's by now.
    if report.lost.is_some() {
        return BTreeSet::new();
    }
    let wanted = &run.workspace.desired().meta.rollback_on_failure;
    let steps = report.outcomes.iter().filter(|step| is_rollout_step(step));
    steps
        .filter(|step| matches!(step.outcome, Outcome::Failed(_)))
        .map(|step| step.address.name().root())
        .filter(|app| wanted.contains(app))
        .collect()
}

/// The apps in which machines are other than they were.
fn changed_apps<F: Frontend>(run: &Run<'_, F>, before: &World, now: &World) -> BTreeSet<Name> {
    let desired = run.workspace.desired();
    let all = desired.fly_app.keys().cloned().collect();
    let states = PreviousStates::from_worlds(desired, before, now, &all);
    let names = states.machines.keys().chain(states.crons.keys());
    names.map(Name::root).collect()
}

/// The releases that an earlier run began and did not confirm, by app, together with those that this run has added. An interrupted run
/// leaves machines on them, and this run found them there, so what it found is nothing to go back to.
fn suspect_releases(
    before: &World,
    now: &World,
    apps: &BTreeSet<Name>,
) -> BTreeMap<Name, BTreeSet<String>> {
    let releases = |world: &World, app: &Name, is_included: fn(&WorkloadLive) -> bool| {
        let machines = resources_in_app(&world.fly_machine, app).map(|(_, live)| &live.workload);
        let releases = machines.filter(|live| is_included(live));
        releases
            .filter_map(|live| live.release().map(str::to_owned))
            .collect::<BTreeSet<String>>()
    };
    // What a rollback has started is the way back, not a new release.
    let is_suspect = |live: &WorkloadLive| {
        let is_unconfirmed = live.is_start_unconfirmed() || live.is_unverified();
        is_unconfirmed && !live.is_rollback_unconfirmed()
    };
    let mut suspects = BTreeMap::new();
    for app in apps {
        let found = releases(before, app, is_suspect);
        if found.is_empty() {
            continue;
        }
        let present = releases(before, app, |_| true);
        let added = releases(now, app, |_| true);
        let added = added.difference(&present).cloned();
        suspects.insert(app.clone(), found.iter().cloned().chain(added).collect());
    }
    suspects
}

/// What the machines of these apps go back to: what they were when this run began, or the newest release before the suspects.
async fn states_to_restore<F: Frontend>(
    run: &Run<'_, F>,
    before: &World,
    now: &World,
    apps: &BTreeSet<Name>,
    suspects: &BTreeMap<Name, BTreeSet<String>>,
) -> Result<PreviousStates, OperationError> {
    let desired = run.workspace.desired();
    let mut states = PreviousStates::from_worlds(desired, before, now, apps);
    if suspects.is_empty() {
        return Ok(states);
    }
    let earlier = states_before_failure(run.workspace, now, suspects).await?;
    let replaced: BTreeSet<Name> = earlier.machines.keys().map(Name::root).collect();
    states
        .machines
        .retain(|name, _| !replaced.contains(&name.root()));
    states
        .crons
        .retain(|name, _| !replaced.contains(&name.root()));
    states.machines.extend(earlier.machines);
    states.crons.extend(earlier.crons);
    states.left_out.extend(earlier.left_out);
    Ok(states)
}

/// Plans and executes the rollback of these apps to these states. Returns whether all of it is done.
async fn roll_back<F: Frontend>(
    run: &Run<'_, F>,
    now: &World,
    apps: &BTreeSet<Name>,
    states: &PreviousStates,
) -> Result<bool, OperationError> {
    let desired = run.workspace.desired();
    let (mut plan, world) = plan_rollback(desired, now, states)?;
    // What is blocked in other apps is not in the way of this rollback.
    plan.blocked
        .retain(|blocked| apps.contains(&blocked.address.name().root()));
    if plan.is_empty() {
        return Ok(true);
    }
    let names: Vec<&Name> = apps.iter().collect();
    run.frontend.notify(Event::RollingBack {
        apps: &names,
        plan: &plan,
    });
    let limits = Limits {
        allow_destroy: plan.steps().map(|step| step.address.clone()).collect(),
        destroy_all: true,
        max_destroy: 100,
    };
    let approved = guard(plan, &limits).map_err(OperationError::Refused)?;
    let report = run.execute_rollback(&approved, world).await;
    run.frontend.notify(Event::RolledBack(&report));
    Ok(report.is_complete() && !approved.plan().is_incomplete())
}

/// Whether a step belongs to a rollout, or verifies it. A failed removal, cron machine or address says nothing against the
/// new version.
fn is_rollout_step(step: &StepReport) -> bool {
    let removes = matches!(step.action, Action::Retire | Action::Delete);
    let kind = KindInfo::lookup(&step.address);
    let is_rolled_out = kind.is_some_and(|kind| kind.phase == Phase::Rollout);
    step.action == Action::Verify || is_rolled_out && !removes
}
