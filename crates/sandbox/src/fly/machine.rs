//! The stored state of a machine, and how it changes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::behaviour::SimulatedExit;
use super::console::LogLine;
use super::postgres::PgNode;
use crate::ids;
use crate::json;
use crate::world::JsonObject;

/// `GET …/events` returns at most 50 events, so no more are stored.
const MAX_EVENTS: usize = 50;
/// A machine in a restart loop passes the same few states over and over; this many are enough for
/// `wait`.
const MAX_PASSED_STATES: usize = 64;

/// The machine states of the API (fly.io/docs/machines/machine-states).
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
    /// The API's name of the state.
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

    /// Whether no transition follows without a request; `wait?state=settled` waits for such a
    /// state.
    pub(crate) fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Started | Self::Stopped | Self::Suspended | Self::Failed | Self::Destroyed
        )
    }
}

/// A state transition that happens without a request, when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum MachineTransition {
    /// A machine created with `skip_launch` has been prepared and becomes `stopped`.
    Prepared,
    /// The host begins to boot the machine.
    Boot,
    /// The machine is started.
    Started,
    /// The program exits by itself.
    Exit(SimulatedExit),
    /// The requested stop is complete.
    Stopped,
    /// The program has stopped for a restart; the boot follows.
    Restarted,
    /// The requested suspension is complete.
    Suspended,
    /// The old version has stopped for an update; the new one follows.
    OldVersionStopped { launch: bool },
    /// The new version is in place; `launch` decides whether it boots or stays stopped.
    Replaced { launch: bool },
    /// The machine is destroyed.
    Destroyed,
    /// The next run of a machine with a schedule begins.
    Scheduled,
    /// Something happens in the program of a Postgres node.
    Postgres,
}

/// A transition and when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DueTransition {
    pub(crate) at_ms: i64,
    pub(crate) step: MachineTransition,
}

/// A lease: only requests with its nonce may change the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) nonce: String,
    pub(crate) owner: String,
    pub(crate) description: String,
    pub(crate) expires_ms: i64,
}

/// An entry in the event list of a machine.
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

/// A version of a machine's configuration.
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
    /// The digest that the image's tag pointed to when the configuration was sent; `None` without
    /// an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_digest: Option<String>,
    pub(crate) versions: Vec<ConfigVersion>,
    /// Newest first.
    pub(crate) events: VecDeque<EventRecord>,
    /// The states entered since the last requested change, with their times. `wait` is also
    /// satisfied by a state that was entered and left between two polls.
    pub(crate) passed: Vec<(MachineState, i64)>,
    pub(crate) lease: Option<Lease>,
    pub(crate) cordoned: bool,
    pub(crate) host_status: String,
    pub(crate) secrets_version: u64,
    pub(crate) restart_count: u64,
    pub(crate) started_ms: Option<i64>,
    /// When a scheduled machine ran for the first time; its schedule counts from here.
    pub(crate) first_run_ms: Option<i64>,
    pub(crate) memory_limit_mb: Option<u64>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) due: Option<DueTransition>,
    /// Log lines, oldest first.
    #[serde(default)]
    pub(crate) logs: VecDeque<LogLine>,
    /// What its program does, while it is a Postgres node and started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<PgNode>,
}

impl Machine {
    /// Whether a program runs that an update has to stop first. During an update, that of the old
    /// version runs until it has stopped.
    pub(crate) fn is_running(&self) -> bool {
        match self.state {
            MachineState::Starting
            | MachineState::Started
            | MachineState::Stopping
            | MachineState::Restarting
            | MachineState::Suspending => true,
            MachineState::Replacing => self
                .due
                .is_some_and(|due| matches!(due.step, MachineTransition::OldVersionStopped { .. })),
            _ => false,
        }
    }

