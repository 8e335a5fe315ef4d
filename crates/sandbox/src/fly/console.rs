//! The logs of machines. No program runs in the sandbox, so the lines are those of Fly's init, as
//! they appear in users' logs, and what a rule makes the program print.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::behaviour::{ProgramBehaviour, SimulatedExit};
use super::machine::Machine;
use crate::clock;
use crate::ids;

/// How many lines of a machine are kept: one round of a crash loop prints about five, so these are
/// several rounds.
const MAX_LOG_LINES: usize = 60;

/// The signals that end programs, by number.
const FATAL_SIGNALS: [(i64, &str); 8] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
];

/// A log line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// Greater than the ids of earlier lines.
    pub(crate) id: String,
    at_ms: i64,
    /// `app` for lines from inside the machine, `runner` for lines of the host.
    provider: String,
    message: String,
}

impl LogLine {
    /// The line as the logs endpoint returns it.
    pub(crate) fn view(&self, machine: &Machine) -> Value {
        let (instance, region) = (&machine.id, &machine.region);
        let attributes = json!({
            "timestamp": clock::format_millis(self.at_ms),
            "message": self.message,
            "level": "info",
            "instance": instance,
            "region": region,
            "meta": { "instance": instance, "region": region, "event": { "provider": self.provider } },
        });
        json!({ "id": self.id, "attributes": attributes })
    }
}

impl Machine {
    fn append_log(&mut self, at: i64, provider: &str, message: impl Into<String>) {
        let same_time = self
            .logs
            .iter()
            .rev()
            .take_while(|line| line.at_ms == at)
            .count();
        let id = ids::ordered_ulid(
            at,
            same_time,
            &["line", &self.id, &at.to_string(), &same_time.to_string()],
        );
        if self.logs.len() == MAX_LOG_LINES {
            self.logs.pop_front();
        }
        let (provider, message) = (provider.to_owned(), message.into());
        self.logs.push_back(LogLine {
            id,
            at_ms: at,
            provider,
            message,
        });
    }
}

/// Logs the boot of a machine.
pub(super) fn log_boot(machine: &mut Machine, at: i64) {
    machine.append_log(at, "app", " INFO Starting init (commit: 15238e9)...");
    let command = configured_command(machine);
    machine.append_log(
        at,
        "app",
        format!(" INFO Preparing to run: `{command}` as root"),
    );
}

/// The command in the configuration. The image's own command is not known in the sandbox.
fn configured_command(machine: &Machine) -> String {
    let words = |key: &str| {
        let list = machine
            .config
            .get("init")
            .and_then(|init| init.get(key)?.as_array());
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // `exec` replaces both entrypoint and command.
    let command = match words("exec") {
        exec if exec.is_empty() => [words("entrypoint"), words("cmd")].concat(),
        exec => exec,
    };
    if command.is_empty() {
        "/bin/app".to_owned()
    } else {
        command.join(" ")
    }
}

/// Logs what the rule makes the program print.
pub(super) fn log_program_output(machine: &mut Machine, behaviour: &ProgramBehaviour, at: i64) {
    for line in &behaviour.logs {
        machine.append_log(at, "app", line.clone());
    }
}

/// Logs a line that the program prints.
pub(super) fn log_line(machine: &mut Machine, at: i64, line: impl Into<String>) {
    machine.append_log(at, "app", line);
}

/// Logs the stop signal of a requested stop.
pub(super) fn log_stop_signal(machine: &mut Machine, at: i64) {
    let signal = machine
        .config
        .get("stop_config")
        .and_then(|stop| stop.get("signal")?.as_str());
    let signal = signal
        .filter(|signal| !signal.is_empty())
        .unwrap_or("SIGINT")
        .to_owned();
    machine.append_log(
        at,
        "app",
        format!(" INFO Sending signal {signal} to main child process w/ PID 628"),
    );
}

/// Logs the exit of the program.
pub(super) fn log_exit(machine: &mut Machine, exit: SimulatedExit, at: i64) {
    if exit.oom {
        machine.append_log(
            at,
            "app",
            "[    3.142592] Out of memory: Killed process 628 (app)",
        );
    }
    let message = match FATAL_SIGNALS
        .iter()
        .find(|(number, _)| *number == exit.signal)
    {
        Some((_, name)) => {
            format!(
                " INFO Main child exited with signal (with signal '{name}', core dumped? false)"
            )
        }
        None => format!(" INFO Main child exited normally with code: {}", exit.code),
    };
    machine.append_log(at, "app", message);
    if exit.oom {
        machine.append_log(at, "app", " INFO Process appears to have been OOM killed!");
    }
    machine.append_log(at, "app", " INFO Starting clean up.");
    machine.append_log(at, "app", "[    4.184512] reboot: Restarting system");
}

/// Logs that the host does not restart the machine anymore.
pub(super) fn log_max_restarts(machine: &mut Machine, at: i64) {
    let count = machine.restart_count;
    machine.append_log(
        at,
        "runner",
        format!("machine has reached its max restart count ({count})"),
    );
}
