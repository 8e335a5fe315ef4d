//! One case: a sandbox that begins where the scene does, a run that is disturbed, one that is not, and the judgement.

use std::time::Duration;

use tokio::join;
use trimtab::{apply::Conduct, clouds::{CloudError, Fuse, Readers, Registry}, kinds::Desired, observe::{images, observe}, plan::{guard, plan}, render::{Look, text}};
use trimtab_sandbox::{self as sandbox, Options, Running, Snapshot};

use super::{blows::Blow, census, meddling, scenes::Scene};
use crate::support::{SPEED, all_allowed, clients, summary, try_carry_out};

/// How long lists are old, in milliseconds of the sandbox: longer than a whole run.
const STALE_MS: i64 = 20_000;

/// A sandbox of one case, and clients for it.
pub(super) struct Stage<'s> {
    desired: &'s Desired,
    pub(super) sandbox: Running,
    readers: Readers,
    registry: Registry,
}

/// What came of a run.
pub(super) struct Run {
    pub(super) complete: bool,
    /// Everything that a person would be told.
    pub(super) said: String,
}

impl<'s> Stage<'s> {
    pub(super) async fn new(desired: &'s Desired, snapshot: Snapshot) -> Self {
        let options = Options {
            speed: SPEED,
            snapshot,
            ..Options::in_memory()
        };
        let sandbox = sandbox::start(options).await.unwrap();
        let readers = clients::readers(&sandbox, desired, SPEED, None).await;
        let registry =
            Registry::new(&clients::settings(&sandbox, &desired.meta.org, SPEED, None)).unwrap();
        Self {
            desired,
            sandbox,
            readers,
            registry,
        }
    }

    /// Plans and applies with everything allowed.
    pub(super) async fn run(&self) -> Run {
        self.run_with(self.readers.clone(), Conduct::PATIENCE).await
    }

    /// The same by a process that dies. Nothing when it did not come to the request at which it should.
    async fn run_and_die(&self, fuse: Fuse) -> Option<Run> {
        let readers = clients::readers(&self.sandbox, self.desired, SPEED, Some(fuse)).await;
        let run = self.run_with(readers.clone(), Conduct::PATIENCE).await;
        self.outlive();
        readers.fly.is_silent().then_some(run)
    }

    /// The same by somebody who does not wait for others.
    async fn run_impatiently(&self) -> Run {
        let readers = clients::readers(&self.sandbox, self.desired, SPEED, None).await;
        self.run_with(readers, Duration::ZERO).await
    }

    async fn run_with(&self, readers: Readers, patience: Duration) -> Run {
        let failed = |error: &CloudError| Run {
            complete: false,
            said: format!("{error} {error:?}"),
        };
        let mut desired = self.desired.clone();
        let images = images(&self.registry, &desired).await;
        if let Some(missing) = images.missing().next() {
            return failed(&missing.error);
        }
        images.pin(&mut desired);
        let world = match observe(&readers, &desired).await {
            Ok(world) => world,
            Err(error) => return failed(&error),
        };
        let conduct = Conduct {
            patience,
            speed: SPEED,
            ..Conduct::default()
        };
        let report =
            match try_carry_out(plan(&desired, &world).unwrap(), readers, world, &conduct).await {
                Ok(report) => report,
                Err(refusals) => {
                    return Run {
                        complete: false,
                        said: format!("{refusals:?}"),
                    };
                }
            };
        let look = Look {
            color: false,
            width: 100,
        };
        let said = format!(
            "{}{}",
            text::report(&report, &look),
            serde_json::to_string(&report).unwrap()
        );
        Run {
            complete: report.is_complete(),
            said,
        }
    }

    /// Whether a run would be refused, because something is protected.
    pub(super) async fn is_refused(&self) -> bool {
        let plan = plan(
            self.desired,
            &observe(&self.readers, self.desired).await.unwrap(),
        )
        .unwrap();
        guard(plan.clone(), &all_allowed(&plan)).is_err()
    }

    /// What a new plan would do.
    pub(super) async fn left(&self) -> Vec<String> {
        let mut desired = self.desired.clone();
        images(&self.registry, &desired).await.pin(&mut desired);
        let world = observe(&self.readers, &desired).await.unwrap();
        summary(&plan(&desired, &world).unwrap())
    }

    /// Lets the time pass for which the leases of a client that died can last.
    pub(super) fn outlive(&self) {
        self.sandbox.advance(Duration::from_secs(600)).unwrap();
    }
}

/// Plays a case. Says whether what should go wrong did.
pub(super) async fn case(scene: &Scene, blow: Blow) -> Result<bool, String> {
    let stage = Stage::new(&scene.desired, scene.begin.clone()).await;
    let Some(said) = disturbed(&stage, blow).await else {
        return Ok(false);
    };
    stage.sandbox.set_faults(Vec::new());
    let between = stage.sandbox.state();
    census::holds_always(
        &between,
        &scene.strangers,
        !matches!(blow, Blow::Meddling(_)),
    )?;
    let again = stage.run().await;
    if !again.complete {
        return Err(format!("the second run is not complete: {}", again.said));
    }
    let left = stage.left().await;
    if !left.is_empty() {
        return Err(format!("a new plan is not empty: {left:?}"));
    }
    stage.outlive();
    let after = stage.sandbox.state();
    census::holds_always(&after, &scene.strangers, true)?;
    census::same(&census::of(&after), &scene.end)?;
    census::keeps_secrets(&after, &stage.sandbox.requests(), &[&said, &again.said])?;
    Ok(true)
}

/// The first run, and what it said. Nothing when it ended before anything went wrong.
async fn disturbed(stage: &Stage<'_>, blow: Blow) -> Option<String> {
    let sandbox = &stage.sandbox;
    match blow {
        Blow::Death(fuse) => Some(stage.run_and_die(fuse).await?.said),
        Blow::Fault(fault) => {
            sandbox.set_faults(vec![fault]);
            let said = stage.run().await.said;
            let struck = sandbox.struck() > 0;
            stage.outlive();
            struck.then_some(said)
        }
        Blow::Stale(fuse) => {
            let said = stage.run_and_die(fuse).await?.said;
            sandbox.set_faults(vec![format!("stale-list:{STALE_MS}").parse().unwrap()]);
            Some(said + &stage.run().await.said)
        }
        Blow::Another(n) => {
            let other = async { drop(stage.run_impatiently().await) };
            meanwhile(stage, n, other).await
        }
        Blow::Meddling(n) => {
            // Another thing at each request.
            let other = async { meddling::meddle(sandbox, usize::try_from(n).unwrap()).await };
            meanwhile(stage, n, other).await
        }
        Blow::Host(n) => {
            let mut unreachable = None;
            let other = async { unreachable = meddling::unreachable(sandbox).await };
            let said = meanwhile(stage, n, other).await;
            if let Some(id) = unreachable {
                meddling::host(sandbox, &id, "ok").await;
            }
            said
        }
    }
}

/// A run during whose n-th write something else happens. Nothing when there are fewer writes.
async fn meanwhile(stage: &Stage<'_>, n: u64, other: impl Future<Output = ()>) -> Option<String> {
    stage
        .sandbox
        .set_faults(vec![format!("hold-before:w{n}").parse().unwrap()]);
    let mut run = Box::pin(stage.run());
    tokio::select! {
        _ = &mut run => return None,
        () = stage.sandbox.held() => {}
    }
    let ((), run) = join!(
        async {
            other.await;
            stage.sandbox.release();
        },
        run
    );
    stage.outlive();
    Some(run.said)
}
