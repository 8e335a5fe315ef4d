//! Carries a plan out: many steps at once, none before what it waits for.
//!
//! The queue decides what may run and starts nothing; the loop here starts it and decides nothing. One owner holds all
//! state, and everything that a reader sees is an [`Event`].

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use petgraph::graph::NodeIndex;
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clouds::{CloudError, Clouds, Sign, Trouble, Voice, aws::lock::Lease},
    kinds::{Phase, Settled, World},
    model::{Address, Name},
    plan::{Action, Approved, Plan, Step},
};

pub mod event;
mod leases;
mod lock;
mod queue;

pub use event::{Event, Failure, Outcome, Report};
pub use queue::Queue;

/// How a run is carried out.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// How many steps run at once.
    pub width: usize,
    /// Cancelled once: begin nothing more, finish what is under way.
    pub stop: CancellationToken,
    /// Cancelled: drop what is under way.
    pub abort: CancellationToken,
    /// When everything shall have ended: no step begins that cannot.
    pub until: Option<Instant>,
    /// How much faster than Fly the server runs; 1.0 is Fly.
    pub speed: f64,
    /// How long to wait for a lease, or the lock, that somebody else holds.
    pub patience: Duration,
}

impl Conduct {
    /// Enough that a whole environment of a small team moves at once. Fly's limits are for each machine and app, and
    /// the pacing below keeps to them.
    pub const WIDTH: usize = 32;
    /// How long to wait when nothing is said: as long as the lock of a run that was killed can last, and half as much
    /// again.
    pub const PATIENCE: Duration = Duration::from_secs(160);

    /// Whether something that takes so long on Fly ends in time when it begins now.
    fn has_time(&self, secs: u64) -> bool {
        let takes = Duration::from_secs(secs).div_f64(self.speed);
        self.until
            .is_none_or(|until| Instant::now() + takes <= until)
    }
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            width: Self::WIDTH,
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            until: None,
            speed: 1.0,
            patience: Self::PATIENCE,
        }
    }
}

/// How long to wait for the answers to requests for leases when the user asks to stop.
const TAKING: Duration = Duration::from_secs(2);

/// What a spawned step comes back with; without a result when the lock was lost before it began.
type Done = (NodeIndex, Instant, Option<Result<Settled, CloudError>>);

/// Carries an approved plan out.
///
/// # Guarantees
/// Nothing begins before every machine that changes is leased, and the leases are given back however the run ends. No step
/// begins without the lock, where there is one; when it is lost, what is under way is dropped. Every
/// step ends with exactly one outcome. A failed step stops only what waits for it. When `stop` is cancelled, no further
/// step begins, and those under way are finished; when `abort` is cancelled they are dropped, which the next plan finds
/// out.
pub async fn apply(
    approved: &Approved,
    clouds: &Clouds,
    world: World,
    conduct: &Conduct,
    events: &UnboundedSender<Event>,
) -> Report {
    let plan = approved.plan();
    let mut run = Run {
        plan,
        queue: Queue::new(plan.graph()),
        world: Arc::new(world),
        events,
        report: Report::new(),
        failed: BTreeMap::new(),
        lock: clouds.lock.as_deref(),
    };
    let estimate = plan.estimate().div_f64(conduct.speed);
    let estimate_secs = Some(
        estimate
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX),
    );
    run.tell(Event::Begun {
        total: plan.graph().node_count(),
        estimate_secs,
    });
    let world = run.world.clone();
    let mut taking = std::pin::pin!(leases::take(plan, clouds, &world, conduct.patience));
    let taken = tokio::select! {
        taken = &mut taking => taken,
        // What is being taken is given back, so it must be known.
        () = conduct.stop.cancelled() => tokio::time::timeout(TAKING, &mut taking).await.unwrap_or(Ok(false)),
    };
    match taken {
        Ok(false) => run.all(clouds, conduct).await,
        Ok(true) => run.report.outdated = true,
        Err(error) => run.report.halted = Some(Failure::from(&error)),
    }
    run.report.stopped = conduct.stop.is_cancelled();
    clouds.fly.leases().release_all().await;
    run.rest();
    run.report
}

/// The state of one run, held by one owner.
struct Run<'p> {
    plan: &'p Plan,
    queue: Queue<'p, Step, crate::plan::Because>,
    world: Arc<World>,
    events: &'p UnboundedSender<Event>,
    report: Report,
    /// The apps whose rollout has failed, with the first step that did.
    failed: BTreeMap<Name, Address>,
    lock: Option<&'p Lease>,
}

/// Whether a step is a part of the rollout of its app.
fn is_rolled(step: &Step) -> bool {
    step.phase != Phase::Ground
}

