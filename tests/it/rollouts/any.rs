//! Any fleet, any second release, broken or not, with machines that sleep: what was promised holds at every moment.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use trimtab::{
    apply::{Outcome, Report},
    kinds::fly::Machine,
    model::{Address, Name},
    plan::Action,
};

use super::{
    config,
    fleet::{APP, BAD, Broken, Change, Fleet, GROUPS, Style, change, fleet},
    history::{History, View, now},
};
use crate::support::{Team, inputs};

/// One environment, and what somebody did to it by hand.
struct Trial {
    team: Team,
    history: History,
    /// Slots whose machines sleep.
    asleep: BTreeSet<String>,
    /// Slots whose machines are hidden from the proxy.
    hidden: BTreeSet<String>,
}

/// One apply: what there was, what there shall be, and its span of time.
struct Apply<'a> {
    next: &'a Fleet,
    broken: Option<Broken>,
    from: i64,
    to: i64,
}

/// A standby sleeps from its first moment on.
fn is_standby(slot: &str) -> bool {
    slot.ends_with("/standby")
}

async fn team(fleet: &Fleet) -> Team {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), fleet.manifest()).unwrap();
    Team::at(
        dir,
        "test",
        inputs(&[("SECRET_KEY", fleet.secret)]),
        Vec::new(),
    )
    .await
}

