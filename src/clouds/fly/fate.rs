//! What became of a machine since somebody last changed it, read from its events: whether its program keeps crashing,
//! and how it ended. It asks nobody; the waits and their errors are built on it.

use serde_json::Value;

use super::wire;
use crate::clouds::Sign;

/// Names of the signals that programs die of, as on Linux.
const SIGNALS: [(i64, &str); 14] = [
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
const BY_SIGNAL: i64 = 128;
/// From this restart on, a program that fails is taken for one that will go on failing; flyctl's smoke checks use the
/// same number (`isConstantlyRestarting`).
const CONSTANT: i64 = 1;

/// The last end of a machine's program.
#[derive(Clone, Copy, Debug)]
struct Exit<'a> {
    exit: &'a Value,
    restarts: i64,
}

impl Exit<'_> {
    fn number(self, key: &str) -> Option<i64> {
        self.exit.get(key).and_then(Value::as_i64)
    }

    fn flag(self, key: &str) -> bool {
        self.exit.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn signal(self) -> Option<i64> {
        let named = ["guest_signal", "signal"]
            .into_iter()
            .filter_map(|key| self.number(key));
        let coded = self.number("exit_code").map(|code| code - BY_SIGNAL);
        named
            .chain(coded.filter(|signal| name(*signal).is_some()))
            .find(|signal| *signal > 0)
    }
}

fn name(signal: i64) -> Option<&'static str> {
    SIGNALS
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, name)| *name)
}

/// Whether somebody changed or started the machine: what is older is about an earlier run.
fn begins(event: &wire::Event) -> bool {
    match event.kind.as_str() {
        "launch" | "update" | "restart" => true,
        // A host that starts it again after a crash is no new beginning.
        "start" => !matches!(event.source.as_str(), "" | "flyd"),
        _ => false,
    }
}

/// When the present run began, in Unix milliseconds.
pub(super) fn since(machine: &wire::Machine) -> i64 {
    let beginnings = machine.events.iter().filter(|event| begins(event));
    beginnings
        .map(|event| event.timestamp)
        .max()
        .unwrap_or(i64::MIN)
}

/// The newest end of its program in the present run. Events come newest first, which also tells what came first in one
/// millisecond.
fn last_exit(machine: &wire::Machine) -> Option<Exit<'_>> {
    let since = since(machine);
    let run = machine
        .events
        .iter()
        .take_while(|event| !(begins(event) && event.timestamp == since));
    let event = run
        .filter(|event| event.timestamp >= since)
        .find(|event| event.kind == "exit")?;
    let restarts = event
        .request
        .get("restart_count")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    event.exit().map(|exit| Exit { exit, restarts })
}

/// Whether its program fails again and again.
pub(super) fn is_crashing(machine: &wire::Machine) -> bool {
    last_exit(machine).is_some_and(|exit| {
        !exit.flag("requested_stop")
            && exit.flag("restarting")
            && exit.restarts > CONSTANT
            && exit.number("exit_code").unwrap_or(0) != 0
    })
}

/// Whether its program has begun again and again in the present run, as far as it is known.
pub(super) fn keeps_ending(machine: &wire::Machine) -> bool {
    last_exit(machine).is_some_and(|exit| exit.restarts > CONSTANT && !exit.flag("requested_stop"))
}

/// Whether its program ended in the present run and the machine rests since.
pub(super) fn has_ended(machine: &wire::Machine) -> bool {
    is_at_rest(machine) && (last_exit(machine).is_some() || machine.state == "failed")
}

/// Whether a machine stays in its state by itself.
pub(super) fn is_at_rest(machine: &wire::Machine) -> bool {
    matches!(
        machine.state.as_str(),
        "stopped" | "suspended" | "failed" | "destroyed" | "launch_failed"
    )
}

/// When its program last began or ended, in Unix milliseconds. Not how often: only the newest events are told.
pub(super) fn last_turn(machine: &wire::Machine) -> Option<i64> {
    let turns = machine
        .events
        .iter()
        .filter(|event| matches!(event.kind.as_str(), "start" | "exit"));
    turns.map(|event| event.timestamp).max()
}

