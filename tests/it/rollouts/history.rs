//! The history of every machine of an app, reconstructed from the events and versions that the
//! sandbox keeps. Polling would miss states that last only for a moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fleet::APP_NAME;
use crate::support::TestEnv;

/// How many events of a machine the sandbox keeps; older ones are dropped.
const MAX_EVENTS: usize = 50;
/// How long after its start a machine passes its first checks in the sandbox, in milliseconds.
const FIRST_CHECK_MS: i64 = 1_000;

/// The history of one machine.
#[derive(Debug)]
pub(crate) struct MachineHistory {
    pub(crate) id: String,
    /// Its slot in the manifest.
    pub(crate) slot: String,
    pub(crate) group: String,
    pub(crate) is_cron: bool,
    /// Whether it is cordoned now.
    pub(crate) cordoned: bool,
    pub(crate) state: String,
    versions: Vec<VersionRecord>,
    /// By id, and therefore by time.
    events: BTreeMap<String, EventRecord>,
}

#[derive(Debug)]
struct VersionRecord {
    at: i64,
    image: String,
    /// Everything that the machine is started with.
    fingerprint: String,
    has_checks: bool,
}

#[derive(Debug)]
struct EventRecord {
    at: i64,
    kind: String,
    /// The state after the event, unless it is about cordoning.
    state: Option<String>,
    /// Whether a program exited with code 0.
    exited_cleanly: bool,
}

/// A machine at one moment.
#[derive(Debug)]
pub(crate) struct MachineView<'l> {
    pub(crate) started: bool,
    pub(crate) cordoned: bool,
    /// Whether its first checks have been made.
    checks_done: bool,
    pub(crate) image: &'l str,
    pub(crate) fingerprint: &'l str,
}

impl MachineView<'_> {
    /// Whether the proxy sends requests to it.
    pub(crate) fn serves(&self) -> bool {
        self.started && !self.cordoned
    }

    /// Whether it serves, and its checks have had time to pass.
    pub(crate) fn is_healthy(&self) -> bool {
        self.serves() && self.checks_done
    }
}

/// All machines of the app that were ever seen, by id.
#[derive(Debug, Default)]
pub(crate) struct AppHistory(BTreeMap<String, MachineHistory>);

/// The time of the sandbox's clock, in milliseconds.
pub(crate) async fn sandbox_now(env: &TestEnv) -> i64 {
    env.send_manual_request("GET", "/_sandbox/clock", json!(null))
        .await["now_ms"]
        .as_i64()
        .unwrap()
}

/// The time in a ULID, in milliseconds.
fn ulid_time(ulid: &str) -> i64 {
    const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |c: char| i64::try_from(DIGITS.find(c).unwrap()).unwrap();
    ulid.chars()
        .take(10)
        .fold(0, |number, c| number * 32 + digit(c))
}

fn parse_version(value: &Value) -> VersionRecord {
    let mut config = value["user_config"].clone();
    let metadata = config["metadata"].take();
    config["standbys"] = json!(null);
    config["mounts"] = json!(null);
    let services = config["services"].as_array().into_iter().flatten();
    let checked = config["checks"]
        .as_object()
        .is_some_and(|checks| !checks.is_empty())
        || services
            .filter_map(|service| service["checks"].as_array())
            .any(|checks| !checks.is_empty());
    VersionRecord {
        at: ulid_time(value["version"].as_str().unwrap()),
        image: config["image"].as_str().unwrap().to_owned(),
        fingerprint: format!("{config} {}", metadata["trimtab_secrets"]),
        has_checks: checked,
    }
}

fn parse_event(value: &Value) -> (String, EventRecord) {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    let kind = text("type");
    let exit = &value["request"]["exit_event"];
    let (restarts, succeeds) = (exit["restarting"] == true, exit["exit_code"] == 0);
    let state = match kind.as_str() {
        "cordon" | "uncordon" => None,
        "exit" if restarts => Some("starting".to_owned()),
        _ => Some(text("status")),
    };
    (
        text("id"),
        EventRecord {
            at: value["timestamp"].as_i64().unwrap(),
            kind,
            state,
            exited_cleanly: succeeds,
        },
    )
}

impl MachineHistory {
    fn parse(machine: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |key: &str| machine[key].as_array().unwrap();
        let mut versions: Vec<VersionRecord> = list("versions").iter().map(parse_version).collect();
        versions.sort_by_key(|version| version.at);
        let first = &list("versions").last().unwrap()["user_config"];
        Self {
            id: text(&machine["id"]),
            slot: text(&first["metadata"]["trimtab_name"]),
            group: text(&first["metadata"]["fly_process_group"]),
            is_cron: !first["schedule"].is_null(),
            cordoned: machine["cordoned"] == true,
            state: text(&machine["state"]),
            versions,
            events: list("events").iter().map(parse_event).collect(),
        }
    }

    /// Adds earlier events that the sandbox has dropped since.
    fn merge_earlier(&mut self, before: Self) {
        // With as many events as the sandbox keeps, older ones may be gone; then the two looks must
        // overlap, so that nothing in between was missed.
        let cut = self.events.len() == MAX_EVENTS;
        let known = self
            .events
            .first_key_value()
            .is_some_and(|(id, _)| before.events.contains_key(id));
        assert!(!cut || known, "a history with a hole proves nothing");
        self.events.extend(before.events);
    }