impl Trial {
    /// The first release, and some machines that were put to sleep, or hidden.
    async fn begin(fleet: &Fleet, naps: &[(usize, bool)], hidden: Option<usize>) -> Self {
        let team = team(fleet).await;
        team.apply().await;
        let world = team.world().await;
        let all = world
            .fly_machine
            .iter()
            .map(|(name, machine)| (name.to_string(), &machine.workload.id));
        let others: Vec<_> = all.filter(|(slot, _)| !is_standby(slot)).collect();
        let mut trial = Self {
            team,
            history: History::default(),
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
                trial.by_hand("POST", id, verb).await;
                trial
                    .by_hand("GET", id, &format!("wait?state={state}"))
                    .await;
            }
        }
        if let Some(pick) = hidden.filter(|_| !others.is_empty()) {
            let (slot, id) = &others[pick % others.len()];
            trial.by_hand("POST", id, "cordon").await;
            trial.hidden.insert(slot.clone());
        }
        trial.history.look(&trial.team).await;
        trial
    }

    async fn by_hand(&self, method: &str, id: &str, what: &str) {
        let path = format!("/v1/apps/{APP}/machines/{id}/{what}");
        self.team.by_hand(method, &path, Value::Null).await;
    }

    /// Applies a release and demands everything that holds of any apply.
    async fn apply(&mut self, before: &Fleet, next: &Fleet, broken: Option<Broken>) -> Report {
        self.team
            .inputs
            .environment
            .insert("SECRET_KEY".to_owned(), next.secret.to_owned());
        self.team.write(&next.manifest());
        self.history.look(&self.team).await;
        let old: BTreeMap<String, String> = self
            .history
            .there()
            .map(|life| (life.id.clone(), life.group.clone()))
            .collect();
        let asked = self.team.sandbox.requests().len();
        let from = now(&self.team).await;
        let report = self.team.try_apply(None).await.unwrap();
        let to = now(&self.team).await;
        self.history.look(&self.team).await;
        let apply = Apply {
            next,
            broken,
            from,
            to,
        };
        for (at, (group, name)) in next.groups.iter().zip(GROUPS).enumerate() {
            self.availability(&apply, at);
            if group.succeeds(next.strategy) {
                self.history.one_generation_serves(name, from, to);
            }
            if !before.changes(next, at) {
                self.untouched(name, &old, asked);
            }
        }
        self.sleep_on(&apply);
        self.outcome(&apply, &report).await;
        // Whatever was hidden by hand is shown by whatever apply got as far as its machine.
        self.hidden.clear();
        report
    }

    /// Whether the machine of a slot sleeps, and so does every machine that takes its place.
    fn sleeps(&self, slot: &str) -> bool {
        is_standby(slot) || self.asleep.contains(slot)
    }

    /// The slots of a group whose machines should serve all the time.
    fn awake(&self, apply: &Apply<'_>, at: usize) -> BTreeSet<&str> {
        let wanted = self.team.desired().fly_machine;
        let there = self.history.slots(GROUPS[at], apply.from, &|_| true);
        let stays = |slot: &&str| {
            wanted.contains_key(*slot) && !self.sleeps(slot) && !self.hidden.contains(*slot)
        };
        there.into_iter().filter(stays).collect()
    }

    /// Never more machines are unavailable than may be; where new ones come up beside old ones, none is, but for the
    /// moment in which they take over.
    fn availability(&self, apply: &Apply<'_>, at: usize) {
        let (group, name) = (&apply.next.groups[at], GROUPS[at]);
        let awake = self.awake(apply, at);
        // What crashes again and again is not well in between.
        let broken = apply
            .broken
            .is_some_and(|broken| apply.next.is_broken(broken, at));
        let is_well = |view: &View<'_>| view.is_well() && !(broken && view.image.contains(BAD));
        let down = awake
            .difference(&self.history.slots(name, apply.from, &is_well))
            .count();
        let succeeds = group.succeeds(apply.next.strategy);
        let told: Vec<i64> = self
            .history
            .group(name)
            .flat_map(|life| life.told(apply.from, apply.to))
            .collect();
        let window = told.iter().min().copied().zip(told.iter().max().copied());
        let allowed = match apply.next.allowed(group) {
            _ if succeeds => down,
            Some(allowed) => allowed.max(down),
            None => return,
        };
        for moment in self.history.moments(apply.from, apply.to) {
            let well = self.history.slots(name, moment, &is_well);
            let missing: Vec<_> = awake.difference(&well).collect();
            let taking_over = window.is_some_and(|(first, last)| (first..last).contains(&moment));
            assert!(
                missing.len() <= allowed || (succeeds && taking_over),
                "{} ms in, group {name}, {allowed} may be unavailable: {missing:?} of {awake:?}\n{:#?}",
                moment - apply.from,
                self.history.group(name).collect::<Vec<_>>(),
            );
        }
    }

    /// No machine of a group that does not change is written to.
    fn untouched(&self, group: &str, old: &BTreeMap<String, String>, asked: usize) {
        let requests = self.team.sandbox.requests();
        for id in old
            .iter()
            .filter(|(_, its)| *its == group)
            .map(|(id, _)| id)
        {
            let about = format!("/machines/{id}");
            let slot = &self
                .history
                .group(group)
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
    fn sleep_on(&self, apply: &Apply<'_>) {
        for life in GROUPS.iter().flat_map(|group| self.history.group(group)) {
            let woken = self.sleeps(&life.slot) && life.woke(apply.from, apply.to);
            assert!(!woken, "{life:#?} was woken");
        }
        for life in self.history.there().filter(|life| life.schedule) {
            assert!(!life.woke(apply.from, apply.to), "{life:#?} was started");
        }
    }

    /// Every machine is as it shall be, or the report says what stopped it and it is as it was.
    async fn outcome(&self, apply: &Apply<'_>, report: &Report) {
        let world = self.team.world().await;
        let mut fails = false;
        for (slot, spec) in &self.team.desired().fly_machine {
            let at = GROUPS
                .iter()
                .position(|group| *group == spec.group)
                .unwrap();
            let starts = !self.sleeps(slot.as_str());
            let broken = apply.broken.filter(|_| apply.next.is_bad());
            fails |= starts && broken.is_some_and(|broken| apply.next.is_broken(broken, at));
            match told(report, slot) {
                Told::Failed => assert!(broken.is_some(), "{slot}: {report:#?}"),
                Told::Done => {
                    let live = &world.fly_machine[slot].workload;
                    let text =
                        |pointer: &str| live.raw.pointer(pointer).cloned().unwrap_or_default();
                    let (image, release, memory) = apply.next.wants(at);
                    assert!(
                        text("/image").as_str().unwrap().starts_with(&image),
                        "{slot}: {live:#?}"
                    );
                    assert_eq!(
                        (text("/env/RELEASE"), text("/guest/memory_mb")),
                        (release.into(), memory.into())
                    );
                    assert!(
                        !live.health.cordoned && live.is_well() == starts,
                        "{slot}: {live:#?}"
                    );
                }
                Told::Skipped => {
                    let mut lives = self
                        .history
                        .there()
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
                self.history.there().filter(|life| !life.schedule).count(),
                world.fly_machine.len()
            );
            assert!(
                world.found.unmanaged.is_empty(),
                "{:?}",
                world.found.unmanaged
            );
        }
    }
}

/// What a report says of a slot as a whole.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Done,
    Failed,
    Skipped,
}

fn told(report: &Report, slot: &Name) -> Told {
    let address = Address::of::<Machine>(slot);
    let mine = report
        .outcomes
        .iter()
        .filter(|ended| ended.address == address);
    let mine: Vec<(Action, &Outcome)> = mine.map(|ended| (ended.action, &ended.outcome)).collect();
    if mine
        .iter()
        .any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    {
        Told::Failed
    } else if mine.iter().all(|(_, outcome)| **outcome == Outcome::Done) {
        Told::Done
    } else {
        Told::Skipped
    }
}

async fn holds(fleet: Fleet, change: Change, naps: Vec<(usize, bool)>, hidden: Option<usize>) {
    let mut trial = Trial::begin(&fleet, &naps, hidden).await;
    let (second, broken) = (fleet.after(&change), change.broken);
    if let Some(broken) = broken {
        trial
            .team
            .by_hand("POST", "/_sandbox/rules", broken.rule())
            .await;
    }
    let report = trial.apply(&fleet, &second, broken).await;
    if !report.is_complete() {
        // Whoever tries the same again gets no further, and breaks nothing more.
        trial.apply(&fleet, &second, broken).await;
        let repaired = second.repaired();
        let report = trial.apply(&second, &repaired, broken).await;
        assert!(report.is_complete(), "{report:#?}");
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn any_rollout_keeps_its_promises(
        fleet in fleet(),
        change in change(),
        naps in vec((0..20usize, any::<bool>()), 0..4),
        hidden in prop::option::weighted(0.2, 0..20usize),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(holds(fleet, change, naps, hidden));
    }
}

/// A program that crashes every few seconds runs most of the time, and so looks well to whoever looks once.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_nobody_saw_succeed_is_watched_before_the_next_machine_changes() {
    let regions = BTreeMap::from([("ewr", 3)]);
    let fleet = Fleet::plain(regions, Style::Rolling);
    let broken = Broken::later();
    let trial = Trial::begin(&fleet, &[], None).await;
    trial
        .team
        .by_hand("POST", "/_sandbox/rules", broken.rule())
        .await;
    trial.team.write(&fleet.broken().manifest());
    for _ in 0..2 {
        let report = trial.team.try_apply(None).await.unwrap();
        assert_eq!(report.counts(), (0, 1, 2, 0), "{report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_of_a_rollout_comes_too_soon() {
    // At this speed the spacing of requests is far longer than what a busy machine delays them by.
    const SPEED: f64 = 10.0;
    let fleet = Fleet::plain(BTreeMap::from([("ewr", 4)]), Style::BlueGreen).with_command();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), fleet.manifest()).unwrap();
    let team = Team::paced(dir, "test", inputs(&[]), Vec::new(), SPEED).await;
    team.apply().await;
    team.write(&fleet.repaired().manifest());
    team.apply().await;
    let requests = team.sandbox.requests();
    let refused: Vec<_> = requests
        .iter()
        .filter(|request| request.rate_limited)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
