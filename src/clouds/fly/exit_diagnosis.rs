//! What became of a machine since somebody last changed it, read from its events: whether its program keeps crashing,
//! and how it ended. It asks nobody; the waits and their errors are built on it.

use serde_json::Value;

use super::wire;
use crate::clouds::MachineStatus;

/// Names of the signals that programs die of, as on Linux.
const SIGNAL_NAMES: [(i64, &str); 14] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (31, "SIGSYS"),
];
/// A shell, and Fly's init, report death by a signal as an exit code that is so much greater.
const SIGNAL_EXIT_CODE_BASE: i64 = 128;
/// From this restart on, a program that fails is taken for one that will go on failing; flyctl's smoke checks use the
/// same number (`isConstantlyRestarting`).
const CRASH_LOOP_RESTARTS: i64 = 1;

/// The last end of a machine's program.
#[derive(Clone, Copy, Debug)]
struct ProgramExit<'a> {
    exit: &'a Value,
    restarts: i64,
}

impl ProgramExit<'_> {
    fn int_field(self, key: &str) -> Option<i64> {
        self.exit.get(key).and_then(Value::as_i64)
    }

    fn bool_field(self, key: &str) -> bool {
        self.exit.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn signal(self) -> Option<i64> {
        let named = ["guest_signal", "signal"]
            .into_iter()
            .filter_map(|key| self.int_field(key));
        let coded = self
            .int_field("exit_code")
            .map(|code| code - SIGNAL_EXIT_CODE_BASE);
        named
            .chain(coded.filter(|signal| signal_name(*signal).is_some()))
            .find(|signal| *signal > 0)
    }
}

fn signal_name(signal: i64) -> Option<&'static str> {
    SIGNAL_NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, name)| *name)
}

/// Whether somebody changed or started the machine: what is older is about an earlier run.
fn begins_new_run(event: &wire::MachineEvent) -> bool {
    match event.kind.as_str() {
        "launch" | "update" | "restart" => true,
        // A host that starts it again after a crash is no new beginning.
        "start" => !matches!(event.source.as_str(), "" | "flyd"),
        _ => false,
    }
}

/// When the present run began, in Unix milliseconds.
pub(super) fn run_started_at(machine: &wire::MachineResponse) -> i64 {
    let beginnings = machine.events.iter().filter(|event| begins_new_run(event));
    beginnings
        .map(|event| event.timestamp)
        .max()
        .unwrap_or(i64::MIN)
}

/// The newest end of its program in the present run. Events come newest first, which also tells what came first in one
/// millisecond.
fn last_exit(machine: &wire::MachineResponse) -> Option<ProgramExit<'_>> {
    let since = run_started_at(machine);
    let run = machine
        .events
        .iter()
        .take_while(|event| !(begins_new_run(event) && event.timestamp == since));
    let event = run
        .filter(|event| event.timestamp >= since)
        .find(|event| event.kind == "exit")?;
    let restarts = event
        .request
        .get("restart_count")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    event
        .exit_event()
        .map(|exit| ProgramExit { exit, restarts })
}

/// Whether its program fails again and again.
pub(super) fn is_crash_looping(machine: &wire::MachineResponse) -> bool {
    last_exit(machine).is_some_and(|exit| {
        !exit.bool_field("requested_stop")
            && exit.bool_field("restarting")
            && exit.restarts > CRASH_LOOP_RESTARTS
            && exit.int_field("exit_code").unwrap_or(0) != 0
    })
}

/// Whether its program has begun again and again in the present run, as far as it is known.
pub(super) fn is_restarting_repeatedly(machine: &wire::MachineResponse) -> bool {
    last_exit(machine).is_some_and(|exit| {
        exit.restarts > CRASH_LOOP_RESTARTS && !exit.bool_field("requested_stop")
    })
}

/// Whether its program ended in the present run and the machine rests since.
pub(super) fn has_exited(machine: &wire::MachineResponse) -> bool {
    is_inactive(machine) && (last_exit(machine).is_some() || machine.state == "failed")
}

/// Whether a machine stays in its state by itself.
pub(super) fn is_inactive(machine: &wire::MachineResponse) -> bool {
    matches!(
        machine.state.as_str(),
        "stopped" | "suspended" | "failed" | "destroyed" | "launch_failed"
    )
}

/// When its program last began or ended, in Unix milliseconds. Not how often: only the newest events are told.
pub(super) fn last_start_or_exit(machine: &wire::MachineResponse) -> Option<i64> {
    let turns = machine
        .events
        .iter()
        .filter(|event| matches!(event.kind.as_str(), "start" | "exit"));
    turns.map(|event| event.timestamp).max()
}

