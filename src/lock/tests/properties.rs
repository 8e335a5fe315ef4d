//! Any number of runs, any faults, any order: never do two believe to have the lock at once, and nobody overwrites what is
//! another's.

use std::collections::VecDeque;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};
use tokio::task::JoinHandle;

use super::{
    LockError, LockRecord, RequestFault, SimulatedClient, Simulation, TestLease, secs, test_holder,
    test_location, timings_with_timeout,
};
use crate::lock::unlock::unlock;

#[derive(Clone, Debug)]
enum Event {
    /// A run begins to want it.
    Start(usize),
    /// It gives it back, or is killed.
    Stop(usize, bool),
    /// It makes sure that it has it.
    Confirm(usize),
    /// Somebody believes that whoever holds it is dead.
    Unlock,
    /// What happens to its next requests.
    NextFaults(usize, Vec<RequestFault>),
    /// From now on every request of it fails so.
    PermanentFault(usize, RequestFault),
    Sleep(usize),
    Wake(usize),
    SetClock(usize, bool),
    /// Time passes, in seconds.
    AdvanceTime(u64),
}

const RUNS: usize = 4;
/// How many cases a run of all tests has time for.
const CASES: u32 = 48;

/// The same cases on every machine; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask for others.
fn proptest_config() -> Config {
    let asked = Config::default();
    Config {
        cases: if asked.cases == 256 {
            CASES
        } else {
            asked.cases
        },
        rng_seed: if asked.rng_seed == RngSeed::Random {
            RngSeed::Fixed(5)
        } else {
            asked.rng_seed
        },
        failure_persistence: None,
        ..asked
    }
}

fn arbitrary_fault() -> impl Strategy<Value = RequestFault> {
    prop_oneof![
        Just(RequestFault::None),
        Just(RequestFault::RequestLost),
        Just(RequestFault::ResponseLost),
        Just(RequestFault::Conflict),
        Just(RequestFault::Hangs),
        (1_u64..40).prop_map(RequestFault::Slow),
        (1_u64..200).prop_map(RequestFault::AppliedLate),
    ]
}

fn arbitrary_event() -> impl Strategy<Value = Event> {
    let run = 0..RUNS;
    prop_oneof![
        3 => run.clone().prop_map(Event::Start),
        2 => (run.clone(), any::<bool>()).prop_map(|(run, kindly)| Event::Stop(run, kindly)),
        1 => run.clone().prop_map(Event::Confirm),
        1 => Just(Event::Unlock),
        3 => (run.clone(), vec(arbitrary_fault(), 1..6)).prop_map(|(run, faults)| Event::NextFaults(run, faults)),
        1 => (run.clone(), arbitrary_fault()).prop_map(|(run, fault)| Event::PermanentFault(run, fault)),
        1 => run.clone().prop_map(Event::Sleep),
        1 => run.clone().prop_map(Event::Wake),
        1 => (run, any::<bool>()).prop_map(|(run, forward)| Event::SetClock(run, forward)),
        6 => (1_u64..130).prop_map(Event::AdvanceTime),
    ]
}

/// A run, as far as it is.
enum RunState {
    Idle,
    Acquiring(JoinHandle<Result<TestLease, LockError>>),
    Holding(TestLease),
    /// It makes sure, and then has it or not.
    Confirming(JoinHandle<TestLease>),
}

struct Scenario {
    simulation: Simulation,
    clients: Vec<SimulatedClient>,
    runs: Vec<RunState>,
    started: usize,
}

impl Scenario {
    fn new() -> Self {
        let world = Simulation::default();
        // The servers' clocks differ, together by less than the margin.
        let nodes: Vec<SimulatedClient> = (0..RUNS).map(|_| world.new_client()).collect();
        for (node, skew) in nodes.iter().zip([0, 3, -3, 5]) {
            node.set_server_skew(skew);
        }
        Self {
            simulation: world,
            clients: nodes,
            runs: (0..RUNS).map(|_| RunState::Idle).collect(),
            started: 0,
        }
    }

