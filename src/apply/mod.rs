//! Applies a plan: runs many steps at once, and none before the steps that it waits for.
//!
//! The [`StepQueue`] decides which step may run and starts nothing; the loop in this file starts steps and decides nothing.
//! `ApplyRun` owns all state, so that no locks are needed. Everything that a user sees of an apply is an [`ApplyEvent`].

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
    lock::{LockLease, LockTimings},
    model::{Address, Name},
    plan::{Action, Approved, Plan, Step},
};

pub mod event;
mod learned_pace;
mod leases;
mod lock;
mod queue;
mod turns;

pub use event::{ApplyEvent, ApplyFailure, ApplyReport, Outcome};
use learned_pace::LearnedPace;
pub use queue::StepQueue;
use turns::CreationTurns;

/// How a plan is applied.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// How many steps may run at the same time, those that only wait for a machine included.
    pub concurrency: usize,
    /// When cancelled, no further step starts, and running steps are finished.
    pub stop: CancellationToken,
    /// When cancelled, running steps are dropped in the middle.
    pub abort: CancellationToken,
    /// When everything must be done. A step that is expected to take longer does not start.
    pub deadline: Option<Instant>,
    /// How much faster than Fly the server runs: 1.0 for Fly itself, more for a sandbox with a fast clock.
    pub speed: f64,
    /// How long to wait for a lease or the lock while another process holds it.
    pub lock_timeout: Duration,
}

impl ApplyOptions {
    /// It bounds memory and no more. Most steps only wait most of the time, so a limit of what the servers can take would hold
    /// back whatever could start beside them; the clients bound the requests in flight and keep to the rate limits.
    pub const DEFAULT_CONCURRENCY: usize = 4096;

    /// Whether what takes so long would end before the deadline if it started now.
    fn has_time(&self, duration: Duration) -> bool {
        self.deadline
            .is_none_or(|deadline| Instant::now() + duration <= deadline)
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
            lock_timeout: LockTimings::DEFAULT_ACQUIRE_TIMEOUT,
        }
    }
}

/// How long to wait for outstanding lease requests when the user asks to stop.
const LEASE_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The step, when it started, and its result; no result when the lock was lost before the step could start.
type TaskOutput = (NodeIndex, Instant, Option<Result<StepResult, CloudError>>);

/// Applies an approved plan.
///
/// # Guarantees
/// - No step starts before every machine that changes is leased. The leases are released however the apply ends.
/// - Where the environment has a lock, no step starts without it. When it is lost, running steps are dropped.
/// - Every step has exactly one outcome in the report.
/// - A failed step stops the steps that wait for it, and further changes of machines in the same app; others continue.
/// - When `stop` is cancelled, no further step starts and running steps are finished. When `abort` is cancelled, running
///   steps are dropped; the next plan finds out how far they came.
pub async fn apply(
    approved: &Approved,
    clouds: &CloudWriters,
    world: World,
    options: &ApplyOptions,
    events: &UnboundedSender<ApplyEvent>,
) -> ApplyReport {
    let plan = approved.plan();
    let mut run = ApplyRun {
        plan,
        queue: StepQueue::new(plan.graph()),
        world: Arc::new(world),
        events,
        report: ApplyReport::new(),
        turns: CreationTurns::new(options.speed),
        pace: LearnedPace::new(plan, options.speed),
        failed_apps: BTreeMap::new(),
        lock: clouds.lock.as_deref(),
    };
    let estimate_secs = to_millis(run.pace.estimate()).div_ceil(1000);
    run.send_event(ApplyEvent::Begun {
        total: plan.graph().node_count(),
        estimate_secs: Some(estimate_secs),
    });
    let world = run.world.clone();
    let on_wait = |event| drop(events.send(event));
    let mut acquiring = std::pin::pin!(leases::acquire_leases(
        plan,
        clouds,
        &world,
        options.lock_timeout,
        on_wait
    ));
    let acquired = tokio::select! {
        acquired = &mut acquiring => acquired,
        // A lease whose answer has not arrived could not be released, so outstanding requests are awaited for a moment.
        () = options.stop.cancelled() => tokio::time::timeout(LEASE_STOP_TIMEOUT, &mut acquiring).await.unwrap_or(Ok(false)),
    };
    match acquired {
        Ok(false) => run.run_steps(clouds, options).await,
        // Another process has changed something since: this plan describes an old state.
        Ok(true) => run.report.outdated = true,
        Err(error) => run.report.halted = Some(ApplyFailure::from(&error)),
    }
    run.report.stopped = options.stop.is_cancelled();
    clouds.fly.leases().release_all().await;
    run.record_unfinished();
    run.report
}

/// The state of one apply.
struct ApplyRun<'p> {
    plan: &'p Plan,
    queue: StepQueue<'p, Step, crate::plan::EdgeReason>,
    world: Arc<World>,
    events: &'p UnboundedSender<ApplyEvent>,
    report: ApplyReport,
    turns: CreationTurns,
    pace: LearnedPace,
    /// The apps whose rollout has failed, with the first step that failed.
    failed_apps: BTreeMap<Name, Address>,
    lock: Option<&'p LockLease>,
}

fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a step is a part of the rollout of its app.
fn is_rollout_step(step: &Step) -> bool {
    step.phase != Phase::Anytime
}