impl Run<'_> {
    /// Begins what can begin, and ends when nothing is under way and nothing more can.
    async fn all(&mut self, clouds: &Clouds, conduct: &Conduct) {
        let mut running: JoinSet<Done> = JoinSet::new();
        loop {
            while running.len() < conduct.width && !conduct.stop.is_cancelled() {
                let Some(node) = self.queue.take() else { break };
                if let Some(because) = self.stopped(node).cloned() {
                    self.leave_out(node, &because);
                    continue;
                }
                if conduct.has_time(self.plan.step(node).takes.secs) {
                    self.start(node, clouds, &mut running);
                } else {
                    self.put_aside(node);
                }
            }
            let done = tokio::select! {
                done = running.join_next() => done,
                () = conduct.abort.cancelled() => break,
                () = lock::lost(self.lock) => break self.halt().await,
            };
            match done {
                None => break,
                Some(Ok((_, _, None))) => break self.halt().await,
                Some(Ok((node, begun, Some(result)))) => self.finish(node, begun, result),
                // A step neither panics nor is cancelled while the loop lives; if one does, it counts as not finished.
                Some(Err(error)) => tracing::error!(%error, "a step was lost"),
            }
        }
        running.abort_all();
    }

    /// The lock is lost: nothing more is written, and what is under way is dropped.
    async fn halt(&mut self) {
        self.report.lost = lock::confirm(self.lock).await.err().map(lock::loss);
    }

    /// The failed step for which a step is not begun although it waits for nothing: when the rollout of an app fails
    /// anywhere, no further machine of the app changes.
    fn stopped(&self, node: NodeIndex) -> Option<&Address> {
        let step = self.plan.step(node);
        self.failed
            .get(&step.address.name().root())
            .filter(|_| is_rolled(step))
    }

    fn leave_out(&mut self, node: NodeIndex, because: &Address) {
        let all: Vec<NodeIndex> = [node].into_iter().chain(self.queue.fail(node)).collect();
        all.into_iter().for_each(|node| self.skip(node, because));
    }

    fn put_aside(&mut self, node: NodeIndex) {
        self.queue.put_aside(node);
        if !std::mem::replace(&mut self.report.late, true) {
            self.tell(Event::OutOfTime);
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listening is no reason to stop working.
        drop(self.events.send(event));
    }

    /// Passes on what a step sees while it waits.
    fn voice(&self, address: &Address) -> Voice {
        let (events, address) = (self.events.clone(), address.clone());
        Voice::new(
            move |Sign {
                      state,
                      passing,
                      checks,
                      lines,
                  }| {
                let address = address.clone();
                drop(events.send(match lines.is_empty() {
                    true => Event::Progress {
                        address,
                        state,
                        passing,
                        checks,
                    },
                    false => Event::Output { address, lines },
                }));
            },
        )
    }

    fn start(&self, node: NodeIndex, clouds: &Clouds, running: &mut JoinSet<Done>) {
        let step = self.plan.step(node);
        self.tell(Event::Started {
            address: step.address.clone(),
            action: step.action,
        });
        tracing::info!(address = %step.address, action = ?step.action, "begins");
        let (mut clouds, world) = (clouds.clone(), self.world.clone());
        clouds.voice = self.voice(&step.address);
        let (op, name) = (step.op.clone(), step.address.name().clone());
        running.spawn(async move {
            let begun = Instant::now();
            let lost = lock::confirm(clouds.lock.as_deref()).await.is_err();
            (
                node,
                begun,
                if lost {
                    None
                } else {
                    Some(op.run(&name, &clouds, &world).await)
                },
            )
        });
    }

    fn finish(&mut self, node: NodeIndex, begun: Instant, result: Result<Settled, CloudError>) {
        let step = self.plan.step(node);
        let (address, action) = (step.address.clone(), step.action);
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(settled) => {
                Arc::make_mut(&mut self.world).settle(address.name(), settled);
                self.queue.succeed(node);
                self.report.record(address.clone(), action, Outcome::Done);
                self.tell(Event::Finished {
                    address,
                    action,
                    millis,
                });
            }
            Err(error) => {
                if is_rolled(self.plan.step(node)) && error.trouble != Trouble::Busy {
                    self.failed
                        .entry(address.name().root())
                        .or_insert_with(|| address.clone());
                }
                self.fail(&address, action, &error);
                for skipped in self.queue.fail(node) {
                    self.skip(skipped, &address);
                }
            }
        }
    }

    fn fail(&mut self, address: &Address, action: Action, error: &CloudError) {
        let (address, failure) = (address.clone(), Failure::from(error));
        if error.trouble == Trouble::Busy {
            self.report
                .record(address.clone(), action, Outcome::HeldBack(failure.clone()));
            self.tell(Event::HeldBack {
                address,
                action,
                failure,
            });
        } else {
            self.report
                .record(address.clone(), action, Outcome::Failed(failure.clone()));
            self.tell(Event::Failed {
                address,
                action,
                failure,
            });
        }
    }

    fn skip(&mut self, node: NodeIndex, because: &Address) {
        let step = self.plan.step(node);
        let (address, action): (Address, Action) = (step.address.clone(), step.action);
        self.report.record(
            address.clone(),
            action,
            Outcome::Skipped {
                because: because.clone(),
            },
        );
        self.tell(Event::Skipped {
            address,
            action,
            because: because.clone(),
        });
    }

    /// What neither ran nor was skipped: the run was interrupted.
    fn rest(&mut self) {
        for node in self.queue.unfinished() {
            let step = self.plan.step(node);
            let outcome = if self.queue.is_running(node) {
                Outcome::Unknown
            } else {
                Outcome::NotRun
            };
            self.report
                .record(step.address.clone(), step.action, outcome);
        }
    }
}
