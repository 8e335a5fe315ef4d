//! Any number of runs, any faults, any order: never do two believe to have the lock at once, and nobody overwrites what is
//! another's.

use std::collections::VecDeque;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};
use tokio::task::JoinHandle;

use super::{Fault, Lease, LockError, Node, Record, World, patient, place, secs, who};
use crate::clouds::aws::lock::unlock::unlock;

#[derive(Clone, Debug)]
enum Event {
    /// A run begins to want it.
    Begin(usize),
    /// It gives it back, or is killed.
    End(usize, bool),
    /// It makes sure that it has it.
    Confirm(usize),
    /// Somebody believes that whoever holds it is dead.
    Unlock,
    /// What happens to its next requests.
    Faults(usize, Vec<Fault>),
    /// From now on every request of it fails so.
    Broken(usize, Fault),
    Sleep(usize),
    Wake(usize),
    SetClock(usize, bool),
    /// Time passes, in seconds.
    Pass(u64),
}

const RUNS: usize = 4;
/// How many cases a run of all tests has time for.
const CASES: u32 = 48;

/// The same cases on every machine; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask for others.
fn config() -> Config {
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

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::None),
        Just(Fault::Lost),
        Just(Fault::AnswerLost),
        Just(Fault::Busy),
        Just(Fault::Hangs),
        (1_u64..40).prop_map(Fault::Slow),
        (1_u64..200).prop_map(Fault::Ghost),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let run = 0..RUNS;
    prop_oneof![
        3 => run.clone().prop_map(Event::Begin),
        2 => (run.clone(), any::<bool>()).prop_map(|(run, kindly)| Event::End(run, kindly)),
        1 => run.clone().prop_map(Event::Confirm),
        1 => Just(Event::Unlock),
        3 => (run.clone(), vec(fault(), 1..6)).prop_map(|(run, faults)| Event::Faults(run, faults)),
        1 => (run.clone(), fault()).prop_map(|(run, fault)| Event::Broken(run, fault)),
        1 => run.clone().prop_map(Event::Sleep),
        1 => run.clone().prop_map(Event::Wake),
        1 => (run, any::<bool>()).prop_map(|(run, forward)| Event::SetClock(run, forward)),
        6 => (1_u64..130).prop_map(Event::Pass),
    ]
}

/// A run, as far as it is.
enum Run {
    Nothing,
    Waits(JoinHandle<Result<Lease, LockError>>),
    Has(Lease),
    /// It makes sure, and then has it or not.
    Asks(JoinHandle<Lease>),
}

struct Story {
    world: World,
    nodes: Vec<Node>,
    runs: Vec<Run>,
    begun: usize,
}

impl Story {
    fn new() -> Self {
        let world = World::default();
        // The servers' clocks differ, together by less than the margin.
        let nodes: Vec<Node> = (0..RUNS).map(|_| world.node()).collect();
        for (node, skew) in nodes.iter().zip([0, 3, -3, 5]) {
            node.skew(skew);
        }
        Self {
            world,
            nodes,
            runs: (0..RUNS).map(|_| Run::Nothing).collect(),
            begun: 0,
        }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Begin(at) if matches!(self.runs[at], Run::Nothing) => {
                self.begun += 1;
                let name = format!("run{}", self.begun);
                let taker = self.nodes[at].clone().taker(who(&name), patient(400));
                self.runs[at] = Run::Waits(tokio::spawn(taker.take(|_, _| {})));
            }
            Event::End(at, kindly) => match std::mem::replace(&mut self.runs[at], Run::Nothing) {
                Run::Has(lease) if kindly => {
                    drop(tokio::spawn(async move { lease.release().await }))
                }
                Run::Waits(task) => task.abort(),
                Run::Asks(task) => task.abort(),
                Run::Has(_) | Run::Nothing => {}
            },
            Event::Confirm(at) => match std::mem::replace(&mut self.runs[at], Run::Nothing) {
                Run::Has(lease) => {
                    self.runs[at] = Run::Asks(tokio::spawn(async move {
                        // Whether it was confirmed shows in `is_mine`.
                        drop(lease.confirm(secs(20)).await);
                        lease
                    }));
                }
                other => self.runs[at] = other,
            },
            Event::Unlock => {
                let (node, place) = (self.world.node(), place());
                if let Some(object) = self.world.object() {
                    let id = Record::read(&object).unwrap().id();
                    // Nobody may hold it by now.
                    let clock = node.clock();
                    drop(self.world.run(unlock(&node, &clock, &place, &id)).await);
                }
            }
            Event::Faults(at, faults) => self.nodes[at].next(&faults),
            Event::Broken(at, fault) => self.nodes[at].always(fault),
            Event::Sleep(at) => self.nodes[at].fall_asleep(),
            Event::Wake(at) => self.nodes[at].wake(),
            Event::SetClock(at, true) => self.nodes[at].set_forward(secs(500)),
            // A machine that is set back while it sleeps cannot know that it slept.
            Event::SetClock(at, false) if !self.nodes[at].is_asleep() => {
                self.nodes[at].set_back(secs(500))
            }
            Event::Pass(length) => {
                for _ in 0..length {
                    self.world.pass(secs(1)).await;
                    self.look().await;
                }
            }
            Event::Begin(_) | Event::SetClock(..) => {}
        }
        self.world.settle().await;
        self.look().await;
    }

    /// At most one has it, and what it has is what stands there.
    async fn look(&mut self) {
        for run in &mut self.runs {
            *run = match std::mem::replace(run, Run::Nothing) {
                Run::Waits(task) if task.is_finished() => match task.await.unwrap() {
                    Ok(lease) => Run::Has(lease),
                    Err(_) => Run::Nothing,
                },
                Run::Asks(task) if task.is_finished() => Run::Has(task.await.unwrap()),
                other => other,
            };
        }
        let mine = self.runs.iter().filter_map(|run| match run {
            Run::Has(lease) if lease.is_mine(secs(0)) => Some(lease.record()),
            _ => None,
        });
        let mine: Vec<_> = mine.collect();
        assert!(mine.len() <= 1, "{mine:#?}");
        if let Some(mine) = mine.first() {
            assert!(
                mine.is_same(&self.world.record()),
                "{mine:?} is not what stands there"
            );
        }
    }
}

/// Every write follows the one before it: the same taking renewed or given back, or the next one of what was over.
fn is_in_order(world: &World) {
    let written = world.written();
    for pair in written.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        if after.is_same(before) {
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
    #![proptest_config(config())]

    #[test]
    fn never_do_two_have_it(events in vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut story = Story::new();
            for event in VecDeque::from(events) {
                story.happen(event).await;
            }
            is_in_order(&story.world);
            // Whatever was, a run without faults gets it in the end.
            for node in &story.nodes {
                node.always(Fault::None);
            }
            for at in 0..RUNS {
                story.happen(Event::End(at, false)).await;
            }
            let last = story.world.node();
            let lease = story.world.run(last.taker(who("last"), patient(2000)).take(|_, _| {})).await;
            assert!(lease.unwrap().is_mine(secs(60)));
        });
    }
}
