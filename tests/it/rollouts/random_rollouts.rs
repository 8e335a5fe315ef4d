//! Random fleets with stopped machines, and a random second release, which may be broken: the
//! guarantees of a rollout hold at every moment.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use trimtab::{
    apply::{ApplyReport, Outcome},
    kinds::fly::Machine,
    model::{Address, Name},
    plan::Action,
};

use super::{
    fleet::{
        APP_NAME, BROKEN_IMAGE, BrokenRelease, FleetSpec, GROUPS, ReleaseChange, RolloutStyle,
        any_fleet, any_release_change,
    },
    history::{AppHistory, MachineView, sandbox_now},
};
use crate::support::{TestEnv, inputs_with, proptest_config};

/// An environment, and the manual changes that were made to it.
struct RolloutTest {
    env: TestEnv,
    history: AppHistory,
    /// Slots whose machines are stopped or suspended.
    asleep: BTreeSet<String>,
    /// Slots whose machines are cordoned.
    hidden: BTreeSet<String>,
}

/// One apply: the new release, and the time that it took.
struct ApplyWindow<'a> {
    next: &'a FleetSpec,
    broken: Option<BrokenRelease>,
    from: i64,
    to: i64,
}

/// A standby is stopped from its creation on.
fn is_standby(slot: &str) -> bool {
    slot.ends_with("/standby")
}

async fn start_environment(fleet: &FleetSpec) -> TestEnv {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), fleet.manifest()).unwrap();
    TestEnv::with_manifests(
        dir,
        "test",
        inputs_with(&[("SECRET_KEY", fleet.secret)]),
        Vec::new(),
    )
    .await
}

impl RolloutTest {
    /// Applies the first release, then stops, suspends or cordons some machines.
    async fn start(fleet: &FleetSpec, stops: &[(usize, bool)], hidden: Option<usize>) -> Self {
        let env = start_environment(fleet).await;
        env.apply().await;
        let world = env.world().await;
        let all = world
            .fly_machine
            .iter()
            .map(|(name, machine)| (name.to_string(), &machine.workload.id));
        let others: Vec<_> = all.filter(|(slot, _)| !is_standby(slot)).collect();
        let mut trial = Self {
            env,
            history: AppHistory::default(),
            asleep: BTreeSet::new(),
            hidden: BTreeSet::new(),
        };
        for (pick, suspend) in stops.iter().filter(|_| !others.is_empty()) {
            let (slot, id) = &others[pick % others.len()];
            if trial.asleep.insert(slot.clone()) {
                let (verb, state) = if *suspend {
                    ("suspend", "suspended")
                } else {
                    ("stop", "stopped")
                };
                trial.send_manual_request("POST", id, verb).await;
                trial
                    .send_manual_request("GET", id, &format!("wait?state={state}"))
                    .await;
            }
        }
        if let Some(pick) = hidden.filter(|_| !others.is_empty()) {
            let (slot, id) = &others[pick % others.len()];
            trial.send_manual_request("POST", id, "cordon").await;
            trial.hidden.insert(slot.clone());
        }
        trial.history.refresh(&trial.env).await;
        trial
    }

    async fn send_manual_request(&self, method: &str, id: &str, action: &str) {
        let path = format!("/v1/apps/{APP_NAME}/machines/{id}/{action}");
        self.env
            .send_manual_request(method, &path, Value::Null)
            .await;
    }

    /// Applies a release and checks everything that must hold of any apply.
    async fn apply_and_check(
        &mut self,
        before: &FleetSpec,
        next: &FleetSpec,
        broken: Option<BrokenRelease>,
    ) -> ApplyReport {
        self.env
            .inputs
            .process_environment
            .insert("SECRET_KEY".to_owned(), next.secret.to_owned());
        self.env.write_manifest(&next.manifest());
        self.history.refresh(&self.env).await;
        let old: BTreeMap<String, String> = self
            .history
            .existing()
            .map(|machine| (machine.id.clone(), machine.group.clone()))
            .collect();
        let requests_before = self.env.sandbox.requests().len();
        let from = sandbox_now(&self.env).await;
        let report = self.env.try_apply(None).await.unwrap();
        let to = sandbox_now(&self.env).await;
        self.history.refresh(&self.env).await;
        let apply = ApplyWindow {
            next,
            broken,
            from,
            to,
        };
        for (at, (group, name)) in next.groups.iter().zip(GROUPS).enumerate() {
            self.assert_availability(&apply, at);
            if group.is_blue_green(next.strategy) {
                self.history.assert_single_version_serves(name, from, to);
            }
            if !before.group_changes(next, at) {
                self.assert_group_untouched(name, &old, requests_before);
            }
        }
        self.assert_sleepers_not_woken(&apply);
        self.assert_outcome(&apply, &report).await;
        // Every apply that gets as far as a cordoned machine uncordons it.
        self.hidden.clear();
        report
    }