/// What a wait tells of it.
pub(super) fn machine_status(machine: &wire::MachineResponse) -> MachineStatus {
    let passing = machine
        .checks
        .iter()
        .filter(|check| check.status == "passing")
        .count();
    MachineStatus {
        state: machine.state.clone(),
        checks_passing: passing,
        checks_total: machine.checks.len(),
        output: Vec::new(),
    }
}

/// What became of it in one line: its state, how its program ended, how often it was restarted, and the check that
/// does not pass.
pub(super) fn describe_outcome(machine: &wire::MachineResponse) -> String {
    let mut text = format!("it is {}", machine.state);
    if let Some(exit) = last_exit(machine) {
        // In a crash loop the state is chance, and a command's machine is gone when it ends.
        let going = matches!(
            machine.state.as_str(),
            "stopping" | "destroying" | "destroyed"
        );
        let tells = !going && !is_restarting_repeatedly(machine);
        let state = if tells {
            format!("{text}; ")
        } else {
            String::new()
        };
        text = format!("{state}{}", describe_exit(exit));
        match exit.restarts {
            ..1 => {}
            1 => text.push_str("; it was restarted once"),
            more => text = format!("{text}; it was restarted {more} times"),
        }
    }
    let failing = machine
        .checks
        .iter()
        .find(|check| check.status != "passing");
    if let Some(check) = failing.filter(|_| machine.state == "started") {
        let output = super::logs::sanitize_line(check.output.trim());
        text = format!("{text}; check {} is {}: {output}", check.name, check.status);
    }
    text
}

fn describe_exit(exit: ProgramExit<'_>) -> String {
    if exit.bool_field("oom_killed") {
        return "it ran out of memory: give it more with `memory`".to_owned();
    }
    if exit.bool_field("requested_stop") {
        return "somebody stopped it".to_owned();
    }
    let code = exit
        .int_field("exit_code")
        .map(|code| format!("its program exited with code {code}"));
    match (exit.signal(), code) {
        (Some(signal), _) => {
            let named = signal_name(signal)
                .map(|name| format!(" ({name})"))
                .unwrap_or_default();
            format!("its program was ended by signal {signal}{named}")
        }
        (None, Some(code)) => code,
        (None, None) => "its program ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine(events: &Value) -> wire::MachineResponse {
        serde_json::from_value(json!({ "id": "m", "state": "starting", "events": events })).unwrap()
    }

    fn exit(at: i64, code: i64, restarts: i64) -> Value {
        let exit =
            json!({ "exit_code": code, "signal": -1, "restarting": true, "requested_stop": false });
        json!({ "type": "exit", "timestamp": at, "request": { "exit_event": exit, "restart_count": restarts } })
    }

    #[test]
    fn the_second_restart_after_a_failure_is_a_crash_loop() {
        assert!(!is_crash_looping(&machine(&json!([exit(2, 1, 1)]))));
        assert!(is_crash_looping(&machine(&json!([
            exit(3, 1, 2),
            exit(2, 1, 1)
        ]))));
        assert!(!is_crash_looping(&machine(&json!([exit(3, 0, 2)]))));
    }

    #[test]
    fn what_an_earlier_version_did_does_not_count() {
        let update = json!({ "type": "update", "timestamp": 5, "source": "user" });
        let start = json!({ "type": "start", "timestamp": 5, "source": "user" });
        let again = json!({ "type": "start", "timestamp": 5, "source": "flyd" });
        assert!(!is_crash_looping(&machine(&json!([update, exit(3, 1, 4)]))));
        assert!(!is_crash_looping(&machine(&json!([update, exit(5, 1, 4)]))));
        assert!(is_crash_looping(&machine(&json!([exit(5, 1, 4), update]))));
        assert!(!is_crash_looping(&machine(&json!([start, exit(3, 1, 4)]))));
        assert!(is_crash_looping(&machine(&json!([again, exit(3, 1, 4)]))));
    }

    #[test]
    fn one_more_end_is_seen_however_many_there_were() {
        let of = |newest: i64| machine(&(0..20).map(|at| exit(newest - at, 1, 1)).collect());
        assert_ne!(last_start_or_exit(&of(100)), last_start_or_exit(&of(101)));
    }

    #[test]
    fn an_end_is_told_with_the_signal_s_name() {
        let told = |code| describe_outcome(&machine(&json!([exit(2, code, 3)])));
        let text = "its program was ended by signal 11 (SIGSEGV); it was restarted 3 times";
        assert_eq!(told(139), text);
        assert_eq!(
            told(3),
            "its program exited with code 3; it was restarted 3 times"
        );
    }
}
