//! Diagnoses a machine from its events since it was last changed or started: whether its program
//! keeps crashing, and how it exited. Pure functions; the waits and their errors use them.

use serde_json::Value;

use super::wire;
use crate::{clouds::MachineStatus, model::redact};

/// The names of the signals that terminate programs, with Linux's numbers.
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
/// Shells and Fly's init report a process killed by signal N as exit code 128 + N.
const SIGNAL_EXIT_CODE_BASE: i64 = 128;
/// More restarts than this are a crash loop; flyctl's smoke checks use the same number
/// (`isConstantlyRestarting`).
const CRASH_LOOP_RESTARTS: i64 = 1;

/// The last exit of a machine's program.
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
        let reported = ["guest_signal", "signal"]
            .into_iter()
            .filter_map(|key| self.int_field(key));
        let from_exit_code = self
            .int_field("exit_code")
            .map(|code| code - SIGNAL_EXIT_CODE_BASE);
        reported
            .chain(from_exit_code.filter(|signal| signal_name(*signal).is_some()))
            .find(|signal| *signal > 0)
    }
}

fn signal_name(signal: i64) -> Option<&'static str> {
    SIGNAL_NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, name)| *name)
}

/// Whether an event starts a new run, because somebody changed or started the machine. Older events
/// belong to an earlier run.
fn begins_new_run(event: &wire::MachineEvent) -> bool {
    match event.kind.as_str() {
        "launch" | "update" | "restart" => true,
        // A restart by the host after a crash does not start a new run.
        "start" => !matches!(event.source.as_str(), "" | "flyd"),
        _ => false,
    }
}

/// When the current run started, in Unix milliseconds.
pub(super) fn run_started_at(machine: &wire::MachineResponse) -> i64 {
    let run_starts = machine.events.iter().filter(|event| begins_new_run(event));
    run_starts
        .map(|event| event.timestamp)
        .max()
        .unwrap_or(i64::MIN)
}

/// The newest exit of the program in the current run. Events are sorted newest first, which also
/// orders events of the same millisecond.
fn last_exit(machine: &wire::MachineResponse) -> Option<ProgramExit<'_>> {
    let run_start = run_started_at(machine);
    let run = machine
        .events
        .iter()
        .take_while(|event| !(begins_new_run(event) && event.timestamp == run_start));
    let event = run
        .filter(|event| event.timestamp >= run_start)
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

/// Whether the program is in a crash loop.
pub(super) fn is_crash_looping(machine: &wire::MachineResponse) -> bool {
    last_exit(machine).is_some_and(|exit| {
        !exit.bool_field("requested_stop")
            && exit.bool_field("restarting")
            && exit.restarts > CRASH_LOOP_RESTARTS
            && exit.int_field("exit_code").unwrap_or(0) != 0
    })
}

/// Whether the program has restarted repeatedly in the current run, whatever its exit codes.
pub(super) fn is_restarting_repeatedly(machine: &wire::MachineResponse) -> bool {
    last_exit(machine).is_some_and(|exit| {
        exit.restarts > CRASH_LOOP_RESTARTS && !exit.bool_field("requested_stop")
    })
}

/// Whether the program exited in the current run and was not restarted.
pub(super) fn has_exited(machine: &wire::MachineResponse) -> bool {
    is_inactive(machine) && (last_exit(machine).is_some() || machine.state == "failed")
}

/// Whether the machine is in a state that it does not leave by itself.
pub(super) fn is_inactive(machine: &wire::MachineResponse) -> bool {
    matches!(
        machine.state.as_str(),
        "stopped" | "suspended" | "failed" | "destroyed" | "launch_failed"
    )
}

/// When the program last started or exited, in Unix milliseconds. The number of restarts would not
/// do, because the API only returns the newest events.
pub(super) fn last_start_or_exit(machine: &wire::MachineResponse) -> Option<i64> {
    let changes = machine
        .events
        .iter()
        .filter(|event| matches!(event.kind.as_str(), "start" | "exit"));
    changes.map(|event| event.timestamp).max()
}

