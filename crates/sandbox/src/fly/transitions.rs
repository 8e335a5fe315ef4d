//! State transitions that happen without a request: boots, exits, restarts, destruction and
//! schedules.
//!
//! Nothing runs in the background. Each machine stores its next transition and when it is due, and
//! every request first applies the transitions that are due by now. A restart of the sandbox
//! therefore changes nothing.

use std::collections::BTreeMap;

use super::behaviour::{ProgramBehaviour, Rule, SimulatedExit};
use super::console;
use super::machine::{Machine, MachineState, MachineTransition};
use super::postgres;
use crate::world::{App, SimulatedWorld, Volume};

/// How long a new machine is `created` before its host begins to boot it.
pub(crate) const BOOT_DELAY_MS: i64 = 200;
/// How long a boot takes: about a second on Fly, when the image is already on the host.
pub(crate) const BOOT_MS: i64 = 800;
/// How long after the start the first check results are available; until then checks are critical.
pub(crate) const FIRST_CHECK_MS: i64 = 1_000;
/// How long a machine created with `skip_launch` takes to be prepared (image pulled, root file
/// system created); then it is `stopped`.
pub(crate) const PREPARE_MS: i64 = 500;
/// How long a program takes to exit after its stop signal.
pub(crate) const STOP_MS: i64 = 500;
/// How long it takes to write the memory snapshot of a suspension.
pub(crate) const SUSPEND_MS: i64 = 500;
/// How long it takes to replace the old version by the new one, including [`STOP_MS`] if it ran.
pub(crate) const REPLACE_MS: i64 = 700;
/// How long it takes to destroy a machine.
pub(crate) const DESTROY_MS: i64 = 500;
/// The default number of restarts after failures
/// (fly.io/docs/machines/guides-examples/machine-restart-policy).
const DEFAULT_MAX_RETRIES: u64 = 10;
/// The most transitions that one request applies to one machine: a program that exits at once under
/// restart policy `always` restarts forever.
const MAX_TRANSITIONS: usize = 10_000;

/// Applies all transitions that are due by `now_ms`.
pub(crate) fn apply_due(world: &mut SimulatedWorld) {
    let now = world.now_ms;
    for app in world.apps.values_mut() {
        if apply_due_in_app(app, &world.global.rules, now) {
            world.dirty_apps.insert(app.name.clone());
        }
    }
}

/// When the next machine transition is due.
pub(crate) fn next_due_ms(world: &SimulatedWorld) -> Option<i64> {
    let machines = world.apps.values().flat_map(|app| app.machines.values());
    machines
        .filter_map(|machine| machine.due.map(|due| due.at_ms))
        .min()
}

/// Returns whether anything changed.
fn apply_due_in_app(app: &mut App, rules: &[Rule], now: i64) -> bool {
    let mut changed = false;
    let mut applied: BTreeMap<String, usize> = BTreeMap::new();
    // One transition may schedule the next one, which may be due as well: a machine whose clock jumps
    // ahead boots, exits and restarts several times in one call. Those of all machines are applied in
    // the order of their times, because the nodes of a Postgres cluster find each other.
    while let Some((at, id)) = next_due_in_app(app, now, &applied) {
        *applied.entry(id.clone()).or_default() += 1;
        apply_due_to_machine(app, rules, &id, at);
        changed = true;
    }
    for machine in app.machines.values() {
        // Volumes outlive their machine.
        if machine.state == MachineState::Destroyed {
            changed |= detach_volumes(&mut app.volumes.values_mut(), &machine.id, now);
        }
    }
    for volume in app.volumes.values_mut() {
        changed |= apply_due_to_volume(volume, now);
    }
    changed
}

/// The machine whose transition is due first, unless it has had too many.
fn next_due_in_app(
    app: &App,
    now: i64,
    applied: &BTreeMap<String, usize>,
) -> Option<(i64, String)> {
    let count = |id: &str| applied.get(id).copied().unwrap_or(0);
    let due = app.machines.values().filter_map(|machine| {
        let at = machine.due.map(|due| due.at_ms).filter(|at| *at <= now)?;
        (count(&machine.id) < MAX_TRANSITIONS).then_some((at, &machine.id))
    });
    due.min().map(|(at, id)| (at, id.clone()))
}