    /// Whether the machine of a slot is stopped, and every machine that replaces it.
    fn is_asleep(&self, slot: &str) -> bool {
        is_standby(slot) || self.asleep.contains(slot)
    }

    /// The slots of a group whose machines should serve all the time.
    fn awake_slots(&self, apply: &ApplyWindow<'_>, at: usize) -> BTreeSet<&str> {
        let wanted = self.env.desired().fly_machine;
        let existing = self.history.slots_where(GROUPS[at], apply.from, &|_| true);
        let stays = |slot: &&str| {
            wanted.contains_key(*slot) && !self.is_asleep(slot) && !self.hidden.contains(*slot)
        };
        existing.into_iter().filter(stays).collect()
    }

    /// Asserts that never more machines are unavailable than allowed. With blue-green none may be,
    /// except for the moment of the handover.
    fn assert_availability(&self, apply: &ApplyWindow<'_>, at: usize) {
        let (group, name) = (&apply.next.groups[at], GROUPS[at]);
        let expected_slots = self.awake_slots(apply, at);
        // A machine in a crash loop is not healthy between two crashes.
        let broken = apply
            .broken
            .is_some_and(|broken| apply.next.breaks_group(broken, at));
        let is_well = |view: &MachineView<'_>| {
            view.is_healthy() && !(broken && view.image.contains(BROKEN_IMAGE))
        };
        let unavailable_before = expected_slots
            .difference(&self.history.slots_where(name, apply.from, &is_well))
            .count();
        let succeeds = group.is_blue_green(apply.next.strategy);
        let handover_times: Vec<i64> = self
            .history
            .machines_of_group(name)
            .flat_map(|machine| machine.cordon_times(apply.from, apply.to))
            .collect();
        let window = handover_times
            .iter()
            .min()
            .copied()
            .zip(handover_times.iter().max().copied());
        let allowed = match apply.next.max_unavailable_of(group) {
            _ if succeeds => unavailable_before,
            Some(allowed) => allowed.max(unavailable_before),
            None => return,
        };
        for moment in self.history.change_times(apply.from, apply.to) {
            let well = self.history.slots_where(name, moment, &is_well);
            let missing: Vec<_> = expected_slots.difference(&well).collect();
            let taking_over = window.is_some_and(|(first, last)| (first..last).contains(&moment));
            assert!(
                missing.len() <= allowed || (succeeds && taking_over),
                "{} ms in, group {name}, {allowed} may be unavailable: {missing:?} of {expected_slots:?}\n{:#?}",
                moment - apply.from,
                self.history.machines_of_group(name).collect::<Vec<_>>(),
            );
        }
    }

    /// Asserts that no machine of an unchanged group was written to.
    fn assert_group_untouched(
        &self,
        group: &str,
        old: &BTreeMap<String, String>,
        requests_before: usize,
    ) {
        let requests = self.env.sandbox.requests();
        for id in old
            .iter()
            .filter(|(_, machine_group)| *machine_group == group)
            .map(|(id, _)| id)
        {
            let about = format!("/machines/{id}");
            let slot = &self
                .history
                .machines_of_group(group)
                .find(|machine| machine.id == *id)
                .unwrap()
                .slot;
            let writes: Vec<_> = requests[requests_before..]
                .iter()
                .filter(|request| request.method != "GET" && request.path.contains(&about))
                .filter(|request| !request.path.ends_with("/lease") && !self.hidden.contains(slot))
                .collect();
            assert!(
                writes.is_empty(),
                "group {group} does not change: {writes:#?}"
            );
        }
    }

    /// Asserts that stopped machines and their replacements were not started, and neither were cron
    /// machines.
    fn assert_sleepers_not_woken(&self, apply: &ApplyWindow<'_>) {
        for machine in GROUPS
            .iter()
            .flat_map(|group| self.history.machines_of_group(group))
        {
            let woken = self.is_asleep(&machine.slot) && machine.was_started(apply.from, apply.to);
            assert!(!woken, "{machine:#?} was woken");
        }
        for machine in self.history.existing().filter(|machine| machine.is_cron) {
            assert!(
                !machine.was_started(apply.from, apply.to),
                "{machine:#?} was started"
            );
        }
    }

    /// Asserts that every machine is as desired, or that the report names the failure and the
    /// machine is unchanged.
    async fn assert_outcome(&self, apply: &ApplyWindow<'_>, report: &ApplyReport) {
        let world = self.env.world().await;
        let mut fails = false;
        for (slot, spec) in &self.env.desired().fly_machine {
            let at = GROUPS
                .iter()
                .position(|group| *group == spec.group)
                .unwrap();
            let starts = !self.is_asleep(slot.as_str());
            let broken = apply.broken.filter(|_| apply.next.has_broken_image());
            fails |= starts && broken.is_some_and(|broken| apply.next.breaks_group(broken, at));
            match slot_outcome(report, slot) {
                SlotOutcome::Failed => assert!(broken.is_some(), "{slot}: {report:#?}"),
                SlotOutcome::Done => {
                    let live = &world.fly_machine[slot].workload;
                    let text =
                        |pointer: &str| live.raw.pointer(pointer).cloned().unwrap_or_default();
                    let (image, release, memory) = apply.next.expected_config(at);
                    assert!(
                        text("/image").as_str().unwrap().starts_with(&image),
                        "{slot}: {live:#?}"
                    );
                    assert_eq!(
                        (text("/env/RELEASE"), text("/guest/memory_mb")),
                        (release.into(), memory.into())
                    );
                    assert!(
                        !live.health.cordoned && live.is_healthy() == starts,
                        "{slot}: {live:#?}"
                    );
                }
                SlotOutcome::Skipped => {
                    let mut machines = self
                        .history
                        .existing()
                        .filter(|machine| machine.slot == slot.as_str());
                    assert!(
                        !machines.any(|machine| machine.was_updated(apply.from)),
                        "{slot} was updated all the same"
                    );
                }
            }
        }
        assert_eq!(report.is_complete(), !fails, "{report:#?}");
        if report.is_complete() {
            assert_eq!(self.env.summary().await, Vec::<String>::new());
            assert_eq!(
                self.history
                    .existing()
                    .filter(|machine| !machine.is_cron)
                    .count(),
                world.fly_machine.len()
            );
            assert!(
                world.findings.unmanaged.is_empty(),
                "{:?}",
                world.findings.unmanaged
            );
        }
    }
}

