//! One case: a sandbox that begins where the scene does, a run that is disturbed, one that is not, and the judgement.

use std::{sync::OnceLock, time::Duration};

use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;
use trimtab::{
    apply::{Conduct, apply},
    clouds::{
        Clouds, Fuse, Readers, Registry, Settings, Voice, aws,
        fly::{Reader, Writer},
    },
    kinds::Desired,
    model::Secret,
    observe::{images, observe},
    plan::{Limits, Plan, guard, plan},
    render::{Look, text},
    sandbox::{self, Options, Running, Snapshot},
};

use super::{blows::Blow, census, meddling, scenes::Scene};

/// How much faster than on Fly everything goes.
const SPEED: f64 = 200.0;
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
        let options = Options { speed: SPEED, snapshot, ..Options::in_memory() };
        let sandbox = sandbox::start(options).await.unwrap();
        let readers = readers(desired, &sandbox, None).await;
        let registry = Registry::new(&settings(desired, &sandbox, None)).unwrap();
        Self { desired, sandbox, readers, registry }
    }

    /// Plans and applies with everything allowed; with a fuse by a process that dies.
    pub(super) async fn run(&self, fuse: Option<Fuse>) -> Run {
        match fuse {
            None => self.run_with(self.readers.clone(), Conduct::PATIENCE).await,
            Some(_) => {
                let run =
                    self.run_with(readers(self.desired, &self.sandbox, fuse).await, Conduct::PATIENCE).await;
                self.outlive();
                run
            }
        }
    }

    /// The same by somebody who does not wait for others.
    pub(super) async fn run_impatiently(&self) -> Run {
        self.run_with(readers(self.desired, &self.sandbox, None).await, Duration::ZERO).await
    }

    async fn run_with(&self, readers: Readers, patience: Duration) -> Run {
        let failed =
            |error: &trimtab::clouds::CloudError| Run { complete: false, said: format!("{error} {error:?}") };
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
        let plan = plan(&desired, &world).unwrap();
        let approved = match guard(plan.clone(), &all_allowed(&plan)) {
            Ok(approved) => approved,
            Err(refusals) => return Run { complete: false, said: format!("{refusals:?}") },
        };
        let clouds = Clouds {
            fly: Writer::new(readers.fly),
            aws: readers.aws.map(aws::Writer::new),
            voice: Voice::silent(),
        };
        let conduct = Conduct { patience, speed: SPEED, ..Conduct::default() };
        let (events, _receiver) = unbounded_channel();
        let report = apply(&approved, &clouds, world, &conduct, &events).await;
        let look = Look { color: false, width: 100 };
        let said = format!("{}{}", text::report(&report, &look), serde_json::to_string(&report).unwrap());
        Run { complete: report.is_complete(), said }
    }

    /// Whether a run would be refused, because something is protected.
    pub(super) async fn is_refused(&self) -> bool {
        let plan = plan(self.desired, &observe(&self.readers, self.desired).await.unwrap()).unwrap();
        guard(plan.clone(), &all_allowed(&plan)).is_err()
    }

    /// What a new plan would do.
    pub(super) async fn left(&self) -> Vec<String> {
        let mut desired = self.desired.clone();
        images(&self.registry, &desired).await.pin(&mut desired);
        let world = observe(&self.readers, &desired).await.unwrap();
        crate::support::summary(&plan(&desired, &world).unwrap())
    }

    /// Lets the time pass for which the leases of a client that died can last.
    pub(super) fn outlive(&self) {
        self.sandbox.advance(Duration::from_secs(600)).unwrap();
    }
}

fn all_allowed(plan: &Plan) -> Limits {
    let steps = plan.steps().map(|step| &step.address);
    let folded = plan.folded.iter().map(|folded| &folded.address);
    Limits { allow_destroy: steps.chain(folded).cloned().collect(), everything: true, max_destroy: 100 }
}

fn settings(desired: &Desired, sandbox: &Running, fuse: Option<Fuse>) -> Settings {
    let token = Secret::new(sandbox.org_token(&desired.meta.org).unwrap());
    Settings { fuse, ..Settings::imitation(sandbox.url(), token, SPEED) }
}

async fn readers(desired: &Desired, sandbox: &Running, fuse: Option<Fuse>) -> Readers {
    let fly = Reader::new(&settings(desired, sandbox, fuse)).unwrap();
    let Some(meta) = &desired.meta.aws else { return Readers { fly, aws: None } };
    let sandbox::AwsKeys { id, secret } = sandbox.aws_keys(&meta.account).unwrap();
    let keys = aws::Keys { id, secret: Secret::new(secret), session: None };
    let settings = aws::Settings::imitation(&meta.account, &meta.region, sandbox.aws_url(), keys, SPEED);
    let aws = aws::Reader::new(settings, &fly).await.unwrap();
    Readers { fly, aws: Some(aws) }
}

/// A request as somebody with a token would send it by hand; what is refused is its status.
pub(super) async fn by_hand(
    sandbox: &Running,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, reqwest::StatusCode> {
    // Making one takes longer than most requests. All cases share a runtime.
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(reqwest::Client::new);
    let request = client
        .request(method.parse().unwrap(), format!("{}{path}", sandbox.url()))
        .bearer_auth(sandbox.user_token().unwrap())
        .json(body);
    let answer = request.send().await.unwrap();
    match answer.status() {
        status if status.is_success() => {
            Ok(serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
        }
        status => Err(status),
    }
}

/// Plays a case. Says whether what should go wrong did.
pub(super) async fn case(scene: &Scene, blow: Blow) -> Result<bool, String> {
    let stage = Stage::new(&scene.desired, scene.begin.clone()).await;
    let Some(said) = disturbed(&stage, blow).await else { return Ok(false) };
    stage.sandbox.set_faults(Vec::new());
    let between = stage.sandbox.state();
    census::holds_always(&between, &scene.strangers, !matches!(blow, Blow::Meddling(_)))?;
    let again = stage.run(None).await;
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

/// The first run. Nothing when it ended before anything went wrong.
async fn disturbed(stage: &Stage<'_>, blow: Blow) -> Option<String> {
    let sandbox = &stage.sandbox;
    match blow {
        Blow::Death { .. } => Some(stage.run(blow.fuse()).await.said),
        Blow::Fault(fault) => {
            sandbox.set_faults(vec![fault]);
            let said = stage.run(None).await.said;
            stage.outlive();
            Some(said)
        }
        Blow::Stale(_) => {
            let said = stage.run(blow.fuse()).await.said;
            sandbox.set_faults(vec![format!("stale-list:{STALE_MS}").parse().unwrap()]);
            Some(said + &stage.run(None).await.said)
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
    stage.sandbox.set_faults(vec![format!("hold-before:w{n}").parse().unwrap()]);
    let mut run = Box::pin(stage.run(None));
    tokio::select! {
        _ = &mut run => return None,
        () = stage.sandbox.held() => {}
    }
    let ((), run) = tokio::join!(
        async {
            other.await;
            stage.sandbox.release();
        },
        run
    );
    stage.outlive();
    Some(run.said)
}