    async fn apply_event(&mut self, event: Event) {
        match event {
            Event::Start(at) if matches!(self.runs[at], RunState::Idle) => {
                self.started += 1;
                let name = format!("run{}", self.started);
                let taker = self.clients[at]
                    .clone()
                    .acquirer(test_holder(&name), timings_with_timeout(400));
                self.runs[at] = RunState::Acquiring(tokio::spawn(taker.acquire(|_, _| {})));
            }
            Event::Stop(at, kindly) => {
                match std::mem::replace(&mut self.runs[at], RunState::Idle) {
                    RunState::Holding(lease) if kindly => {
                        drop(tokio::spawn(async move { lease.release().await }));
                    }
                    RunState::Acquiring(task) => task.abort(),
                    RunState::Confirming(task) => task.abort(),
                    RunState::Holding(_) | RunState::Idle => {}
                }
            }
            Event::Confirm(at) => match std::mem::replace(&mut self.runs[at], RunState::Idle) {
                RunState::Holding(lease) => {
                    self.runs[at] = RunState::Confirming(tokio::spawn(async move {
                        // Whether it was confirmed shows in `is_mine`.
                        drop(lease.ensure_held_for(secs(20)).await);
                        lease
                    }));
                }
                other => self.runs[at] = other,
            },
            Event::Unlock => {
                let (node, place) = (self.simulation.new_client(), test_location());
                if let Some(object) = self.simulation.object() {
                    let id = LockRecord::parse(&object).unwrap().short_id();
                    // Nobody may hold it by now.
                    let clock = node.clock();
                    drop(
                        self.simulation
                            .run_to_completion(unlock(&node, &clock, &place, &id))
                            .await,
                    );
                }
            }
            Event::NextFaults(at, faults) => self.clients[at].queue_faults(&faults),
            Event::PermanentFault(at, fault) => self.clients[at].set_permanent_fault(fault),
            Event::Sleep(at) => self.clients[at].fall_asleep(),
            Event::Wake(at) => self.clients[at].wake_up(),
            Event::SetClock(at, true) => self.clients[at].set_forward(secs(500)),
            // A machine that is set back while it sleeps cannot know that it slept.
            Event::SetClock(at, false) if !self.clients[at].is_asleep() => {
                self.clients[at].set_back(secs(500));
            }
            Event::AdvanceTime(length) => {
                for _ in 0..length {
                    self.simulation.advance(secs(1)).await;
                    self.check_invariants().await;
                }
            }
            Event::Start(_) | Event::SetClock(..) => {}
        }
        self.simulation.run_ready_tasks().await;
        self.check_invariants().await;
    }

    /// At most one has it, and what it has is what stands there.
    async fn check_invariants(&mut self) {
        for run in &mut self.runs {
            *run = match std::mem::replace(run, RunState::Idle) {
                RunState::Acquiring(task) if task.is_finished() => match task.await.unwrap() {
                    Ok(lease) => RunState::Holding(lease),
                    Err(_) => RunState::Idle,
                },
                RunState::Confirming(task) if task.is_finished() => {
                    RunState::Holding(task.await.unwrap())
                }
                other => other,
            };
        }
        let mine = self.runs.iter().filter_map(|run| match run {
            RunState::Holding(lease) if lease.is_held_for(secs(0)) => Some(lease.record()),
            _ => None,
        });
        let mine: Vec<_> = mine.collect();
        assert!(mine.len() <= 1, "{mine:#?}");
        if let Some(mine) = mine.first() {
            assert!(
                mine.is_same_acquisition(&self.simulation.record()),
                "{mine:?} is not what stands there"
            );
        }
    }
}

/// Every write follows the one before it: the same taking renewed or given back, or the next one of what was over.
fn assert_writes_in_order(world: &Simulation) {
    let written = world.writes();
    for pair in written.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        if after.is_same_acquisition(before) {
            assert!(
                !before.released,
                "{pair:#?}: what was given back was written again"
            );
            assert!(
                !before.unlocked || after.released,
                "{pair:#?}: what was ended was renewed"
            );
            continue;
        }
        assert_eq!(after.generation, before.generation + 1, "{pair:#?}");
        let over = after.acquired_at > before.expires_at;
        assert!(
            before.released || over,
            "{pair:#?}: it was taken from somebody"
        );
    }
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn never_do_two_have_it(events in vec(arbitrary_event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut story = Scenario::new();
            for event in VecDeque::from(events) {
                story.apply_event(event).await;
            }
            assert_writes_in_order(&story.simulation);
            // Whatever was, a run without faults gets it in the end.
            for node in &story.clients {
                node.set_permanent_fault(RequestFault::None);
            }
            for at in 0..RUNS {
                story.apply_event(Event::Stop(at, false)).await;
            }
            let last = story.simulation.new_client();
            let lease = story.simulation.run_to_completion(last.acquirer(test_holder("last"), timings_with_timeout(2000)).acquire(|_, _| {})).await;
            assert!(lease.unwrap().is_held_for(secs(60)));
        });
    }
}