/// The result of a report for a slot as a whole.
#[derive(Debug, PartialEq, Eq)]
enum SlotOutcome {
    Done,
    Failed,
    Skipped,
}

fn slot_outcome(report: &ApplyReport, slot: &Name) -> SlotOutcome {
    let address = Address::new::<Machine>(slot);
    let mine = report
        .outcomes
        .iter()
        .filter(|ended| ended.address == address);
    let mine: Vec<(Action, &Outcome)> = mine.map(|ended| (ended.action, &ended.outcome)).collect();
    if mine
        .iter()
        .any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    {
        SlotOutcome::Failed
    } else if mine.iter().all(|(_, outcome)| **outcome == Outcome::Done) {
        SlotOutcome::Done
    } else {
        SlotOutcome::Skipped
    }
}

async fn check_rollout(
    fleet: FleetSpec,
    change: ReleaseChange,
    stops: Vec<(usize, bool)>,
    hidden: Option<usize>,
) {
    let mut trial = RolloutTest::start(&fleet, &stops, hidden).await;
    let (second, broken) = (fleet.with_change(&change), change.broken);
    if let Some(broken) = broken {
        trial
            .env
            .send_manual_request("POST", "/_sandbox/rules", broken.sandbox_rule())
            .await;
    }
    let report = trial.apply_and_check(&fleet, &second, broken).await;
    if !report.is_complete() {
        // Another attempt with the same release gets no further, and breaks nothing more.
        trial.apply_and_check(&fleet, &second, broken).await;
        let repaired = second.with_working_image();
        let report = trial.apply_and_check(&second, &repaired, broken).await;
        assert!(report.is_complete(), "{report:#?}");
    }
}

proptest! {
    #![proptest_config(proptest_config(4))]

    #[test]
    fn any_rollout_keeps_its_guarantees(
        fleet in any_fleet(),
        change in any_release_change(),
        stops in vec((0..20usize, any::<bool>()), 0..4),
        hidden in prop::option::weighted(0.2, 0..20usize),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check_rollout(fleet, change, stops, hidden));
    }
}

/// A program that crashes every few seconds is up most of the time, and looks healthy to a single
/// check.
#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_start_is_watched_before_next_machine() {
    let regions = BTreeMap::from([("ewr", 3)]);
    let fleet = FleetSpec::single_group(regions, RolloutStyle::Rolling);
    let broken = BrokenRelease::crash_later();
    let trial = RolloutTest::start(&fleet, &[], None).await;
    trial
        .env
        .send_manual_request("POST", "/_sandbox/rules", broken.sandbox_rule())
        .await;
    trial
        .env
        .write_manifest(&fleet.with_broken_image().manifest());
    for _ in 0..2 {
        let report = trial.env.try_apply(None).await.unwrap();
        assert_eq!(report.counts(), (0, 1, 2, 0), "{report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollout_is_not_rate_limited() {
    // At this speed the spacing of requests is far larger than the delays of a busy machine.
    const SPEED: f64 = 10.0;
    let fleet = FleetSpec::single_group(BTreeMap::from([("ewr", 4)]), RolloutStyle::BlueGreen)
        .with_release_command();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), fleet.manifest()).unwrap();
    let env = TestEnv::with_speed(dir, "test", inputs_with(&[]), Vec::new(), SPEED).await;
    env.apply().await;
    env.write_manifest(&fleet.with_working_image().manifest());
    env.apply().await;
    let requests = env.sandbox.requests();
    let refused: Vec<_> = requests
        .iter()
        .filter(|request| request.rate_limited)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
