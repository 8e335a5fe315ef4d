//! What machines print. No program runs here, so these are the lines of Fly's init around it, in its own words as they
//! stand in users' logs, and whatever a rule lets a program say.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::behaviour::{ProgramBehaviour, SimulatedExit};
use super::clock;
use super::ids;
use super::machine::Machine;

/// How many lines of a machine are kept: a crash loop prints some five a round, so this is several rounds.
const MAX_LOG_LINES: usize = 60;

/// The signals that programs die of, by number.
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

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// Later lines have greater identifiers.
    pub(crate) id: String,
    at_ms: i64,
    /// `app` for what comes from inside, `runner` for the host.
    provider: String,
    message: String,
}

impl LogLine {
    /// As the logs show it.
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
        let at_once = self
            .logs
            .iter()
            .rev()
            .take_while(|line| line.at_ms == at)
            .count();
        let mut draw =
            ids::derive_bytes(&["line", &self.id, &at.to_string(), &at_once.to_string()]);
        // Of two lines in one millisecond the later has the greater identifier.
        draw[0] = u8::try_from(at_once).unwrap_or(u8::MAX);
        if self.logs.len() == MAX_LOG_LINES {
            self.logs.pop_front();
        }
        let (provider, message) = (provider.to_owned(), message.into());
        self.logs.push_back(LogLine {
            id: ids::ulid(at, &draw),
            at_ms: at,
            provider,
            message,
        });
    }
}

/// The machine boots.
pub(super) fn log_boot(machine: &mut Machine, at: i64) {
    machine.append_log(at, "app", " INFO Starting init (commit: 15238e9)...");
    let command = configured_command(machine);
    machine.append_log(
        at,
        "app",
        format!(" INFO Preparing to run: `{command}` as root"),
    );
}

/// What the configuration says to run. What the image itself says is not known here.
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
    let all = match words("exec") {
        exec if exec.is_empty() => [words("entrypoint"), words("cmd")].concat(),
        exec => exec,
    };
    if all.is_empty() {
        "/bin/app".to_owned()
    } else {
        all.join(" ")
    }
}

/// The program says what its rule lets it say.
pub(super) fn log_program_output(machine: &mut Machine, behave: &ProgramBehaviour, at: i64) {
    for line in &behave.logs {
        machine.append_log(at, "app", line.clone());
    }
}

/// Somebody asked for a stop.
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

/// The program ended.
pub(super) fn log_exit(machine: &mut Machine, exit: SimulatedExit, at: i64) {
    if exit.oom {
        machine.append_log(
            at,
            "app",
            "[    3.142592] Out of memory: Killed process 628 (app)",
        );
    }
    let how = match FATAL_SIGNALS
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
    machine.append_log(at, "app", how);
    if exit.oom {
        machine.append_log(at, "app", " INFO Process appears to have been OOM killed!");
    }
    machine.append_log(at, "app", " INFO Starting clean up.");
    machine.append_log(at, "app", "[    4.184512] reboot: Restarting system");
}

/// The host restarts it no more.
pub(super) fn log_max_restarts(machine: &mut Machine, at: i64) {
    let count = machine.restart_count;
    machine.append_log(
        at,
        "runner",
        format!("machine has reached its max restart count ({count})"),
    );
}