fn apply_due_to_machine(app: &mut App, rules: &[Rule], id: &str, at: i64) {
    // Taken out, because what a node does depends on the other machines.
    let Some(mut machine) = app.machines.remove(id) else {
        return;
    };
    // Cleared first, because applying it may set the next one. It happens at the time it was due, not
    // now, so timestamps do not depend on when a request arrives.
    if let Some(due) = machine.due.take() {
        let behaviour = ProgramBehaviour::for_machine(rules, &app.name, &machine);
        apply_transition(&mut machine, &behaviour, at, due.step);
        if let Some(exit) = postgres::after_transition(app, &mut machine, at, due.step) {
            on_exited(&mut machine, &behaviour, at, exit);
            postgres::after_stop(app, &mut machine);
        }
    }
    app.machines.insert(id.to_owned(), machine);
    postgres::replicate(app);
}

fn detach_volumes(volumes: &mut dyn Iterator<Item = &mut Volume>, machine: &str, now: i64) -> bool {
    let mut changed = false;
    for volume in volumes.filter(|volume| volume.attached.as_deref() == Some(machine)) {
        volume.attached = None;
        volume.updated_ms = now;
        changed = true;
    }
    changed
}

fn apply_due_to_volume(volume: &mut Volume, now: i64) -> bool {
    match volume.due.take_if(|(at, _)| *at <= now) {
        Some((at, state)) => {
            volume.state = state;
            volume.updated_ms = at;
            true
        }
        None => false,
    }
}

fn apply_transition(
    machine: &mut Machine,
    behaviour: &ProgramBehaviour,
    at: i64,
    transition: MachineTransition,
) {
    match transition {
        MachineTransition::Prepared => {
            machine.enter_state(MachineState::Stopped, at, "launch", "flyd");
        }
        MachineTransition::Boot => begin_boot(machine, behaviour, at, "flyd"),
        MachineTransition::Started => on_started(machine, behaviour, at),
        MachineTransition::Exit(exit) => on_exited(machine, behaviour, at, exit),
        MachineTransition::Stopped => {
            console::log_stop_signal(machine, at);
            console::log_exit(machine, SimulatedExit::CLEAN, at);
            machine.record_exit(SimulatedExit::CLEAN, true, false, at);
            finish_run(machine, at);
        }
        MachineTransition::Restarted => {
            console::log_stop_signal(machine, at);
            console::log_exit(machine, SimulatedExit::CLEAN, at);
            machine.record_exit(SimulatedExit::CLEAN, true, true, at);
            schedule_start(machine, behaviour, at);
        }
        MachineTransition::Suspended => {
            machine.enter_state(MachineState::Suspended, at, "suspend", "flyd");
        }
        MachineTransition::OldVersionStopped { launch } => {
            console::log_exit(machine, SimulatedExit::CLEAN, at);
            machine.record_exit_event(SimulatedExit::CLEAN, true, false, at);
            let replaced = MachineTransition::Replaced { launch };
            machine.schedule_transition(at + REPLACE_MS - STOP_MS, replaced);
        }
        MachineTransition::Replaced { launch } => {
            // Clients count the uptime of a machine from its newest `start` after its newest `launch`
            // and `exit`. Without these two they would count from the start of the old version.
            machine.record_event("update", "replaced", "flyd", at, None);
            machine.record_event("launch", "created", "user", at, None);
            if launch {
                begin_boot(machine, behaviour, at, "flyd");
            } else {
                machine.enter_state(MachineState::Stopped, at, "update", "flyd");
                schedule_next_run(machine, at);
            }
        }
        MachineTransition::Destroyed => {
            machine.enter_state(MachineState::Destroyed, at, "destroy", "flyd");
            machine.lease = None;
        }
        // The program decides, with the rest of its cluster.
        MachineTransition::Postgres => {}
        MachineTransition::Scheduled => {
            // A `wait` for this run must not be satisfied by states of the run before.
            machine.reset_transitions();
            begin_boot(machine, behaviour, at, "flyd");
        }
    }
}