/// The status that waits report.
pub(super) fn machine_status(machine: &wire::MachineResponse) -> MachineStatus {
    let checks_passing = machine
        .checks
        .iter()
        .filter(|check| check.status == "passing")
        .count();
    MachineStatus {
        state: machine.state.clone(),
        checks_passing,
        checks_total: machine.checks.len(),
        output: Vec::new(),
    }
}

/// Describes the machine in one line: its state, how its program exited, how often it was
/// restarted, and its failing check.
pub(super) fn describe_outcome(machine: &wire::MachineResponse) -> String {
    let mut text = format!("it is {}", machine.state);
    if let Some(exit) = last_exit(machine) {
        // In a crash loop the state depends on timing, and the machine of a command is destroyed
        // when the command ends. Show the state only if it means something.
        let is_ending = matches!(
            machine.state.as_str(),
            "stopping" | "destroying" | "destroyed"
        );
        let shows_state = !is_ending && !is_restarting_repeatedly(machine);
        let state = if shows_state {
            format!("{text}; ")
        } else {
            String::new()
        };
        text = format!("{state}{}", describe_exit(exit));
        match exit.restarts {
            ..1 => {}
            1 => text.push_str("; it was restarted once"),
            count => text = format!("{text}; it was restarted {count} times"),
        }
    }
    let failing = machine
        .checks
        .iter()
        .find(|check| check.status != "passing");
    if let Some(check) = failing.filter(|_| machine.state == "started") {
        // A program may print its environment here too, and half a secret would not be recognized later.
        let output = super::logs::sanitize_line(redact(&check.output).trim());
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
            let reported = signal_name(signal)
                .map(|name| format!(" ({name})"))
                .unwrap_or_default();
            format!("its program was ended by signal {signal}{reported}")
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
    fn second_restart_after_a_failure_is_a_crash_loop() {
        assert!(!is_crash_looping(&machine(&json!([exit(2, 1, 1)]))));
        assert!(is_crash_looping(&machine(&json!([
            exit(3, 1, 2),
            exit(2, 1, 1)
        ]))));
        assert!(!is_crash_looping(&machine(&json!([exit(3, 0, 2)]))));
    }

    #[test]
    fn events_of_earlier_versions_are_ignored() {
        let update = json!({ "type": "update", "timestamp": 5, "source": "user" });
        let start = json!({ "type": "start", "timestamp": 5, "source": "user" });
        let host_restart = json!({ "type": "start", "timestamp": 5, "source": "flyd" });
        assert!(!is_crash_looping(&machine(&json!([update, exit(3, 1, 4)]))));
        assert!(!is_crash_looping(&machine(&json!([update, exit(5, 1, 4)]))));
        assert!(is_crash_looping(&machine(&json!([exit(5, 1, 4), update]))));
        assert!(!is_crash_looping(&machine(&json!([start, exit(3, 1, 4)]))));
        assert!(is_crash_looping(&machine(&json!([
            host_restart,
            exit(3, 1, 4)
        ]))));
    }

    #[test]
    fn new_exit_is_detected_when_the_event_list_is_full() {
        let machine_with =
            |newest: i64| machine(&(0..20).map(|at| exit(newest - at, 1, 1)).collect());
        assert_ne!(
            last_start_or_exit(&machine_with(100)),
            last_start_or_exit(&machine_with(101))
        );
    }

    #[test]
    fn exit_by_signal_names_the_signal() {
        let description = |code| describe_outcome(&machine(&json!([exit(2, code, 3)])));
        let text = "its program was ended by signal 11 (SIGSEGV); it was restarted 3 times";
        assert_eq!(description(139), text);
        assert_eq!(
            description(3),
            "its program exited with code 3; it was restarted 3 times"
        );
    }
}
