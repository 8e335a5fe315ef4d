//! Starts and stops the server, and controls it from the process that started it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, any, on};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::aws::{self, AwsAccessKey};
use crate::clock::{ClockMode, SandboxClock};
use crate::connection::{BreakableListener, ConnectionBreaker};
use crate::faults::{Fault, Faults};
use crate::fly;
use crate::fly::access::{Token, TokenGrant};
use crate::fly::rate_limit::ApiRateLimiter;
use crate::fly::v1;
use crate::gate::Gate;
use crate::github;
use crate::ids;
use crate::recorder::{self, ExchangeRecorder};
use crate::server::Server;
use crate::shared_state::{RequestRecord, SharedState};
use crate::store::{self, ServerFile, StateStore, StoreError};
use crate::world::{ExecRecord, SimulatedWorld};

/// How long `stop` waits for open requests to finish.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// A copy of the whole state, from which another server can start.
#[derive(Clone, Debug, Default)]
pub struct SandboxSnapshot(pub(crate) Option<SimulatedWorld>);

/// How to start a server.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The state folder, created if it does not exist. Without one, the state is only in memory.
    pub dir: Option<PathBuf>,
    /// The initial state when there is no folder.
    pub snapshot: SandboxSnapshot,
    /// Address of the Fly APIs: loopback only; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Address of the AWS APIs: loopback only; port 0 picks a free port.
    pub aws_listen: SocketAddr,
    /// How many times faster than real time the clock runs, in [`ClockMode::Real`].
    pub speed: f64,
    /// The faults to inject.
    pub faults: Vec<Fault>,
    /// Delay before each response, in real time.
    pub latency: Duration,
    /// How time passes.
    pub clock: ClockMode,
    /// The seed for all generated ids. A state folder keeps the seed that it was created with.
    pub seed: u64,
    /// A file to which every request to Fly's and GitHub's APIs is appended with its response, as a line of
    /// JSON. It contains secrets.
    pub record: Option<PathBuf>,
    /// The address of a PostgreSQL server, `postgres://…`. Scripts for `psql` in a Postgres node run
    /// there, in place of the model.
    pub postgres: Option<String>,
}

