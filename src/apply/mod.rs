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
    clouds::{CloudError, ErrorKind, MachineStatus, ProgressSink},
    kinds::{CloudWriters, Phase, StepResult, World},
    lock::LockLease,
    model::{Address, Name},
    plan::{Action, Approved, Plan, Step},
};

pub mod event;
mod leases;
mod lock;
mod queue;

pub use event::{ApplyEvent, ApplyFailure, ApplyReport, Outcome};
pub use queue::StepQueue;

/// How a run is carried out.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// How many steps run at once.
    pub concurrency: usize,
    /// Cancelled once: begin nothing more, finish what is under way.
    pub stop: CancellationToken,
    /// Cancelled: drop what is under way.
    pub abort: CancellationToken,
    /// When everything shall have ended: no step begins that cannot.
    pub deadline: Option<Instant>,
    /// How much faster than Fly the server runs; 1.0 is Fly.
    pub speed: f64,
    /// How long to wait for a lease, or the lock, that somebody else holds.
    pub lock_timeout: Duration,
}

impl ApplyOptions {
    /// Enough that a whole environment of a small team moves at once. Fly's limits are for each machine and app, and
    /// the pacing below keeps to them.
    pub const DEFAULT_CONCURRENCY: usize = 32;
    /// How long to wait when nothing is said: as long as the lock of a run that was killed can last, and half as much
    /// again.
    pub const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(160);

    /// Whether something that takes so long on Fly ends in time when it begins now.
    fn has_time(&self, secs: u64) -> bool {
        let takes = Duration::from_secs(secs).div_f64(self.speed);
        self.deadline
            .is_none_or(|until| Instant::now() + takes <= until)
    }
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            concurrency: Self::DEFAULT_CONCURRENCY,
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            deadline: None,
            speed: 1.0,
            lock_timeout: Self::DEFAULT_LOCK_TIMEOUT,
        }
    }
}

/// How long to wait for the answers to requests for leases when the user asks to stop.
const LEASE_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a spawned step comes back with; without a result when the lock was lost before it began.
type TaskOutput = (NodeIndex, Instant, Option<Result<StepResult, CloudError>>);

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
    clouds: &CloudWriters,
    world: World,
    conduct: &ApplyOptions,
    events: &UnboundedSender<ApplyEvent>,
) -> ApplyReport {
    let plan = approved.plan();
    let mut run = ApplyRun {
        plan,
        queue: StepQueue::new(plan.graph()),
        world: Arc::new(world),
        events,
        report: ApplyReport::new(),
        failed_apps: BTreeMap::new(),
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
    run.send_event(ApplyEvent::Begun {
        total: plan.graph().node_count(),
        estimate_secs,
    });
    let world = run.world.clone();
    let mut taking = std::pin::pin!(leases::acquire_leases(
        plan,
        clouds,
        &world,
        conduct.lock_timeout
    ));
    let taken = tokio::select! {
        taken = &mut taking => taken,
        // What is being taken is given back, so it must be known.
        () = conduct.stop.cancelled() => tokio::time::timeout(LEASE_STOP_TIMEOUT, &mut taking).await.unwrap_or(Ok(false)),
    };
    match taken {
        Ok(false) => run.run_steps(clouds, conduct).await,
        Ok(true) => run.report.outdated = true,
        Err(error) => run.report.halted = Some(ApplyFailure::from(&error)),
    }
    run.report.stopped = conduct.stop.is_cancelled();
    clouds.fly.leases().release_all().await;
    run.record_unfinished();
    run.report
}

/// The state of one run, held by one owner.
struct ApplyRun<'p> {
    plan: &'p Plan,
    queue: StepQueue<'p, Step, crate::plan::EdgeReason>,
    world: Arc<World>,
    events: &'p UnboundedSender<ApplyEvent>,
    report: ApplyReport,
    /// The apps whose rollout has failed, with the first step that did.
    failed_apps: BTreeMap<Name, Address>,
    lock: Option<&'p LockLease>,
}

/// Whether a step is a part of the rollout of its app.
fn is_rollout_step(step: &Step) -> bool {
    step.phase != Phase::Anytime
}

