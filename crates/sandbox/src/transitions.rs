//! What happens by itself: boots, exits, restarts, destructions and schedules.
//!
//! Nothing runs in the background. Each machine stores its next step with a moment, and every request first catches
//! up with the clock. A restart of the sandbox therefore changes nothing.

use super::behaviour::{ProgramBehaviour, Rule, SimulatedExit};
use super::console;
use super::machine::{Machine, MachineState, MachineTransition};
use super::world::{App, SimulatedWorld, Volume};

/// A machine is `created` for a moment before its host begins to boot it.
pub(crate) const BOOT_DELAY_MS: i64 = 200;
/// A boot takes about a second on Fly: the image is already on the host.
pub(crate) const BOOT_MS: i64 = 800;
/// The first health check runs soon after the start; until then nothing is known to be well.
pub(crate) const FIRST_CHECK_MS: i64 = 1_000;
/// A machine that is not launched is prepared (image pulled, root file system made) and then shown as stopped.
pub(crate) const PREPARE_MS: i64 = 500;
/// A well-behaved program ends soon after its signal.
pub(crate) const STOP_MS: i64 = 500;
/// Writing a snapshot of the memory.
pub(crate) const SUSPEND_MS: i64 = 500;
/// Replacing the old version by the new one.
pub(crate) const REPLACE_MS: i64 = 700;
/// Destroying a machine.
pub(crate) const DESTROY_MS: i64 = 500;
/// The default number of restarts after failures (fly.io/docs/machines/guides-examples/machine-restart-policy).
const DEFAULT_MAX_RETRIES: u64 = 10;
/// A program that ends at once under `always` restarts for ever; one request follows it only so far.
const MAX_TRANSITIONS: usize = 10_000;

/// Catches up with the clock.
pub(crate) fn apply_due(world: &mut SimulatedWorld) {
    let now = world.now_ms;
    for app in world.apps.values_mut() {
        if apply_due_in_app(app, &world.global.rules, now) {
            world.dirty_apps.insert(app.name.clone());
        }
    }
}

/// The next moment at which something happens by itself.
pub(crate) fn next_due_ms(world: &SimulatedWorld) -> Option<i64> {
    let machines = world.apps.values().flat_map(|app| app.machines.values());
    machines
        .filter_map(|machine| machine.due.map(|due| due.at_ms))
        .min()
}

fn apply_due_in_app(app: &mut App, rules: &[Rule], now: i64) -> bool {
    let mut changed = false;
    for machine in app.machines.values_mut() {
        for _ in 0..MAX_TRANSITIONS {
            let Some(due) = machine.due.filter(|due| due.at_ms <= now) else {
                break;
            };
            machine.due = None;
            apply_transition(
                machine,
                &ProgramBehaviour::for_machine(rules, &app.name, machine),
                due.at_ms,
                due.step,
            );
            changed = true;
        }
        if machine.state == MachineState::Destroyed {
            changed |= detach_volumes(&mut app.volumes.values_mut(), &machine.id, now);
        }
    }
    for volume in app.volumes.values_mut() {
        changed |= apply_due_to_volume(volume, now);
    }
    changed
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
    behave: &ProgramBehaviour,
    at: i64,
    step: MachineTransition,
) {
    match step {
        MachineTransition::Prepared => {
            machine.enter_state(MachineState::Stopped, at, "launch", "flyd");
        }
        MachineTransition::Boot => begin_boot(machine, behave, at, "flyd"),
        MachineTransition::Started => on_started(machine, behave, at),
        MachineTransition::Exit(exit) => on_exited(machine, behave, at, exit),
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
            schedule_start(machine, behave, at);
        }
        MachineTransition::Suspended => {
            machine.enter_state(MachineState::Suspended, at, "suspend", "flyd");
        }
        MachineTransition::Replaced { launch: true } => begin_boot(machine, behave, at, "flyd"),
        MachineTransition::Replaced { launch: false } => {
            machine.enter_state(MachineState::Stopped, at, "update", "flyd");
            schedule_next_run(machine, at);
        }
        MachineTransition::Destroyed => {
            machine.enter_state(MachineState::Destroyed, at, "destroy", "flyd");
            machine.lease = None;
        }
        MachineTransition::Scheduled => {
            machine.reset_transitions();
            begin_boot(machine, behave, at, "flyd");
        }
    }
}

/// Begins a boot.
pub(crate) fn begin_boot(machine: &mut Machine, behave: &ProgramBehaviour, at: i64, source: &str) {
    machine.enter_state(MachineState::Starting, at, "start", source);
    schedule_start(machine, behave, at);
}

fn schedule_start(machine: &mut Machine, behave: &ProgramBehaviour, at: i64) {
    console::log_boot(machine, at);
    let ready = at.saturating_add(behave.boot_ms.unwrap_or(BOOT_MS).max(1));
    match behave.planned_exit() {
        Some((0, exit)) => machine.schedule_transition(ready, MachineTransition::Exit(exit)),
        _ => machine.schedule_transition(ready, MachineTransition::Started),
    }
}

fn on_started(machine: &mut Machine, behave: &ProgramBehaviour, at: i64) {
    machine.enter_state(MachineState::Started, at, "start", "flyd");
    console::log_program_output(machine, behave, at);
    machine.started_ms = Some(at);
    machine.first_run_ms.get_or_insert(at);
    if let Some((after, exit)) = behave.planned_exit() {
        machine.schedule_transition(at.saturating_add(after), MachineTransition::Exit(exit));
    }
}

fn on_exited(machine: &mut Machine, behave: &ProgramBehaviour, at: i64, exit: SimulatedExit) {
    machine.first_run_ms.get_or_insert(at);
    // A program that never got as far as `started` still ran, and said what it had to say.
    if machine.state != MachineState::Started {
        console::log_program_output(machine, behave, at);
    }
    console::log_exit(machine, exit, at);
    if should_restart(machine, exit) {
        machine.restart_count += 1;
        machine.record_exit(exit, false, true, at);
        schedule_start(machine, behave, at);
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
        _ => exit.code != 0 && machine.restart_count < retries.unwrap_or(DEFAULT_MAX_RETRIES),
    }
}

/// The program has ended for good: a machine for one job goes away, a scheduled one waits for its next time.
fn finish_run(machine: &mut Machine, at: i64) {
    if machine.is_auto_destroyed() {
        machine.enter_state(MachineState::Destroying, at, "destroy", "flyd");
        machine.schedule_transition(at + DESTROY_MS, MachineTransition::Destroyed);
    } else {
        schedule_next_run(machine, at);
    }
}

/// Runs come about once per period, measured from the first start; a machine that never started has no schedule yet.
fn schedule_next_run(machine: &mut Machine, at: i64) {
    let Some(first) = machine.first_run_ms else {
        return;
    };
    let Some(period) = machine.schedule().and_then(period_ms) else {
        return;
    };
    let runs = (at - first).div_euclid(period) + 1;
    machine.schedule_transition(first + runs * period, MachineTransition::Scheduled);
}

/// The periods are fuzzy on Fly; the sandbox takes them literally, with a month of thirty days.
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
