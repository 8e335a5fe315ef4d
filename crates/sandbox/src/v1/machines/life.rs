//! Start, stop, restart, suspend, signal, cordon and destroy.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{find, find_mut, find_unleased};
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::behaviour::Behave;
use crate::config;
use crate::machine::{Machine, State, Step};
use crate::settle;
use crate::v1::lease;
use crate::world::World;

/// Above this much memory a machine cannot be suspended (fly.io/docs/reference/suspend-resume).
const SUSPEND_MAX_MB: i64 = 2_048;
const SIGNALS: [(&str, i64); 14] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
];
/// The signals that end a program that does not handle them and are commonly used for that.
const ENDING: [i64; 4] = [2, 3, 9, 15];

pub(super) fn start(world: &mut World, call: &Call) -> Reply {
    let now = world.now;
    find_unleased(world, call)?;
    let (app, secrets) = (
        world.app(call)?.name.clone(),
        world.app(call)?.secrets_version,
    );
    let behave = Behave::of(&world.root.rules, &app, find(world, call)?);
    let machine = find_mut(world, call)?;
    let before = machine.state;
    match before {
        State::Started | State::Starting => {}
        State::Stopped | State::Suspended | State::Failed => {
            if machine.schedule().is_some() && machine.first_run_ms.is_some() {
                return Err(Refusal::precondition(
                    "scheduled machines cannot be started manually",
                ));
            }
            machine.forget_past();
            machine.restart_count = 0;
            machine.secrets_version = secrets;
            settle::boot(machine, &behave, now, "user");
        }
        State::Replacing => {
            return Err(Refusal::precondition(
                "machine getting replaced, refusing to start",
            ));
        }
        _ => return Err(cannot("start", machine)),
    }
    Ok(Answer::ok(
        json!({ "previous_state": before.as_str(), "migrated": false, "new_host": "" }),
    ))
}