impl ApplyRun<'_> {
    /// Begins what can begin, and ends when nothing is under way and nothing more can.
    async fn run_steps(&mut self, clouds: &CloudWriters, conduct: &ApplyOptions) {
        let mut running: JoinSet<TaskOutput> = JoinSet::new();
        loop {
            while running.len() < conduct.concurrency && !conduct.stop.is_cancelled() {
                let Some(node) = self.queue.take_ready() else {
                    break;
                };
                if let Some(because) = self.failed_rollout_step(node).cloned() {
                    self.skip_with_dependents(node, &because);
                    continue;
                }
                if conduct.has_time(self.plan.step(node).cost.secs) {
                    self.start_step(node, clouds, &mut running);
                } else {
                    self.defer_step(node);
                }
            }
            let done = tokio::select! {
                done = running.join_next() => done,
                () = conduct.abort.cancelled() => break,
                () = lock::wait_until_lost(self.lock) => break self.record_lock_loss().await,
            };
            match done {
                None => break,
                Some(Ok((_, _, None))) => break self.record_lock_loss().await,
                Some(Ok((node, begun, Some(result)))) => self.finish_step(node, begun, result),
                // A step neither panics nor is cancelled while the loop lives; if one does, it counts as not finished.
                Some(Err(error)) => tracing::error!(%error, "a step was lost"),
            }
        }
        running.abort_all();
    }

    /// The lock is lost: nothing more is written, and what is under way is dropped.
    async fn record_lock_loss(&mut self) {
        self.report.lost = lock::confirm_held(self.lock)
            .await
            .err()
            .map(lock::lock_failure);
    }

    /// The failed step for which a step is not begun although it waits for nothing: when the rollout of an app fails
    /// anywhere, no further machine of the app changes.
    fn failed_rollout_step(&self, node: NodeIndex) -> Option<&Address> {
        let step = self.plan.step(node);
        self.failed_apps
            .get(&step.address.name().root())
            .filter(|_| is_rollout_step(step))
    }

    fn skip_with_dependents(&mut self, node: NodeIndex, because: &Address) {
        let all: Vec<NodeIndex> = [node].into_iter().chain(self.queue.fail(node)).collect();
        all.into_iter()
            .for_each(|node| self.record_skip(node, because));
    }

    fn defer_step(&mut self, node: NodeIndex) {
        self.queue.defer(node);
        if !std::mem::replace(&mut self.report.late, true) {
            self.send_event(ApplyEvent::OutOfTime);
        }
    }

    fn send_event(&self, event: ApplyEvent) {
        // Nobody listening is no reason to stop working.
        drop(self.events.send(event));
    }

    /// Passes on what a step sees while it waits.
    fn progress_sink(&self, address: &Address) -> ProgressSink {
        let (events, address) = (self.events.clone(), address.clone());
        ProgressSink::new(
            move |MachineStatus {
                      state,
                      checks_passing: passing,
                      checks_total: checks,
                      output: lines,
                  }| {
                let address = address.clone();
                drop(events.send(match lines.is_empty() {
                    true => ApplyEvent::Progress {
                        address,
                        state,
                        passing,
                        checks,
                    },
                    false => ApplyEvent::Output { address, lines },
                }));
            },
        )
    }

    fn start_step(
        &self,
        node: NodeIndex,
        clouds: &CloudWriters,
        running: &mut JoinSet<TaskOutput>,
    ) {
        let step = self.plan.step(node);
        self.send_event(ApplyEvent::Started {
            address: step.address.clone(),
            action: step.action,
        });
        tracing::info!(address = %step.address, action = ?step.action, "begins");
        let (mut clouds, world) = (clouds.clone(), self.world.clone());
        clouds.progress = self.progress_sink(&step.address);
        let (op, name) = (step.op.clone(), step.address.name().clone());
        running.spawn(async move {
            let begun = Instant::now();
            let lost = lock::confirm_held(clouds.lock.as_deref()).await.is_err();
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

    fn finish_step(
        &mut self,
        node: NodeIndex,
        begun: Instant,
        result: Result<StepResult, CloudError>,
    ) {
        let step = self.plan.step(node);
        let (address, action) = (step.address.clone(), step.action);
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(settled) => {
                Arc::make_mut(&mut self.world).record_result(address.name(), settled);
                self.queue.complete(node);
                self.report.record(address.clone(), action, Outcome::Done);
                self.send_event(ApplyEvent::Finished {
                    address,
                    action,
                    millis,
                });
            }
            Err(error) => {
                if is_rollout_step(self.plan.step(node)) && error.kind != ErrorKind::Busy {
                    self.failed_apps
                        .entry(address.name().root())
                        .or_insert_with(|| address.clone());
                }
                self.record_failure(&address, action, &error);
                for skipped in self.queue.fail(node) {
                    self.record_skip(skipped, &address);
                }
            }
        }
    }

    fn record_failure(&mut self, address: &Address, action: Action, error: &CloudError) {
        let (address, failure) = (address.clone(), ApplyFailure::from(error));
        if error.kind == ErrorKind::Busy {
            self.report
                .record(address.clone(), action, Outcome::HeldBack(failure.clone()));
            self.send_event(ApplyEvent::HeldBack {
                address,
                action,
                failure,
            });
        } else {
            self.report
                .record(address.clone(), action, Outcome::Failed(failure.clone()));
            self.send_event(ApplyEvent::Failed {
                address,
                action,
                failure,
            });
        }
    }

    fn record_skip(&mut self, node: NodeIndex, because: &Address) {
        let step = self.plan.step(node);
        let (address, action): (Address, Action) = (step.address.clone(), step.action);
        self.report.record(
            address.clone(),
            action,
            Outcome::Skipped {
                because: because.clone(),
            },
        );
        self.send_event(ApplyEvent::Skipped {
            address,
            action,
            because: because.clone(),
        });
    }

    /// What neither ran nor was skipped: the run was interrupted.
    fn record_unfinished(&mut self) {
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
