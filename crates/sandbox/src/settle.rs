//! What happens by itself: boots, exits, restarts, destructions and schedules.
//!
//! Nothing runs in the background. Each machine stores its next step with a moment, and every request first catches
//! up with the clock. A restart of the sandbox therefore changes nothing.

use super::behaviour::{Behave, Exit, Rule};
use super::console;
use super::machine::{Machine, State, Step};
use super::world::{App, Volume, World};

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
const MAX_RETRIES: u64 = 10;
/// A program that ends at once under `always` restarts for ever; one request follows it only so far.
const MAX_STEPS: usize = 10_000;

/// Catches up with the clock.
pub(crate) fn settle(world: &mut World) {
    let now = world.now;
    for app in world.apps.values_mut() {
        if settle_app(app, &world.root.rules, now) {
            world.dirty.insert(app.name.clone());
        }
    }
}

/// The next moment at which something happens by itself.
pub(crate) fn next_due(world: &World) -> Option<i64> {
    let machines = world.apps.values().flat_map(|app| app.machines.values());
    machines
        .filter_map(|machine| machine.due.map(|due| due.at_ms))
        .min()
}

fn settle_app(app: &mut App, rules: &[Rule], now: i64) -> bool {
    let mut changed = false;
    for machine in app.machines.values_mut() {
        for _ in 0..MAX_STEPS {
            let Some(due) = machine.due.filter(|due| due.at_ms <= now) else {
                break;
            };
            machine.due = None;
            take(
                machine,
                &Behave::of(rules, &app.name, machine),
                due.at_ms,
                due.step,
            );
            changed = true;
        }
        if machine.state == State::Destroyed {
            changed |= detach(&mut app.volumes.values_mut(), &machine.id, now);
        }
    }
    for volume in app.volumes.values_mut() {
        changed |= settle_volume(volume, now);
    }
    changed
}

fn detach(volumes: &mut dyn Iterator<Item = &mut Volume>, machine: &str, now: i64) -> bool {
    let mut changed = false;
    for volume in volumes.filter(|volume| volume.attached.as_deref() == Some(machine)) {
        volume.attached = None;
        volume.updated_ms = now;
        changed = true;
    }
    changed
}

fn settle_volume(volume: &mut Volume, now: i64) -> bool {
    match volume.due.take_if(|(at, _)| *at <= now) {
        Some((at, state)) => {
            volume.state = state;
            volume.updated_ms = at;
            true
        }
        None => false,
    }
}

fn take(machine: &mut Machine, behave: &Behave, at: i64, step: Step) {
    match step {
        Step::Prepared => machine.enter(State::Stopped, at, "launch", "flyd"),
        Step::Boot => boot(machine, behave, at, "flyd"),
        Step::Started => started(machine, behave, at),
        Step::Exit(exit) => exited(machine, behave, at, exit),
        Step::Stopped => {
            console::signalled(machine, at);
            console::ended(machine, Exit::CLEAN, at);
            machine.record_exit(Exit::CLEAN, true, false, at);
            rest(machine, at);
        }
        Step::Restarted => {
            console::signalled(machine, at);
            console::ended(machine, Exit::CLEAN, at);
            machine.record_exit(Exit::CLEAN, true, true, at);
            await_start(machine, behave, at);
        }
        Step::Suspended => machine.enter(State::Suspended, at, "suspend", "flyd"),
        Step::Replaced { launch: true } => boot(machine, behave, at, "flyd"),
        Step::Replaced { launch: false } => {
            machine.enter(State::Stopped, at, "update", "flyd");
            schedule_next(machine, at);
        }
        Step::Destroyed => {
            machine.enter(State::Destroyed, at, "destroy", "flyd");
            machine.lease = None;
        }
        Step::Scheduled => {
            machine.forget_past();
            boot(machine, behave, at, "flyd");
        }
    }
}

/// Begins a boot.
pub(crate) fn boot(machine: &mut Machine, behave: &Behave, at: i64, source: &str) {
    machine.enter(State::Starting, at, "start", source);
    await_start(machine, behave, at);
}

fn await_start(machine: &mut Machine, behave: &Behave, at: i64) {
    console::boot(machine, at);
    let ready = at.saturating_add(behave.boot_ms.unwrap_or(BOOT_MS).max(1));
    match behave.exit() {
        Some((0, exit)) => machine.then(ready, Step::Exit(exit)),
        _ => machine.then(ready, Step::Started),
    }
}

fn started(machine: &mut Machine, behave: &Behave, at: i64) {
    machine.enter(State::Started, at, "start", "flyd");
    console::program(machine, behave, at);
    machine.started_ms = Some(at);
    machine.first_run_ms.get_or_insert(at);
    if let Some((after, exit)) = behave.exit() {
        machine.then(at.saturating_add(after), Step::Exit(exit));
    }
}

fn exited(machine: &mut Machine, behave: &Behave, at: i64, exit: Exit) {
    machine.first_run_ms.get_or_insert(at);
    // A program that never got as far as `started` still ran, and said what it had to say.
    if machine.state != State::Started {
        console::program(machine, behave, at);
    }
    console::ended(machine, exit, at);
    if restarts(machine, exit) {
        machine.restart_count += 1;
        machine.record_exit(exit, false, true, at);
        await_start(machine, behave, at);
    } else {
        if exit.code != 0 && machine.restart_policy() != "no" {
            console::gave_up(machine, at);
        }
        machine.record_exit(exit, false, false, at);
        rest(machine, at);
    }
}

fn restarts(machine: &Machine, exit: Exit) -> bool {
    let retries = machine
        .config
        .get("restart")
        .and_then(|restart| restart.get("max_retries")?.as_u64());
    match machine.restart_policy() {
        "always" => true,
        "no" => false,
        _ => exit.code != 0 && machine.restart_count < retries.unwrap_or(MAX_RETRIES),
    }
}

/// The program has ended for good: a machine for one job goes away, a scheduled one waits for its next time.
fn rest(machine: &mut Machine, at: i64) {
    if machine.auto_destroys() {
        machine.enter(State::Destroying, at, "destroy", "flyd");
        machine.then(at + DESTROY_MS, Step::Destroyed);
    } else {
        schedule_next(machine, at);
    }
}

/// Runs come about once per period, measured from the first start; a machine that never started has no schedule yet.
fn schedule_next(machine: &mut Machine, at: i64) {
    let Some(first) = machine.first_run_ms else {
        return;
    };
    let Some(period) = machine.schedule().and_then(period_ms) else {
        return;
    };
    let runs = (at - first).div_euclid(period) + 1;
    machine.then(first + runs * period, Step::Scheduled);
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
