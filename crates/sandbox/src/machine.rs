//! A machine as the sandbox keeps it, and the questions asked about one.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::behaviour::SimulatedExit;
use super::console::LogLine;
use super::ids;
use super::world::JsonObject;

/// `GET …/events` answers at most 50, so no more are kept.
const MAX_EVENTS: usize = 50;
/// A machine that restarts for ever passes the same few states again and again; this many are plenty.
const MAX_PASSED_STATES: usize = 64;

/// The states of a machine that the API shows (fly.io/docs/machines/machine-states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MachineState {
    Created,
    Starting,
    Started,
    Stopping,
    Stopped,
    Restarting,
    Suspending,
    Suspended,
    Replacing,
    Failed,
    Destroying,
    Destroyed,
}

impl MachineState {
    /// As the API spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
            Self::Suspending => "suspending",
            Self::Suspended => "suspended",
            Self::Replacing => "replacing",
            Self::Failed => "failed",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether nothing more happens by itself; `wait?state=settled` waits for this.
    pub(crate) fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Started | Self::Stopped | Self::Suspended | Self::Failed | Self::Destroyed
        )
    }
}

/// What happens to a machine next, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum MachineTransition {
    /// A machine that was not to be launched is ready to be started.
    Prepared,
    /// The host begins to boot it.
    Boot,
    /// It runs.
    Started,
    /// Its program ends by itself.
    Exit(SimulatedExit),
    /// The stop that somebody asked for is done.
    Stopped,
    /// The stop half of a restart is done.
    Restarted,
    /// The suspension is done.
    Suspended,
    /// The new version is in place; boot it or leave it.
    Replaced { launch: bool },
    /// It disappears.
    Destroyed,
    /// The next run of a scheduled machine.
    Scheduled,
}

/// A step and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DueTransition {
    pub(crate) at_ms: i64,
    pub(crate) step: MachineTransition,
}

/// A lease: whoever holds the nonce may change the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) nonce: String,
    pub(crate) owner: String,
    pub(crate) description: String,
    pub(crate) expires_ms: i64,
}

/// An entry of a machine's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) source: String,
    pub(crate) timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Value>,
}

/// A configuration that a machine once had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfigVersion {
    pub(crate) version: String,
    pub(crate) user_config: JsonObject,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: MachineState,
    pub(crate) region: String,
    pub(crate) instance_id: String,
    pub(crate) private_ip: String,
    pub(crate) config: JsonObject,
    /// What its image's tag meant when the configuration was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_digest: Option<String>,
    pub(crate) versions: Vec<ConfigVersion>,
    /// Newest first.
    pub(crate) events: VecDeque<EventRecord>,
    /// States passed since somebody last asked for a change, each with its event: `wait` answers for a state that
    /// came and went between two polls.
    pub(crate) passed: Vec<(MachineState, i64)>,
    pub(crate) lease: Option<Lease>,
    pub(crate) cordoned: bool,
    pub(crate) host_status: String,
    pub(crate) secrets_version: u64,
    pub(crate) restart_count: u64,
    pub(crate) started_ms: Option<i64>,
    /// When a scheduled machine ran first: the origin of its period.
    pub(crate) first_run_ms: Option<i64>,
    pub(crate) memory_limit_mb: Option<u64>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) due: Option<DueTransition>,
    /// What it printed, oldest first.
    #[serde(default)]
    pub(crate) logs: VecDeque<LogLine>,
}

