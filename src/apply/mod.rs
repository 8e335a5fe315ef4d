//! Carries a plan out: many steps at once, none before what it waits for.
//!
//! The queue decides what may run and starts nothing; the loop here starts it and decides nothing. One owner holds all
//! state, and everything that a reader sees is an [`Event`].

use std::{sync::Arc, time::Instant};

use petgraph::graph::NodeIndex;
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clouds::{CloudError, Clouds},
    kinds::{Settled, World},
    model::Address,
    plan::{Action, Approved, Plan},
};

pub mod event;
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
}

impl Conduct {
    /// Enough that a whole environment of a small team moves at once. Fly's limits are for each machine and app, and
    /// the pacing below keeps to them.
    pub const WIDTH: usize = 32;
}

impl Default for Conduct {
    fn default() -> Self {
        Self { width: Self::WIDTH, stop: CancellationToken::new(), abort: CancellationToken::new() }
    }
}

/// What a spawned step comes back with.
type Done = (NodeIndex, Instant, Result<Settled, CloudError>);

/// Carries an approved plan out.
///
/// # Guarantees
/// Every step ends with exactly one outcome. A failed step stops only what waits for it. When `stop` is cancelled, no
/// further step begins, and those under way are finished; when `abort` is cancelled they are dropped, which the next
/// plan finds out.
pub async fn apply(
    approved: &Approved,
    clouds: &Clouds,
    world: World,
    conduct: &Conduct,
    events: &UnboundedSender<Event>,
) -> Report {
    let plan = approved.plan();
    let mut run =
        Run { plan, queue: Queue::new(plan.graph()), world: Arc::new(world), events, report: Report::new() };
    let mut running: JoinSet<Done> = JoinSet::new();
    loop {
        while running.len() < conduct.width && !conduct.stop.is_cancelled() {
            let Some(node) = run.queue.take() else { break };
            run.start(node, clouds, &mut running);
        }
        let done = tokio::select! {
            done = running.join_next() => done,
            () = conduct.abort.cancelled() => break,
        };
        match done {
            None => break,
            Some(Ok(done)) => run.finish(done),
            // A step neither panics nor is cancelled while the loop lives; if one does, it counts as not finished.
            Some(Err(error)) => tracing::error!(%error, "a step was lost"),
        }
    }
    running.abort_all();
    run.rest();
    run.report
}

/// The state of one run, held by one owner.
struct Run<'p> {
    plan: &'p Plan,
    queue: Queue<'p, crate::plan::Step, crate::plan::Because>,
    world: Arc<World>,
    events: &'p UnboundedSender<Event>,
    report: Report,
}

impl Run<'_> {
    fn tell(&self, event: Event) {
        // Nobody listening is no reason to stop working.
        drop(self.events.send(event));
    }

    fn start(&self, node: NodeIndex, clouds: &Clouds, running: &mut JoinSet<Done>) {
        let step = self.plan.step(node);
        self.tell(Event::Started { address: step.address.clone(), action: step.action });
        tracing::info!(address = %step.address, action = ?step.action, "begins");
        let (clouds, world) = (clouds.clone(), self.world.clone());
        let (op, name) = (step.op.clone(), step.address.name().clone());
        running.spawn(async move {
            let begun = Instant::now();
            (node, begun, op.run(&name, &clouds, &world).await)
        });
    }

    fn finish(&mut self, (node, begun, result): Done) {
        let step = self.plan.step(node);
        let (address, action) = (step.address.clone(), step.action);
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(settled) => {
                Arc::make_mut(&mut self.world).settle(address.name(), settled);
                self.queue.succeed(node);
                self.report.record(address.clone(), action, Outcome::Done);
                self.tell(Event::Finished { address, action, millis });
            }
            Err(error) => {
                let failure = Failure::from(&error);
                self.report.record(address.clone(), action, Outcome::Failed(failure.clone()));
                self.tell(Event::Failed { address: address.clone(), action, failure });
                for skipped in self.queue.fail(node) {
                    self.skip(skipped, &address);
                }
            }
        }
    }

    fn skip(&mut self, node: NodeIndex, because: &Address) {
        let step = self.plan.step(node);
        let (address, action): (Address, Action) = (step.address.clone(), step.action);
        self.report.record(address.clone(), action, Outcome::Skipped { because: because.clone() });
        self.tell(Event::Skipped { address, action, because: because.clone() });
    }

    /// What neither ran nor was skipped: the run was interrupted.
    fn rest(&mut self) {
        for node in self.queue.unfinished() {
            let step = self.plan.step(node);
            let outcome = if self.queue.is_running(node) { Outcome::Unknown } else { Outcome::NotRun };
            self.report.record(step.address.clone(), step.action, outcome);
        }
    }
}