    /// Whether it is `destroyed` or `destroying`; most lists leave such machines out.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(
            self.state,
            MachineState::Destroyed | MachineState::Destroying
        )
    }

    /// `config.image`, as it was sent.
    pub(crate) fn image(&self) -> &str {
        json::string(self.config.get("image"))
    }

    /// A metadata value.
    pub(crate) fn metadata_value(&self, key: &str) -> Option<&str> {
        self.config.get("metadata")?.get(key)?.as_str()
    }

    /// The process group, from the metadata that flyctl and other clients set.
    pub(crate) fn process_group(&self) -> &str {
        self.metadata_value("fly_process_group")
            .or_else(|| self.metadata_value("process_group"))
            .unwrap_or_default()
    }

    /// The restart policy; empty when none is set.
    pub(crate) fn restart_policy(&self) -> &str {
        let policy = self
            .config
            .get("restart")
            .and_then(|restart| restart.get("policy"));
        policy.and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is destroyed when its program exits. Fly does this only with restart policy `no`.
    pub(crate) fn is_auto_destroyed(&self) -> bool {
        self.config
            .get("auto_destroy")
            .and_then(Value::as_bool)
            .unwrap_or(false)
            && self.restart_policy() == "no"
    }

    /// The schedule (`hourly`, `daily`, …), if it has one.
    pub(crate) fn schedule(&self) -> Option<&str> {
        self.config.get("schedule").and_then(Value::as_str)
    }

    /// An environment variable in the configuration.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        self.config.get("env")?.get(name)?.as_str()
    }

    /// The id of the mounted volume.
    pub(crate) fn mounted_volume(&self) -> Option<&str> {
        self.config.get("mounts")?.get(0)?.get("volume")?.as_str()
    }

    /// Changes the state and records an event.
    pub(crate) fn enter_state(&mut self, state: MachineState, at: i64, kind: &str, source: &str) {
        self.enter_state_with_details(state, at, kind, source, None);
    }

    /// Like [`Machine::enter_state`], with the request details that `exit` events carry.
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

    /// Records an event without changing the state.
    pub(crate) fn record_event(
        &mut self,
        kind: &str,
        status: &str,
        source: &str,
        at: i64,
        request: Option<Value>,
    ) {
        let same_time = self
            .events
            .iter()
            .take_while(|event| event.timestamp == at)
            .count();
        // Clients sort events by id and resume from one, so ids must keep the order of events.
        let id = ids::ordered_ulid(
            at,
            same_time,
            &[
                &self.id,
                kind,
                status,
                &at.to_string(),
                &same_time.to_string(),
            ],
        );
        self.events.push_front(EventRecord {
            id,
            kind: kind.to_owned(),
            status: status.to_owned(),
            source: source.to_owned(),
            timestamp: at,
            request,
        });
        self.events.truncate(MAX_EVENTS);
    }

    /// Records an `exit` event, and changes the state to `stopped`, or to `starting` before a
    /// restart.
    pub(crate) fn record_exit(
        &mut self,
        exit: SimulatedExit,
        requested: bool,
        restarting: bool,
        at: i64,
    ) {
        let next = if restarting {
            MachineState::Starting
        } else {
            MachineState::Stopped
        };
        self.set_state(next, at);
        self.record_exit_event(exit, requested, restarting, at);
    }

    /// Records an `exit` event without changing the state, as at the end of a replaced version.
    pub(crate) fn record_exit_event(
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
                "exited_at": crate::clock::format_millis(at),
            },
            "restart_count": self.restart_count,
        });
        // The event's status is `stopped` even when the host restarts the machine at once.
        self.record_event("exit", "stopped", "flyd", at, Some(request));
    }

    /// Sets the next transition and when it is due.
    pub(crate) fn schedule_transition(&mut self, at_ms: i64, step: MachineTransition) {
        self.due = Some(DueTransition { at_ms, step });
    }

    /// Cancels the next transition and forgets the passed states, so that they no longer satisfy a
    /// `wait`. Called when a change is requested.
    pub(crate) fn reset_transitions(&mut self) {
        self.passed.clear();
        self.due = None;
    }
}