impl Machine {
    /// Whether it is destroyed, or on its way there; lists leave these out.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(
            self.state,
            MachineState::Destroyed | MachineState::Destroying
        )
    }

    /// `config.image`, as it was sent.
    pub(crate) fn image(&self) -> &str {
        self.config
            .get("image")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A metadata value.
    pub(crate) fn metadata_value(&self, key: &str) -> Option<&str> {
        self.config.get("metadata")?.get(key)?.as_str()
    }

    /// The process group flyctl and others mark machines with.
    pub(crate) fn process_group(&self) -> &str {
        self.metadata_value("fly_process_group")
            .or_else(|| self.metadata_value("process_group"))
            .unwrap_or_default()
    }

    /// The restart policy in force.
    pub(crate) fn restart_policy(&self) -> &str {
        let policy = self
            .config
            .get("restart")
            .and_then(|restart| restart.get("policy"));
        policy.and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it disappears when its program ends: only without restarts.
    pub(crate) fn is_auto_destroyed(&self) -> bool {
        self.config
            .get("auto_destroy")
            .and_then(Value::as_bool)
            .unwrap_or(false)
            && self.restart_policy() == "no"
    }

    /// How often it runs, if it runs by schedule.
    pub(crate) fn schedule(&self) -> Option<&str> {
        self.config.get("schedule").and_then(Value::as_str)
    }

    /// The volume it mounts.
    pub(crate) fn mounted_volume(&self) -> Option<&str> {
        self.config.get("mounts")?.get(0)?.get("volume")?.as_str()
    }

    /// Changes the state and writes it into the history.
    pub(crate) fn enter_state(&mut self, state: MachineState, at: i64, kind: &str, source: &str) {
        self.enter_state_with_details(state, at, kind, source, None);
    }

    /// The same, with the details that `exit` events carry.
    pub(crate) fn enter_state_with_details(
        &mut self,
        state: MachineState,
        at: i64,
        kind: &str,
        source: &str,
        request: Option<Value>,
    ) {
        self.set_state(state, at);
        self.record_event(kind, state.as_str(), source, at, request);
    }

    fn set_state(&mut self, state: MachineState, at: i64) {
        self.state = state;
        self.updated_ms = at;
        if self.passed.len() == MAX_PASSED_STATES {
            self.passed.remove(0);
        }
        self.passed.push((state, at));
    }

    /// Writes an event that changes no state.
    pub(crate) fn record_event(
        &mut self,
        kind: &str,
        status: &str,
        source: &str,
        at: i64,
        request: Option<Value>,
    ) {
        let at_once = self
            .events
            .iter()
            .take_while(|event| event.timestamp == at)
            .count();
        let mut draw = ids::derive_bytes(&[
            &self.id,
            kind,
            status,
            &at.to_string(),
            &at_once.to_string(),
        ]);
        // Of two events in one millisecond the later has the greater identifier: logs are told, and gone on with, in
        // this order.
        draw[0] = u8::try_from(at_once).unwrap_or(u8::MAX);
        self.events.push_front(EventRecord {
            id: ids::ulid(at, &draw),
            kind: kind.to_owned(),
            status: status.to_owned(),
            source: source.to_owned(),
            timestamp: at,
            request,
        });
        self.events.truncate(MAX_EVENTS);
    }

    /// Writes how its program ended.
    pub(crate) fn record_exit(
        &mut self,
        exit: SimulatedExit,
        requested: bool,
        restarting: bool,
        at: i64,
    ) {
        let request = json!({
            "exit_event": {
                "exit_code": exit.code,
                "guest_exit_code": exit.code,
                "guest_signal": exit.signal,
                "signal": exit.signal,
                "oom_killed": exit.oom,
                "requested_stop": requested,
                "restarting": restarting,
                "exited_at": super::clock::format_millis(at),
            },
            "restart_count": self.restart_count,
        });
        let next = if restarting {
            MachineState::Starting
        } else {
            MachineState::Stopped
        };
        self.set_state(next, at);
        // The event says `stopped` even when the host boots the machine again at once.
        self.record_event("exit", "stopped", "flyd", at, Some(request));
    }

    /// Sets what happens next.
    pub(crate) fn schedule_transition(&mut self, at_ms: i64, step: MachineTransition) {
        self.due = Some(DueTransition { at_ms, step });
    }

    /// Somebody asked for a change: what was before no longer answers a `wait`.
    pub(crate) fn reset_transitions(&mut self) {
        self.passed.clear();
        self.due = None;
    }
}