/// Begins to boot a machine.
pub(crate) fn begin_boot(
    machine: &mut Machine,
    behaviour: &ProgramBehaviour,
    at: i64,
    source: &str,
) {
    machine.enter_state(MachineState::Starting, at, "start", source);
    schedule_start(machine, behaviour, at);
}

fn schedule_start(machine: &mut Machine, behaviour: &ProgramBehaviour, at: i64) {
    console::log_boot(machine, at);
    let started_at = at.saturating_add(behaviour.boot_ms.unwrap_or(BOOT_MS).max(1));
    // A program that exits immediately never lets the machine become `started`.
    match behaviour.planned_exit() {
        Some((0, exit)) => machine.schedule_transition(started_at, MachineTransition::Exit(exit)),
        _ => machine.schedule_transition(started_at, MachineTransition::Started),
    }
}

fn on_started(machine: &mut Machine, behaviour: &ProgramBehaviour, at: i64) {
    machine.enter_state(MachineState::Started, at, "start", "flyd");
    console::log_program_output(machine, behaviour, at);
    machine.started_ms = Some(at);
    machine.first_run_ms.get_or_insert(at);
    if let Some((after, exit)) = behaviour.planned_exit() {
        machine.schedule_transition(at.saturating_add(after), MachineTransition::Exit(exit));
    }
}

fn on_exited(machine: &mut Machine, behaviour: &ProgramBehaviour, at: i64, exit: SimulatedExit) {
    machine.first_run_ms.get_or_insert(at);
    // A program that exits before the machine is `started` still ran, and printed its output.
    if machine.state != MachineState::Started {
        console::log_program_output(machine, behaviour, at);
    }
    console::log_exit(machine, exit, at);
    if should_restart(machine, exit) {
        machine.restart_count += 1;
        machine.record_exit(exit, false, true, at);
        schedule_start(machine, behaviour, at);
    } else {
        if exit.code != 0 && machine.restart_policy() != "no" {
            console::log_max_restarts(machine, at);
        }
        machine.record_exit(exit, false, false, at);
        finish_run(machine, at);
    }
}

fn should_restart(machine: &Machine, exit: SimulatedExit) -> bool {
    let retries = machine
        .config
        .get("restart")
        .and_then(|restart| restart.get("max_retries")?.as_u64());
    match machine.restart_policy() {
        "always" => true,
        "no" => false,
        // `on-failure`, which is also the default.
        _ => exit.code != 0 && machine.restart_count < retries.unwrap_or(DEFAULT_MAX_RETRIES),
    }
}

/// After the final exit of a program: a machine with `auto_destroy` is destroyed, one with a
/// schedule gets its next run.
fn finish_run(machine: &mut Machine, at: i64) {
    if machine.is_auto_destroyed() {
        machine.enter_state(MachineState::Destroying, at, "destroy", "flyd");
        machine.schedule_transition(at + DESTROY_MS, MachineTransition::Destroyed);
    } else {
        schedule_next_run(machine, at);
    }
}

/// Runs happen once per period, counted from the first start. A machine that was never started has
/// no schedule yet.
fn schedule_next_run(machine: &mut Machine, at: i64) {
    let Some(first) = machine.first_run_ms else {
        return;
    };
    let Some(period) = machine.schedule().and_then(period_ms) else {
        return;
    };
    // The first point of the schedule after `at`; points that passed during a long run are skipped.
    let runs = (at - first).div_euclid(period) + 1;
    machine.schedule_transition(first + runs * period, MachineTransition::Scheduled);
}

/// The periods are approximate on Fly; the sandbox takes them literally, with a month of thirty
/// days.
fn period_ms(schedule: &str) -> Option<i64> {
    const HOUR: i64 = 3_600_000;
    match schedule {
        "hourly" => Some(HOUR),
        "daily" => Some(24 * HOUR),
        "weekly" => Some(7 * 24 * HOUR),
        "monthly" => Some(30 * 24 * HOUR),
        _ => None,
    }
}