    /// The machine at a moment; `None` before its creation and after its destruction.
    pub(crate) fn view_at(&self, moment: i64) -> Option<MachineView<'_>> {
        let version = self
            .versions
            .iter()
            .rev()
            .find(|version| version.at <= moment)?;
        // The state before the first cordon event is the opposite of what the event sets.
        let changes = || self.events.values().filter(|event| event.state.is_none());
        let mut cordoned = changes()
            .next()
            .map_or(self.cordoned, |event| event.kind == "uncordon");
        // Replay the events up to the moment.
        let (mut state, mut since) = ("", i64::MIN);
        for event in self.events.values().take_while(|event| event.at <= moment) {
            match &event.state {
                Some(next) => (state, since) = (next, event.at),
                None => cordoned = event.kind == "cordon",
            }
        }
        let started = state == "started";
        let checked = !version.has_checks || moment >= since + FIRST_CHECK_MS;
        let (image, generation) = (version.image.as_str(), version.fingerprint.as_str());
        (state != "destroyed").then_some(MachineView {
            started,
            cordoned,
            checks_done: checked,
            image,
            fingerprint: generation,
        })
    }

    /// Whether it was started between two moments.
    pub(crate) fn was_started(&self, from: i64, to: i64) -> bool {
        let wakes =
            |event: &&EventRecord| matches!(event.state.as_deref(), Some("starting" | "started"));
        self.events
            .values()
            .filter(wakes)
            .any(|event| (from..=to).contains(&event.at))
    }

    /// Whether its program ever exited with code 0.
    pub(crate) fn exited_cleanly(&self) -> bool {
        self.events.values().any(|event| event.exited_cleanly)
    }

    /// Whether it got a new configuration since a moment.
    pub(crate) fn was_updated(&self, from: i64) -> bool {
        self.versions
            .iter()
            .skip(1)
            .any(|version| version.at >= from)
    }

    /// When it was cordoned or uncordoned.
    pub(crate) fn cordon_times(&self, from: i64, to: i64) -> impl Iterator<Item = i64> {
        let mine = self
            .events
            .values()
            .filter(|event| event.state.is_none())
            .map(|event| event.at);
        mine.filter(move |at| (from..=to).contains(at))
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state.as_str(), "destroyed" | "destroying")
    }
}

impl AppHistory {
    /// Reads the current history from the sandbox.
    pub(crate) async fn refresh(&mut self, env: &TestEnv) {
        let state = env
            .send_manual_request("GET", "/_sandbox/state", json!(null))
            .await;
        for machine in state["apps"][APP_NAME]["machines"]
            .as_object()
            .unwrap()
            .values()
        {
            let mut machine = MachineHistory::parse(machine);
            match self.0.remove(&machine.id) {
                Some(before) => machine.merge_earlier(before),
                None => assert!(
                    machine.events.len() < MAX_EVENTS,
                    "a history without a beginning proves nothing"
                ),
            }
            self.0.insert(machine.id.clone(), machine);
        }
    }

    /// The machines that are not destroyed.
    pub(crate) fn existing(&self) -> impl Iterator<Item = &MachineHistory> {
        self.0.values().filter(|machine| !machine.is_gone())
    }

    /// Every moment between two at which the state of a machine may change.
    pub(crate) fn change_times(&self, from: i64, to: i64) -> BTreeSet<i64> {
        let events = self
            .0
            .values()
            .flat_map(|machine| machine.events.values())
            .map(|event| event.at);
        let all = events
            .flat_map(|at| [at, at + FIRST_CHECK_MS])
            .chain([from, to]);
        all.filter(|at| (from..=to).contains(at)).collect()
    }

    pub(crate) fn machines_of_group(&self, group: &str) -> impl Iterator<Item = &MachineHistory> {
        self.0
            .values()
            .filter(move |machine| machine.group == group && !machine.is_cron)
    }

    /// The slots of a group whose machine fulfills a condition at a moment.
    pub(crate) fn slots_where(
        &self,
        group: &str,
        at: i64,
        is: &dyn Fn(&MachineView<'_>) -> bool,
    ) -> BTreeSet<&str> {
        let matches = |machine: &&MachineHistory| machine.view_at(at).is_some_and(|view| is(&view));
        self.machines_of_group(group)
            .filter(matches)
            .map(|machine| machine.slot.as_str())
            .collect()
    }

    /// Asserts that at no moment two versions of a group serve side by side.
    pub(crate) fn assert_single_version_serves(&self, group: &str, from: i64, to: i64) {
        for at in self.change_times(from, to) {
            let mut serving: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for machine in self.machines_of_group(group) {
                if let Some(view) = machine.view_at(at).filter(MachineView::serves) {
                    serving
                        .entry(view.fingerprint)
                        .or_default()
                        .push(&machine.slot);
                }
            }
            assert!(
                serving.len() < 2,
                "{} ms in, group {group}: {serving:#?}",
                at - from
            );
        }
    }
}