impl ApplyRun<'_> {
    /// Starts every step that may run, until no step runs and none can start.
    async fn run_steps(&mut self, clouds: &CloudWriters, options: &ApplyOptions) {
        let mut running: JoinSet<TaskOutput> = JoinSet::new();
        loop {
            let mut stopped = options.stop.is_cancelled();
            // Fill up the free places with ready steps.
            while running.len() < options.concurrency && !stopped {
                let Some(node) = self.next_step(options) else {
                    break;
                };
                if let Some(because) = self.failed_rollout_step(node).cloned() {
                    self.skip_with_dependents(node, &because);
                    continue;
                }
                if options.has_time(self.pace.stretch(self.plan.step(node).cost.duration)) {
                    self.start_step(node, clouds, &mut running);
                } else {
                    self.defer_step(node);
                }
                stopped = options.stop.is_cancelled();
            }
            // What waits for its turn has not begun, so after a stop request it stays for a later apply.
            let can_start = !stopped && running.len() < options.concurrency;
            if running.is_empty() && (stopped || self.turns.is_empty()) {
                break;
            }
            // Then wait for one step to end, or for the next turn. After a stop request running steps are finished, and the
            // inner loop starts no more.
            let done = tokio::select! {
                Some(done) = running.join_next() => done,
                () = self.turns.next_due(), if can_start => continue,
                () = options.stop.cancelled(), if !stopped => continue,
                () = options.abort.cancelled() => break,
                () = lock::wait_until_lost(self.lock) => break self.record_lock_loss().await,
            };
            match done {
                Ok((_, _, None)) => break self.record_lock_loss().await,
                Ok((node, started, Some(result))) => self.finish_step(node, started, result),
                // A step panicked, which is a bug. Its node stays "running" and is reported as unknown.
                Err(error) => tracing::error!(%error, "a step was lost"),
            }
        }
        running.abort_all();
    }

    /// The next step that may start: a creation whose turn has come, or else the first ready step that needs no later turn.
    fn next_step(&mut self, options: &ApplyOptions) -> Option<NodeIndex> {
        if let Some(node) = self.turns.take_due() {
            self.queue.resume(node);
            return Some(node);
        }
        loop {
            let node = self.queue.take_ready()?;
            let Step { address, cost, .. } = self.plan.step(node);
            let delay = match cost.is_create {
                true => self.turns.reserve(address.name().root()),
                false => Duration::ZERO,
            };
            if delay.is_zero() {
                return Some(node);
            }
            if options.has_time(delay.div_f64(options.speed) + self.pace.stretch(cost.duration)) {
                self.queue.defer(node);
                self.turns.hold(node, delay);
            } else {
                self.defer_step(node);
            }
        }
    }

    /// Records why the lock was lost. The caller leaves the loop, which drops all running steps.
    async fn record_lock_loss(&mut self) {
        self.report.lost = lock::confirm_held(self.lock)
            .await
            .err()
            .map(lock::lock_failure);
    }

    /// The failed step because of which a ready step must not start: once a rollout step of an app has failed, no other
    /// rollout step of this app starts, even in another process group where no edge forbids it.
    fn failed_rollout_step(&self, node: NodeIndex) -> Option<&Address> {
        let step = self.plan.step(node);
        self.failed_apps
            .get(&step.address.name().root())
            .filter(|_| is_rollout_step(step))
    }

    /// Skips a step that was handed out, and everything that waits for it.
    fn skip_with_dependents(&mut self, node: NodeIndex, because: &Address) {
        let all: Vec<NodeIndex> = [node].into_iter().chain(self.queue.fail(node)).collect();
        all.into_iter()
            .for_each(|node| self.record_skip(node, because));
    }

    /// Leaves a step that cannot end before the deadline to a later apply. The user is told once.
    fn defer_step(&mut self, node: NodeIndex) {
        self.queue.defer(node);
        if !std::mem::replace(&mut self.report.late, true) {
            self.send_event(ApplyEvent::OutOfTime);
        }
    }

    fn send_event(&self, event: ApplyEvent) {
        // The receiver may be gone when the terminal was closed. The apply continues.
        drop(self.events.send(event));
    }

    /// A sink that turns the progress of a step into events.
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

    /// Starts a step as a task of its own.
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
            let started = Instant::now();
            // The lock is checked in the task, directly before the first request of the step.
            let lost = lock::confirm_held(clouds.lock.as_deref()).await.is_err();
            (
                node,
                started,
                if lost {
                    None
                } else {
                    Some(op.run(&name, &clouds, &world).await)
                },
            )
        });
    }

    /// Records the result of a step, and decides what happens to the steps that wait for it.
    fn finish_step(
        &mut self,
        node: NodeIndex,
        started: Instant,
        result: Result<StepResult, CloudError>,
    ) {
        let step = self.plan.step(node);
        let (address, action) = (step.address.clone(), step.action);
        let (expected, elapsed) = (step.cost.duration, started.elapsed());
        match result {
            Ok(result) => {
                // Steps that are running keep the world that they were started with.
                Arc::make_mut(&mut self.world).record_result(address.name(), result);
                self.queue.complete(node);
                self.pace.record_step(expected, elapsed);
                self.report.record(address.clone(), action, Outcome::Done);
                self.send_event(ApplyEvent::Finished {
                    address,
                    action,
                    millis: to_millis(elapsed),
                    estimate_millis: to_millis(self.pace.estimate()),
                });
            }
            Err(error) => {
                // A busy machine, such as a running cron job, says nothing against the new version.
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

    /// Reports a failed step; one that met a busy machine is reported as left for a later apply.
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

    /// Reports a step that does not run because another one failed.
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

    /// Reports the steps that an interrupted apply did not finish. Of a dropped step nobody knows how far it came.
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