impl SandboxOptions {
    /// A state folder, real time, no faults, free ports on loopback.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: Some(dir.into()),
            ..Self::in_memory()
        }
    }

    /// The same as [`SandboxOptions::new`] without a folder.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            dir: None,
            snapshot: SandboxSnapshot::default(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            aws_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            speed: 1.0,
            faults: Vec::new(),
            latency: Duration::ZERO,
            clock: ClockMode::Real,
            seed: 0,
            record: None,
            postgres: None,
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has locked the state folder.
    #[error(
        "the state folder is in use by another sandbox{}",
        format_location(url)
    )]
    InUse {
        /// The URL of that server; empty when `server.json` is missing.
        url: String,
    },
    /// The address is not a loopback address. Other hosts must not reach the sandbox: its
    /// administration needs no token.
    #[error("cannot listen on {0}, the sandbox only listens on loopback addresses")]
    NotLoopback(SocketAddr),
    /// The speed is not a positive number.
    #[error("cannot run at speed {0}, expected a number above 0")]
    InvalidSpeed(f64),
    /// The address could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The recording file could not be opened.
    #[error("cannot write {}", path.display())]
    OpenRecording {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The state folder could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn format_location(url: &str) -> String {
    if url.is_empty() {
        String::new()
    } else {
        format!(" at {url}")
    }
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct RunningSandbox {
    address: SocketAddr,
    aws_address: SocketAddr,
    pub(crate) server: Arc<Server>,
    stop: Option<watch::Sender<()>>,
    tasks: [JoinHandle<()>; 2],
}

/// Starts a server.
///
/// # Errors
/// When the state folder is in use or cannot be read, or an address cannot be bound.
pub async fn start(options: SandboxOptions) -> Result<RunningSandbox, StartError> {
    for address in [options.listen, options.aws_listen] {
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
    }
    if !(options.speed.is_finite() && options.speed > 0.0) {
        return Err(StartError::InvalidSpeed(options.speed));
    }
    let open_recorder = |path: &PathBuf| {
        ExchangeRecorder::open(path).map_err(|source| StartError::OpenRecording {
            path: path.clone(),
            source,
        })
    };
    let recorder = options.record.as_ref().map(open_recorder).transpose()?;
    let Some(store) = StateStore::open(options.dir.as_deref())? else {
        let server = options.dir.as_deref().and_then(store::read_server_file);
        let url = server.map(|server| server.url).unwrap_or_default();
        return Err(StartError::InUse { url });
    };
    let mut world = store.load(options.seed, options.snapshot)?;
    world.postgres_url = options.postgres;
    let (listener, address) = bind(options.listen).await?;
    let (aws_listener, aws_address) = bind(options.aws_listen).await?;
    let admin_token = new_admin_token();
    // Port 0 has been replaced by the real port at this point.
    store.write_server_file(&ServerFile {
        url: format!("http://{address}"),
        aws_url: format!("http://{aws_address}"),
        pid: std::process::id(),
        speed: options.speed,
        admin_token: admin_token.clone(),
    })?;
    let mut state = SharedState {
        clock: SandboxClock::start(options.clock, options.speed, world.global.clock),
        faults: Faults::new(options.faults, world.global.seed),
        gate: Gate::default(),
        world,
        limits: ApiRateLimiter::default(),
        requests: Vec::new(),
        store,
        url: format!("http://{address}"),
        admin_token,
        closed: false,
    };
    // Apply what became due while no server was running, and store it before the first request.
    state.catch_up_with_clock();
    state.save()?;
    let server = Arc::new(Server::new(state, options.latency));
    let (stop, stopped) = watch::channel(());
    let serve = |listener, router| tokio::spawn(run_listener(listener, router, stopped.clone()));
    let fly = match recorder.map(Arc::new) {
        None => fly_router(Arc::clone(&server)),
        Some(recorder) => fly_router(Arc::clone(&server)).layer(middleware::from_fn_with_state(
            recorder,
            recorder::record_exchange,
        )),
    };
    let tasks = [
        serve(listener, fly),
        serve(aws_listener, aws_router(Arc::clone(&server))),
    ];
    Ok(RunningSandbox {
        address,
        aws_address,
        server,
        stop: Some(stop),
        tasks,
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind_error = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    Ok((listener, address))
}

async fn run_listener(listener: TcpListener, router: Router, mut stopped: watch::Receiver<()>) {
    let service = router.into_make_service_with_connect_info::<ConnectionBreaker>();
    // Dropping `RunningSandbox` drops the sender, which ends this wait as well.
    let ended = async move { stopped.changed().await.unwrap_or_default() };
    if let Err(error) = axum::serve(BreakableListener(listener), service)
        .with_graceful_shutdown(ended)
        .await
    {
        tracing::error!(%error, "the sandbox stopped serving");
    }
}

fn aws_router(server: Arc<Server>) -> Router {
    let serve = |State(server): State<Arc<Server>>, request: Request| async move {
        aws::serve(&server, request).await
    };
    Router::new().fallback(serve).with_state(server)
}

fn fly_router(server: Arc<Server>) -> Router {
    let mut router = Router::new();
    for route in fly::routes() {
        // Both conversions succeed for every method in our route tables.
        let Ok(method) = Method::from_bytes(route.method.as_bytes()) else {
            continue;
        };
        let Ok(filter) = MethodFilter::try_from(method) else {
            continue;
        };
        let serve = move |State(server): State<Arc<Server>>,
                          params: RawPathParams,
                          request: Request| async move {
            let params = params
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            server.serve(Some(&route), params, request).await
        };
        router = router.route(route.path, on(filter, serve));
    }
    let github = |State(server): State<Arc<Server>>, request: Request| async move {
        github::serve(&server, request).await
    };
    for path in ["", "/", "/{*path}"] {
        router = router.route(&format!("{}{path}", github::MOUNT), any(github));
    }
    // Unknown paths and methods pass through the server as well: they are counted and recorded.
    let unrouted = |State(server): State<Arc<Server>>, request: Request| async move {
        server.serve(None, Vec::new(), request).await
    };
    router
        .fallback(unrouted)
        .method_not_allowed_fallback(unrouted)
        .with_state(server)
}

impl RunningSandbox {
    /// Base URL of the Fly APIs, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL of the AWS APIs, `http://127.0.0.1:PORT`.
    pub fn aws_url(&self) -> String {
        format!("http://{}", self.aws_address)
    }

    /// The access key of the administrator of an AWS account (twelve digits), created if it does
    /// not exist. The same key each time.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn aws_keys(&self, account: &str) -> Result<AwsAccessKey, StoreError> {
        let mut state = self.server.lock_state();
        state.catch_up_with_clock();
        let keys = aws::ensure_administrator_key(&mut state.world, account);
        state.save()?;
        Ok(keys)
    }

    /// A token for everything in an organization, which is created if it does not exist. The same
    /// token each time.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn org_token(&self, org_slug: &str) -> Result<String, StartError> {
        self.ensure_token(org_slug, |org| TokenGrant::Org { org })
    }

    /// A read-only token for everything in an organization.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn read_only_token(&self, org_slug: &str) -> Result<String, StartError> {
        self.ensure_token(org_slug, |org| TokenGrant::ReadOnly { org })
    }

    /// A deploy token for one app, which need not exist yet.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn app_token(&self, org_slug: &str, app: &str) -> Result<String, StartError> {
        self.ensure_token(org_slug, |org| TokenGrant::App {
            org,
            app: app.to_owned(),
        })
    }

    /// The token of a user who sees every organization, like the one from `fly auth login`.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn user_token(&self) -> Result<String, StartError> {
        self.ensure_token("personal", |_| TokenGrant::User)
    }

    fn ensure_token(
        &self,
        org_slug: &str,
        grant: impl Fn(String) -> TokenGrant,
    ) -> Result<String, StartError> {
        let mut state = self.server.lock_state();
        state.catch_up_with_clock();
        let token = ensure_token(&mut state.world, org_slug, grant);
        state.save()?;
        Ok(token)
    }

    /// The token of the admin calls that show secrets, as in `server.json`.
    pub fn admin_token(&self) -> String {
        self.server.lock_state().admin_token.clone()
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.server.lock_state().requests.clone()
    }

    /// Every `exec` request that was answered, with its whole body, in order.
    pub fn execs(&self) -> Vec<ExecRecord> {
        self.server.lock_state().world.execs.clone()
    }

    /// How many requests were affected by a fault since the faults were last set.
    pub fn injected_fault_count(&self) -> u64 {
        self.server.lock_state().faults.injected_count()
    }

    /// How many write requests arrived since the faults were last set.
    pub fn write_count(&self) -> u64 {
        self.server.lock_state().faults.write_count()
    }

    /// Moves the clock forward, like `POST /_sandbox/clock`.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn advance_clock(&self, by: Duration) -> Result<(), StartError> {
        self.server
            .advance_clock(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))?;
        Ok(())
    }

    /// Waits until [`Fault::HoldBefore`] or [`Fault::HoldAfter`] holds a request back.
    pub async fn wait_until_held(&self) {
        let gate = self.server.lock_state().gate.clone();
        gate.wait_until_held().await;
    }

    /// Releases the held request, like `POST /_sandbox/release`; later requests are not held.
    pub fn release_held_request(&self) {
        self.server.lock_state().gate.release();
    }

    /// Replaces the faults, and counts requests from 1 again.
    pub fn set_faults(&self, list: Vec<Fault>) {
        let mut state = self.server.lock_state();
        let seed = state.world.global.seed;
        state.faults = Faults::new(list, seed);
    }

    /// The whole stored state, as `GET /_sandbox/state` returns it.
    #[must_use]
    pub fn state(&self) -> serde_json::Value {
        let mut state = self.server.lock_state();
        state.catch_up_with_clock();
        state.state_json()
    }

    /// A copy of the state, with which another server can start. It does not include files: copy
    /// the state folder instead if there is one.
    #[must_use]
    pub fn snapshot(&self) -> SandboxSnapshot {
        let mut state = self.server.lock_state();
        state.catch_up_with_clock();
        state.world.global.clock = Some(state.clock.to_saved());
        SandboxSnapshot(Some(state.world.clone()))
    }

    /// Stops the server and unlocks its folder.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself; then the signal has no receiver.
            let _ = stop.send(());
        }
        self.server.shut_down();
        let [fly, aws] = &mut self.tasks;
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, async { (fly.await, aws.await) }).await;
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        self.server.shut_down();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A random token. It is not derived from the seed, because whoever knows that could derive it, too.
fn new_admin_token() -> String {
    let mut bytes = [0; 32];
    // Without randomness the token would be guessable; an empty one is refused like any other.
    aws_lc_rs::rand::fill(&mut bytes).map_or_else(|_| String::new(), |()| ids::hex(&bytes))
}

/// A token with this grant: an existing one, or a new one. The organization is created if it does
/// not exist.
pub(crate) fn ensure_token(
    world: &mut SimulatedWorld,
    org_slug: &str,
    grant: impl Fn(String) -> TokenGrant,
) -> String {
    let org = world.ensure_org(org_slug).slug;
    let token = find_token(world, &grant(org.clone()));
    token.unwrap_or_else(|| v1::issue_token(world, grant(org), None))
}

/// The running server of a folder, according to its `server.json`.
#[must_use]
pub fn find_server(dir: &Path) -> Option<ServerFile> {
    store::read_server_file(dir)
}

fn find_token(world: &SimulatedWorld, grant: &TokenGrant) -> Option<String> {
    let same = |token: &&Token| token.grant == *grant && token.expires_ms.is_none();
    world
        .global
        .tokens
        .iter()
        .find(|(_, token)| same(token))
        .map(|(text, _)| text.clone())
}