fn cannot(what: &str, machine: &Machine) -> Refusal {
    let state = machine.state.as_str();
    Refusal::precondition(format!(
        "unable to {what} machine from current state: '{state}'"
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stop {
    signal: Value,
    timeout: Value,
}

/// Stopping what is stopped succeeds, and stopping what is suspended drops its snapshot.
pub(super) fn stop(world: &mut World, call: &Call) -> Reply {
    let request: Stop = call.body()?;
    signal_number(&request.signal)?;
    if !matches!(&request.timeout, Value::Null)
        && config::parse_or_nanos(&request.timeout).is_none()
    {
        return Err(Refusal::invalid("invalid timeout"));
    }
    let now = world.now;
    let machine = find_unleased(world, call)?;
    match machine.state {
        State::Stopped | State::Stopping | State::Failed => {}
        State::Suspended => {
            machine.forget_past();
            machine.enter(State::Stopped, now, "stop", "user");
        }
        State::Started | State::Starting | State::Restarting | State::Suspending => {
            machine.forget_past();
            machine.enter(State::Stopping, now, "stop", "user");
            machine.then(now + settle::STOP_MS, Step::Stopped);
        }
        _ => return Err(cannot("stop", machine)),
    }
    Ok(Answer::done())
}

pub(super) fn restart(world: &mut World, call: &Call) -> Reply {
    if let Some(timeout) = call.query("timeout") {
        let number = timeout.parse::<u64>().is_ok();
        if !number && config::parse_or_nanos(&timeout.into()).is_none() {
            return Err(Refusal::invalid("invalid timeout"));
        }
    }
    signal_number(&call.query("signal").map_or(Value::Null, Value::from))?;
    let now = world.now;
    let machine = find_unleased(world, call)?;
    match machine.state {
        State::Started | State::Starting | State::Restarting => {
            machine.forget_past();
            machine.restart_count = 0;
            machine.enter(State::Restarting, now, "restart", "user");
            machine.then(now + settle::STOP_MS, Step::Restarted);
            Ok(Answer::done())
        }
        State::Stopped | State::Suspended | State::Failed => {
            start(world, call)?;
            Ok(Answer::done())
        }
        _ => Err(cannot("restart", machine)),
    }
}

pub(super) fn suspend(world: &mut World, call: &Call) -> Reply {
    let now = world.now;
    let machine = find_unleased(world, call)?;
    let number = |at: &str| {
        machine
            .config
            .get("guest")
            .and_then(|guest| guest.get(at)?.as_i64())
            .unwrap_or(0)
    };
    let swap = machine
        .config
        .get("init")
        .and_then(|init| init.get("swap_size_mb")?.as_i64())
        .unwrap_or(0);
    if number("memory_mb") > SUSPEND_MAX_MB || swap > 0 || machine.schedule().is_some() {
        return Err(Refusal::precondition("this machine cannot be suspended"));
    }
    match machine.state {
        State::Suspended | State::Suspending => {}
        State::Started => {
            machine.forget_past();
            machine.enter(State::Suspending, now, "suspend", "user");
            machine.then(now + settle::SUSPEND_MS, Step::Suspended);
        }
        _ => return Err(cannot("suspend", machine)),
    }
    Ok(Answer::done())
}

/// A signal by name or number; flyctl sends numbers. Nothing is nothing.
fn signal_number(value: &Value) -> Result<Option<i64>, Refusal> {
    let known = match value {
        Value::Null => return Ok(None),
        Value::String(name) if name.is_empty() => return Ok(None),
        Value::String(name) => SIGNALS.iter().find(|(known, _)| known == name),
        value => SIGNALS
            .iter()
            .find(|(_, number)| value.as_i64() == Some(*number)),
    };
    known
        .map(|(_, number)| Some(*number))
        .ok_or_else(|| Refusal::invalid(format!("invalid signal: {value}")))
}

/// Sends a signal. It reaches programs that the restart policy then looks after, unlike a stop.
pub(super) fn signal(world: &mut World, call: &Call) -> Reply {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Signal {
        signal: Value,
    }
    let request: Signal = call.body()?;
    let number =
        signal_number(&request.signal)?.ok_or_else(|| Refusal::invalid("signal is required"))?;
    let now = world.now;
    // The client sends no nonce with it, so a lease does not guard it.
    let machine = find_mut(world, call)?;
    if machine.state != State::Started {
        return Err(cannot("signal", machine));
    }
    if ENDING.contains(&number) {
        let exit = crate::behaviour::Exit {
            code: 128 + number,
            signal: number,
            oom: false,
        };
        machine.then(now, Step::Exit(exit));
    }
    Ok(Answer::done())
}

pub(super) fn cordon(world: &mut World, call: &Call) -> Reply {
    set_cordon(world, call, true)
}

pub(super) fn uncordon(world: &mut World, call: &Call) -> Reply {
    set_cordon(world, call, false)
}

fn set_cordon(world: &mut World, call: &Call, cordoned: bool) -> Reply {
    let now = world.now;
    let machine = find_unleased(world, call)?;
    machine.cordoned = cordoned;
    machine.updated_ms = now;
    let state = machine.state.as_str();
    machine.record(
        if cordoned { "cordon" } else { "uncordon" },
        state,
        "user",
        now,
        None,
    );
    Ok(Answer::done())
}

/// Destroys a machine that does not run, or any with `force` (the documentation) or `kill` (flyctl).
pub(super) fn destroy(world: &mut World, call: &Call) -> Reply {
    let force = call.flag("force") || call.flag("kill");
    let now = world.now;
    // The nonce of a lease that was given back does not hinder: flyctl destroys its canaries with one.
    let machine = find_mut(world, call)?;
    if lease::active(machine, now).is_some() {
        lease::guard(machine, call, now)?;
    }
    match machine.state {
        State::Destroying => return Ok(Answer::done()),
        State::Created | State::Stopped | State::Suspended | State::Failed => {}
        _ if force => {}
        _ => return Err(cannot("destroy", machine)),
    }
    machine.forget_past();
    machine.enter(State::Destroying, now, "destroy", "user");
    machine.then(now + settle::DESTROY_MS, Step::Destroyed);
    Ok(Answer::done())
}