/// What a wait tells of it.
pub(super) fn sign(machine: &wire::Machine) -> Sign {
    let passing = machine
        .checks
        .iter()
        .filter(|check| check.status == "passing")
        .count();
    Sign {
        state: machine.state.clone(),
        passing,
        checks: machine.checks.len(),
        lines: Vec::new(),
    }
}

/// What became of it in one line: its state, how its program ended, how often it was restarted, and the check that
/// does not pass.
pub(super) fn explain(machine: &wire::Machine) -> String {
    let mut text = format!("it is {}", machine.state);
    if let Some(exit) = last_exit(machine) {
        // In a crash loop the state is chance, and a command's machine is gone when it ends.
        let going = matches!(
            machine.state.as_str(),
            "stopping" | "destroying" | "destroyed"
        );
        let tells = !going && !keeps_ending(machine);
        let state = if tells {
            format!("{text}; ")
        } else {
            String::new()
        };
        text = format!("{state}{}", ending(exit));
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
        let output = super::logs::plain(check.output.trim());
        text = format!("{text}; check {} is {}: {output}", check.name, check.status);
    }
    text
}

fn ending(exit: Exit<'_>) -> String {
    if exit.flag("oom_killed") {
        return "it ran out of memory: give it more with `memory`".to_owned();
    }
    if exit.flag("requested_stop") {
        return "somebody stopped it".to_owned();
    }
    let code = exit
        .number("exit_code")
        .map(|code| format!("its program exited with code {code}"));
    match (exit.signal(), code) {
        (Some(signal), _) => {
            let named = name(signal)
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

    fn machine(events: &Value) -> wire::Machine {
        serde_json::from_value(json!({ "id": "m", "state": "starting", "events": events })).unwrap()
    }

    fn exit(at: i64, code: i64, restarts: i64) -> Value {
        let exit =
            json!({ "exit_code": code, "signal": -1, "restarting": true, "requested_stop": false });
        json!({ "type": "exit", "timestamp": at, "request": { "exit_event": exit, "restart_count": restarts } })
    }

    #[test]
    fn the_second_restart_after_a_failure_is_a_crash_loop() {
        assert!(!is_crashing(&machine(&json!([exit(2, 1, 1)]))));
        assert!(is_crashing(&machine(&json!([
            exit(3, 1, 2),
            exit(2, 1, 1)
        ]))));
        assert!(!is_crashing(&machine(&json!([exit(3, 0, 2)]))));
    }

    #[test]
    fn what_an_earlier_version_did_does_not_count() {
        let update = json!({ "type": "update", "timestamp": 5, "source": "user" });
        let start = json!({ "type": "start", "timestamp": 5, "source": "user" });
        let again = json!({ "type": "start", "timestamp": 5, "source": "flyd" });
        assert!(!is_crashing(&machine(&json!([update, exit(3, 1, 4)]))));
        assert!(!is_crashing(&machine(&json!([update, exit(5, 1, 4)]))));
        assert!(is_crashing(&machine(&json!([exit(5, 1, 4), update]))));
        assert!(!is_crashing(&machine(&json!([start, exit(3, 1, 4)]))));
        assert!(is_crashing(&machine(&json!([again, exit(3, 1, 4)]))));
    }

    #[test]
    fn one_more_end_is_seen_however_many_there_were() {
        let of = |newest: i64| machine(&(0..20).map(|at| exit(newest - at, 1, 1)).collect());
        assert_ne!(last_turn(&of(100)), last_turn(&of(101)));
    }

    #[test]
    fn an_end_is_told_with_the_signal_s_name() {
        let told = |code| explain(&machine(&json!([exit(2, code, 3)])));
        let text = "its program was ended by signal 11 (SIGSEGV); it was restarted 3 times";
        assert_eq!(told(139), text);
        assert_eq!(
            told(3),
            "its program exited with code 3; it was restarted 3 times"
        );
    }
}
