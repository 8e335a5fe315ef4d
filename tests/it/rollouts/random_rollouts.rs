//! Any fleet, any second release, broken or not, with machines that sleep: what was promised holds at every moment.

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
    proptest_config,
};
use crate::support::{TestEnv, inputs_with};

/// One environment, and what somebody did to it by hand.
struct RolloutTest {
    team: TestEnv,
    history: AppHistory,
    /// Slots whose machines sleep.
    asleep: BTreeSet<String>,
    /// Slots whose machines are hidden from the proxy.
    hidden: BTreeSet<String>,
}

/// One apply: what there was, what there shall be, and its span of time.
struct ApplyWindow<'a> {
    next: &'a FleetSpec,
    broken: Option<BrokenRelease>,
    from: i64,
    to: i64,
}

/// A standby sleeps from its first moment on.
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
    /// The first release, and some machines that were put to sleep, or hidden.
    async fn start(fleet: &FleetSpec, naps: &[(usize, bool)], hidden: Option<usize>) -> Self {
        let team = start_environment(fleet).await;
        team.apply().await;
        let world = team.world().await;
        let all = world
            .fly_machine
            .iter()
            .map(|(name, machine)| (name.to_string(), &machine.workload.id));
        let others: Vec<_> = all.filter(|(slot, _)| !is_standby(slot)).collect();
        let mut trial = Self {
            team,
            history: AppHistory::default(),
            asleep: BTreeSet::new(),
            hidden: BTreeSet::new(),
        };
        for (pick, suspend) in naps.iter().filter(|_| !others.is_empty()) {
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
        trial.history.refresh(&trial.team).await;
        trial
    }

    async fn send_manual_request(&self, method: &str, id: &str, what: &str) {
        let path = format!("/v1/apps/{APP_NAME}/machines/{id}/{what}");
        self.team
            .send_manual_request(method, &path, Value::Null)
            .await;
    }

    /// Applies a release and demands everything that holds of any apply.
    async fn apply_and_check(
        &mut self,
        before: &FleetSpec,
        next: &FleetSpec,
        broken: Option<BrokenRelease>,
    ) -> ApplyReport {
        self.team
            .inputs
            .process_environment
            .insert("SECRET_KEY".to_owned(), next.secret.to_owned());
        self.team.write_manifest(&next.manifest());
        self.history.refresh(&self.team).await;
        let old: BTreeMap<String, String> = self
            .history
            .existing()
            .map(|life| (life.id.clone(), life.group.clone()))
            .collect();
        let asked = self.team.sandbox.requests().len();
        let from = sandbox_now(&self.team).await;
        let report = self.team.try_apply(None).await.unwrap();
        let to = sandbox_now(&self.team).await;
        self.history.refresh(&self.team).await;
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
                self.assert_group_untouched(name, &old, asked);
            }
        }
        self.assert_sleepers_not_woken(&apply);
        self.assert_outcome(&apply, &report).await;
        // Whatever was hidden by hand is shown by whatever apply got as far as its machine.
        self.hidden.clear();
        report
    }

    /// Whether the machine of a slot sleeps, and so does every machine that takes its place.
    fn is_asleep(&self, slot: &str) -> bool {
        is_standby(slot) || self.asleep.contains(slot)
    }

    /// The slots of a group whose machines should serve all the time.
    fn awake_slots(&self, apply: &ApplyWindow<'_>, at: usize) -> BTreeSet<&str> {
        let wanted = self.team.desired().fly_machine;
        let there = self.history.slots_where(GROUPS[at], apply.from, &|_| true);
        let stays = |slot: &&str| {
            wanted.contains_key(*slot) && !self.is_asleep(slot) && !self.hidden.contains(*slot)
        };
        there.into_iter().filter(stays).collect()
    }

    /// Never more machines are unavailable than may be; where new ones come up beside old ones, none is, but for the
    /// moment in which they take over.
    fn assert_availability(&self, apply: &ApplyWindow<'_>, at: usize) {
        let (group, name) = (&apply.next.groups[at], GROUPS[at]);
        let awake = self.awake_slots(apply, at);
        // What crashes again and again is not well in between.
        let broken = apply
            .broken
            .is_some_and(|broken| apply.next.breaks_group(broken, at));
        let is_well = |view: &MachineView<'_>| {
            view.is_healthy() && !(broken && view.image.contains(BROKEN_IMAGE))
        };
        let down = awake
            .difference(&self.history.slots_where(name, apply.from, &is_well))
            .count();
        let succeeds = group.is_blue_green(apply.next.strategy);
        let told: Vec<i64> = self
            .history
            .machines_of_group(name)
            .flat_map(|life| life.cordon_times(apply.from, apply.to))
            .collect();
        let window = told.iter().min().copied().zip(told.iter().max().copied());
        let allowed = match apply.next.max_unavailable_of(group) {
            _ if succeeds => down,
            Some(allowed) => allowed.max(down),
            None => return,
        };
        for moment in self.history.change_times(apply.from, apply.to) {
            let well = self.history.slots_where(name, moment, &is_well);
            let missing: Vec<_> = awake.difference(&well).collect();
            let taking_over = window.is_some_and(|(first, last)| (first..last).contains(&moment));
            assert!(
                missing.len() <= allowed || (succeeds && taking_over),
                "{} ms in, group {name}, {allowed} may be unavailable: {missing:?} of {awake:?}\n{:#?}",
                moment - apply.from,
                self.history.machines_of_group(name).collect::<Vec<_>>(),
            );
        }
    }

    /// No machine of a group that does not change is written to.
    fn assert_group_untouched(&self, group: &str, old: &BTreeMap<String, String>, asked: usize) {
        let requests = self.team.sandbox.requests();
        for id in old
            .iter()
            .filter(|(_, its)| *its == group)
            .map(|(id, _)| id)
        {
            let about = format!("/machines/{id}");
            let slot = &self
                .history
                .machines_of_group(group)
                .find(|life| life.id == *id)
                .unwrap()
                .slot;
            let writes: Vec<_> = requests[asked..]
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

    /// What sleeps is not woken, and neither is who takes its place; cron machines are not started.
    fn assert_sleepers_not_woken(&self, apply: &ApplyWindow<'_>) {
        for life in GROUPS
            .iter()
            .flat_map(|group| self.history.machines_of_group(group))
        {
            let woken = self.is_asleep(&life.slot) && life.was_started(apply.from, apply.to);
            assert!(!woken, "{life:#?} was woken");
        }
        for life in self.history.existing().filter(|life| life.is_cron) {
            assert!(
                !life.was_started(apply.from, apply.to),
                "{life:#?} was started"
            );
        }
    }

    /// Every machine is as it shall be, or the report says what stopped it and it is as it was.
    async fn assert_outcome(&self, apply: &ApplyWindow<'_>, report: &ApplyReport) {
        let world = self.team.world().await;
        let mut fails = false;
        for (slot, spec) in &self.team.desired().fly_machine {
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
                    let mut lives = self
                        .history
                        .existing()
                        .filter(|life| life.slot == slot.as_str());
                    assert!(
                        !lives.any(|life| life.was_updated(apply.from)),
                        "{slot} was updated all the same"
                    );
                }
            }
        }
        assert_eq!(report.is_complete(), !fails, "{report:#?}");
        if report.is_complete() {
            assert_eq!(self.team.summary().await, Vec::<String>::new());
            assert_eq!(
                self.history.existing().filter(|life| !life.is_cron).count(),
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

/// What a report says of a slot as a whole.
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
    naps: Vec<(usize, bool)>,
    hidden: Option<usize>,
) {
    let mut trial = RolloutTest::start(&fleet, &naps, hidden).await;
    let (second, broken) = (fleet.with_change(&change), change.broken);
    if let Some(broken) = broken {
        trial
            .team
            .send_manual_request("POST", "/_sandbox/rules", broken.sandbox_rule())
            .await;
    }
    let report = trial.apply_and_check(&fleet, &second, broken).await;
    if !report.is_complete() {
        // Whoever tries the same again gets no further, and breaks nothing more.
        trial.apply_and_check(&fleet, &second, broken).await;
        let repaired = second.with_working_image();
        let report = trial.apply_and_check(&second, &repaired, broken).await;
        assert!(report.is_complete(), "{report:#?}");
    }
}

proptest! {
    #![proptest_config(proptest_config(12))]

    #[test]
    fn any_rollout_keeps_its_guarantees(
        fleet in any_fleet(),
        change in any_release_change(),
        naps in vec((0..20usize, any::<bool>()), 0..4),
        hidden in prop::option::weighted(0.2, 0..20usize),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check_rollout(fleet, change, naps, hidden));
    }
}

/// A program that crashes every few seconds runs most of the time, and so looks well to whoever looks once.
#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_start_is_watched_before_next_machine() {
    let regions = BTreeMap::from([("ewr", 3)]);
    let fleet = FleetSpec::single_group(regions, RolloutStyle::Rolling);
    let broken = BrokenRelease::crash_later();
    let trial = RolloutTest::start(&fleet, &[], None).await;
    trial
        .team
        .send_manual_request("POST", "/_sandbox/rules", broken.sandbox_rule())
        .await;
    trial
        .team
        .write_manifest(&fleet.with_broken_image().manifest());
    for _ in 0..2 {
        let report = trial.team.try_apply(None).await.unwrap();
        assert_eq!(report.counts(), (0, 1, 2, 0), "{report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollout_is_not_rate_limited() {
    // At this speed the spacing of requests is far longer than what a busy machine delays them by.
    const SPEED: f64 = 10.0;
    let fleet = FleetSpec::single_group(BTreeMap::from([("ewr", 4)]), RolloutStyle::BlueGreen)
        .with_release_command();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), fleet.manifest()).unwrap();
    let team = TestEnv::with_speed(dir, "test", inputs_with(&[]), Vec::new(), SPEED).await;
    team.apply().await;
    team.write_manifest(&fleet.with_working_image().manifest());
    team.apply().await;
    let requests = team.sandbox.requests();
    let refused: Vec<_> = requests
        .iter()
        .filter(|request| request.rate_limited)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
