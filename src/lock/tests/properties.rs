//! Several runs, any faults, in any order: two runs never believe to hold the lock at the same
//! time, and no run overwrites the lock of another.

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
    /// A run starts to acquire the lock.
    Start(usize),
    /// A run releases the lock (true) or is killed.
    Stop(usize, bool),
    /// A run confirms that it holds the lock.
    Confirm(usize),
    /// Somebody runs `trimtab unlock`.
    Unlock,
    /// What happens to the next requests of a run.
    NextFaults(usize, Vec<RequestFault>),
    /// What happens to all later requests of a run.
    PermanentFault(usize, RequestFault),
    Sleep(usize),
    Wake(usize),
    SetClock(usize, bool),
    /// Time passes, in seconds.
    AdvanceTime(u64),
}

const RUNS: usize = 4;
/// How many cases fit into an ordinary test run.
const CASES: u32 = 48;

/// The same cases on every machine; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` select others.
fn proptest_config() -> Config {
    let requested = Config::default();
    Config {
        cases: if requested.cases == 256 {
            CASES
        } else {
            requested.cases
        },
        rng_seed: if requested.rng_seed == RngSeed::Random {
            RngSeed::Fixed(5)
        } else {
            requested.rng_seed
        },
        failure_persistence: None,
        ..requested
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
        2 => (run.clone(), any::<bool>()).prop_map(|(run, with_release)| Event::Stop(run, with_release)),
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

/// The state of a run.
enum RunState {
    Idle,
    Acquiring(JoinHandle<Result<TestLease, LockError>>),
    Holding(TestLease),
    /// It confirms the lock, which may fail.
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
        let simulation = Simulation::default();
        // The servers' clocks differ, by less than the margin.
        let nodes: Vec<SimulatedClient> = (0..RUNS).map(|_| simulation.new_client()).collect();
        for (client, skew) in nodes.iter().zip([0, 3, -3, 5]) {
            client.set_server_skew(skew);
        }
        Self {
            simulation,
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
                let acquirer = self.clients[at]
                    .clone()
                    .acquirer(test_holder(&name), timings_with_timeout(400));
                self.runs[at] = RunState::Acquiring(tokio::spawn(acquirer.acquire(|_, _| {})));
            }
            Event::Stop(at, with_release) => {
                match std::mem::replace(&mut self.runs[at], RunState::Idle) {
                    RunState::Holding(lease) if with_release => {
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
                        // The result shows in `is_held_for`.
                        drop(lease.ensure_held_for(secs(20)).await);
                        lease
                    }));
                }
                other => self.runs[at] = other,
            },
            Event::Unlock => {
                let (client, place) = (self.simulation.new_client(), test_location());
                if let Some(object) = self.simulation.object() {
                    let id = LockRecord::parse(&object).unwrap().short_id();
                    // It fails if nobody holds the lock any more, which is fine.
                    let clock = client.clock();
                    drop(
                        self.simulation
                            .run_to_completion(unlock(&client, &clock, &place, &id))
                            .await,
                    );
                }
            }
            Event::NextFaults(at, faults) => self.clients[at].queue_faults(&faults),
            Event::PermanentFault(at, fault) => self.clients[at].set_permanent_fault(fault),
            Event::Sleep(at) => self.clients[at].fall_asleep(),
            Event::Wake(at) => self.clients[at].wake_up(),
            Event::SetClock(at, true) => self.clients[at].set_forward(secs(500)),
            // A machine whose clock is set back while it sleeps cannot know that it slept.
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

    /// At most one run holds the lock, and its record is the one in the store.
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

/// Every write continues the one before it: the same acquisition, renewed or released, or the next
/// acquisition of a lock that was over.
fn assert_writes_in_order(simulation: &Simulation) {
    let written = simulation.writes();
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
    fn two_runs_never_hold_it(events in vec(arbitrary_event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut story = Scenario::new();
            for event in VecDeque::from(events) {
                story.apply_event(event).await;
            }
            assert_writes_in_order(&story.simulation);
            // Whatever happened, a run without faults acquires the lock in the end.
            for client in &story.clients {
                client.set_permanent_fault(RequestFault::None);
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
