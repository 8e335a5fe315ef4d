//! Start, stop, restart, suspend, signal, cordon and destroy.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{find_machine, find_machine_mut, find_machine_with_lease};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::fly::behaviour::{ProgramBehaviour, SimulatedExit};
use crate::fly::config;
use crate::fly::machine::{Machine, MachineState, MachineTransition};
use crate::fly::transitions;
use crate::fly::v1::lease;
use crate::world::SimulatedWorld;

/// Machines with more memory cannot be suspended (fly.io/docs/reference/suspend-resume).
const MAX_SUSPEND_MEMORY_MB: i64 = 2_048;
const KNOWN_SIGNALS: [(&str, i64); 14] = [
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
/// The signals that commonly end a program that does not handle them.
const TERMINATING_SIGNALS: [i64; 4] = [2, 3, 9, 15];

pub(super) fn start(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    find_machine_with_lease(world, call)?;
    let app = world.app(call)?;
    let secrets_version = app.secrets_version;
    let behaviour =
        ProgramBehaviour::for_machine(&world.global.rules, &app.name, find_machine(world, call)?);
    let machine = find_machine_mut(world, call)?;
    let before = machine.state;
    match before {
        MachineState::Started | MachineState::Starting => {}
        MachineState::Stopped | MachineState::Suspended | MachineState::Failed => {
            // The first start begins the schedule; after that, only the schedule starts it.
            if machine.schedule().is_some() && machine.first_run_ms.is_some() {
                return Err(ApiError::failed_precondition(
                    "scheduled machines cannot be started manually",
                ));
            }
            machine.reset_transitions();
            machine.restart_count = 0;
            // A boot takes the newest secrets, not those of the last boot.
            machine.secrets_version = secrets_version;
            transitions::begin_boot(machine, &behaviour, now, "user");
        }
        MachineState::Replacing => {
            return Err(ApiError::failed_precondition(
                "machine getting replaced, refusing to start",
            ));
        }
        _ => return Err(wrong_state("start", machine)),
    }
    Ok(ApiResponse::ok(
        json!({ "previous_state": before.as_str(), "migrated": false, "new_host": "" }),
    ))
}

fn wrong_state(action: &str, machine: &Machine) -> ApiError {
    let state = machine.state.as_str();
    ApiError::failed_precondition(format!(
        "unable to {action} machine from current state: '{state}'"
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StopRequest {
    signal: Value,
    timeout: Value,
}

/// Stops a machine. Stopping a stopped machine succeeds, and stopping a suspended one discards its
/// memory snapshot.
pub(super) fn stop(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: StopRequest = call.body()?;
    parse_signal(&request.signal)?;
    if !matches!(&request.timeout, Value::Null)
        && config::parse_duration_nanos(&request.timeout).is_none()
    {
        return Err(ApiError::bad_request("invalid timeout"));
    }
    let now = world.now_ms;
    let machine = find_machine_with_lease(world, call)?;
    match machine.state {
        MachineState::Stopped | MachineState::Stopping | MachineState::Failed => {}
        MachineState::Suspended => {
            machine.reset_transitions();
            machine.enter_state(MachineState::Stopped, now, "stop", "user");
        }
        MachineState::Started
        | MachineState::Starting
        | MachineState::Restarting
        | MachineState::Suspending => {
            machine.reset_transitions();
            machine.enter_state(MachineState::Stopping, now, "stop", "user");
            machine.schedule_transition(now + transitions::STOP_MS, MachineTransition::Stopped);
        }
        _ => return Err(wrong_state("stop", machine)),
    }
    Ok(ApiResponse::ok_true())
}

pub(super) fn restart(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    if let Some(timeout) = call.query("timeout") {
        // The specification allows seconds or a duration; flyctl sends a Go duration.
        let is_seconds = timeout.parse::<u64>().is_ok();
        if !is_seconds && config::parse_duration_nanos(&timeout.into()).is_none() {
            return Err(ApiError::bad_request("invalid timeout"));
        }
    }
    parse_signal(&call.query("signal").map_or(Value::Null, Value::from))?;
    let now = world.now_ms;
    let machine = find_machine_with_lease(world, call)?;
    match machine.state {
        MachineState::Started | MachineState::Starting | MachineState::Restarting => {
            machine.reset_transitions();
            machine.restart_count = 0;
            machine.enter_state(MachineState::Restarting, now, "restart", "user");
            machine.schedule_transition(now + transitions::STOP_MS, MachineTransition::Restarted);
            Ok(ApiResponse::ok_true())
        }
        // Nothing to stop first: a restart is then a start.
        MachineState::Stopped | MachineState::Suspended | MachineState::Failed => {
            start(world, call)?;
            Ok(ApiResponse::ok_true())
        }
        _ => Err(wrong_state("restart", machine)),
    }
}

pub(super) fn suspend(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    let machine = find_machine_with_lease(world, call)?;
    let guest_number = |key: &str| {
        machine
            .config
            .get("guest")
            .and_then(|guest| guest.get(key)?.as_i64())
            .unwrap_or(0)
    };
    let swap_mb = machine
        .config
        .get("init")
        .and_then(|init| init.get("swap_size_mb")?.as_i64())
        .unwrap_or(0);
    if guest_number("memory_mb") > MAX_SUSPEND_MEMORY_MB
        || swap_mb > 0
        || machine.schedule().is_some()
    {
        return Err(ApiError::failed_precondition(
            "this machine cannot be suspended",
        ));
    }
    match machine.state {
        MachineState::Suspended | MachineState::Suspending => {}
        MachineState::Started => {
            machine.reset_transitions();
            machine.enter_state(MachineState::Suspending, now, "suspend", "user");
            machine
                .schedule_transition(now + transitions::SUSPEND_MS, MachineTransition::Suspended);
        }
        _ => return Err(wrong_state("suspend", machine)),
    }
    Ok(ApiResponse::ok_true())
}

/// Parses a signal by name or number (flyctl sends numbers); null and the empty string are no
/// signal.
fn parse_signal(value: &Value) -> Result<Option<i64>, ApiError> {
    let known = match value {
        Value::Null => return Ok(None),
        Value::String(name) if name.is_empty() => return Ok(None),
        Value::String(name) => KNOWN_SIGNALS.iter().find(|(known, _)| known == name),
        value => KNOWN_SIGNALS
            .iter()
            .find(|(_, number)| value.as_i64() == Some(*number)),
    };
    known
        .map(|(_, number)| Some(*number))
        .ok_or_else(|| ApiError::bad_request(format!("invalid signal: {value}")))
}

/// Sends a signal to the program. Unlike after a stop, the restart policy applies when the program
/// exits.
pub(super) fn signal(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct SignalRequest {
        signal: Value,
    }
    let request: SignalRequest = call.body()?;
    let number = parse_signal(&request.signal)?
        .ok_or_else(|| ApiError::bad_request("signal is required"))?;
    let now = world.now_ms;
    // Fly's client sends no lease nonce with a signal, so leases do not apply.
    let machine = find_machine_mut(world, call)?;
    if machine.state != MachineState::Started {
        return Err(wrong_state("signal", machine));
    }
    // Other signals are assumed to be handled or ignored by the program.
    if TERMINATING_SIGNALS.contains(&number) {
        let exit = SimulatedExit {
            code: 128 + number,
            signal: number,
            oom: false,
        };
        machine.schedule_transition(now, MachineTransition::Exit(exit));
    }
    Ok(ApiResponse::ok_true())
}

pub(super) fn cordon(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    set_cordon(world, call, true)
}

pub(super) fn uncordon(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    set_cordon(world, call, false)
}

fn set_cordon(world: &mut SimulatedWorld, call: &ApiCall, cordoned: bool) -> ApiResult {
    let now = world.now_ms;
    let machine = find_machine_with_lease(world, call)?;
    machine.cordoned = cordoned;
    machine.updated_ms = now;
    let state = machine.state.as_str();
    machine.record_event(
        if cordoned { "cordon" } else { "uncordon" },
        state,
        "user",
        now,
        None,
    );
    Ok(ApiResponse::ok_true())
}

/// Destroys a machine that is not running, or any machine with `force` (documentation) or `kill`
/// (flyctl).
pub(super) fn destroy(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let force = call.query_flag("force") || call.query_flag("kill");
    let now = world.now_ms;
    let machine = find_machine_mut(world, call)?;
    // Unlike for other changes, the nonce of a released lease is no error here: flyctl destroys its
    // canaries with one.
    if lease::active_lease(machine, now).is_some() {
        lease::check_lease(machine, call, now)?;
    }
    match machine.state {
        MachineState::Destroying => return Ok(ApiResponse::ok_true()),
        MachineState::Created
        | MachineState::Stopped
        | MachineState::Suspended
        | MachineState::Failed => {}
        _ if force => {}
        _ => return Err(wrong_state("destroy", machine)),
    }
    machine.reset_transitions();
    machine.enter_state(MachineState::Destroying, now, "destroy", "user");
    machine.schedule_transition(now + transitions::DESTROY_MS, MachineTransition::Destroyed);
    Ok(ApiResponse::ok_true())
}
