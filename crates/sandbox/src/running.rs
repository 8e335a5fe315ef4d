//! Starting and stopping the server, and what its owner may ask of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, on};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::access::TokenGrant;
use super::aws::{self, AwsAccessKey};
use super::clock::{ClockMode, SandboxClock};
use super::connection::{BreakableListener, ConnectionBreaker};
use super::faults::{Fault, Faults};
use super::gate::Gate;
use super::graphql;
use super::rate_limit::ApiRateLimiter;
use super::recorder::{self, ExchangeRecorder};
use super::registry;
use super::server::{RequestRecord, Server, SharedState};
use super::store::{self, ServerFile, StateStore, StoreError};
use super::uiex;
use super::v1;
use super::world::SimulatedWorld;

/// How long a stopping server lets open requests finish.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// A whole state in memory.
#[derive(Clone, Debug, Default)]
pub struct SandboxSnapshot(pub(super) Option<SimulatedWorld>);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The state folder, which is made if missing; without one, everything is gone with the server.
    pub dir: Option<PathBuf>,
    /// What is there at the start, when there is no folder.
    pub snapshot: SandboxSnapshot,
    /// Where to listen: loopback only; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where AWS is imitated: loopback only; port 0 takes any free one.
    pub aws_listen: SocketAddr,
    /// How many times faster than outside the sandbox's time passes, in [`ClockMode::Real`].
    pub speed: f64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Added to each answer, in outside time.
    pub latency: Duration,
    /// How time passes.
    pub clock: ClockMode,
    /// Where identifiers come from. A folder keeps the seed that it began with.
    pub seed: u64,
    /// A file that every exchange with Fly's APIs is appended to, as a line of JSON. It holds secrets.
    pub record: Option<PathBuf>,
}

impl SandboxOptions {
    /// Real time, no faults, any free port of loopback.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: Some(dir.into()),
            ..Self::in_memory()
        }
    }

    /// The same without a folder.
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
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process serves the folder.
    #[error("the state folder is served already{}", format_location(url))]
    InUse {
        /// Where, as far as the folder says.
        url: String,
    },
    /// An address that others could reach: the sandbox asks nobody for a password.
    #[error("cannot listen on {0}, the sandbox only serves loopback")]
    NotLoopback(SocketAddr),
    /// A speed that time cannot have.
    #[error("cannot run at speed {0}, expected a number above 0")]
    InvalidSpeed(f64),
    /// The system refused the address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The record of exchanges cannot be kept.
    #[error("cannot write {}", path.display())]
    OpenRecording {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state folder cannot be used.
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

/// A started server; it stops when this is dropped.
#[derive(Debug)]
pub struct RunningSandbox {
    address: SocketAddr,
    aws_address: SocketAddr,
    server: Arc<Server>,
    stop: Option<watch::Sender<()>>,
    tasks: [JoinHandle<()>; 2],
}

/// Starts a server.
///
/// # Errors
/// When the folder is in use or unreadable, or the address cannot be had.
pub async fn start(options: SandboxOptions) -> Result<RunningSandbox, StartError> {
    for address in [options.listen, options.aws_listen] {
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
    }
    if !(options.speed.is_finite() && options.speed > 0.0) {
        return Err(StartError::InvalidSpeed(options.speed));
    }
    let open = |path: &PathBuf| {
        ExchangeRecorder::open(path).map_err(|source| StartError::OpenRecording {
            path: path.clone(),
            source,
        })
    };
    let recorder = options.record.as_ref().map(open).transpose()?;
    let Some(store) = StateStore::open(options.dir.as_deref())? else {
        let served = options.dir.as_deref().and_then(store::read_server_file);
        let url = served.map(|server| server.url).unwrap_or_default();
        return Err(StartError::InUse { url });
    };
    let world = store.load(options.seed, options.snapshot)?;
    let (listener, address) = bind(options.listen).await?;
    let (aws_listener, aws_address) = bind(options.aws_listen).await?;
    store.write_server_file(&ServerFile {
        url: format!("http://{address}"),
        aws_url: format!("http://{aws_address}"),
        pid: std::process::id(),
        speed: options.speed,
    })?;
    let mut core = SharedState {
        clock: SandboxClock::start(options.clock, options.speed, world.global.clock),
        faults: Faults::new(options.faults, world.global.seed),
        gate: Gate::default(),
        world,
        limits: ApiRateLimiter::default(),
        requests: Vec::new(),
        store,
        url: format!("http://{address}"),
        closed: false,
    };
    core.catch_up_with_clock();
    core.save()?;
    let server = Arc::new(Server::new(core, options.latency));
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
    let listening = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    Ok((listener, address))
}

async fn run_listener(listener: TcpListener, router: Router, mut stopped: watch::Receiver<()>) {
    let service = router.into_make_service_with_connect_info::<ConnectionBreaker>();
    // The sender also goes when `Running` is dropped, so either way this ends.
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
    let routes = v1::routes()
        .into_iter()
        .chain(graphql::routes())
        .chain(uiex::routes())
        .chain(registry::routes());
    for route in routes {
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
    let unrouted = |State(server): State<Arc<Server>>, request: Request| async move {
        server.serve(None, Vec::new(), request).await
    };
    router
        .fallback(unrouted)
        .method_not_allowed_fallback(unrouted)
        .with_state(server)
}

impl RunningSandbox {
    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:PORT`, where AWS is imitated.
    pub fn aws_url(&self) -> String {
        format!("http://{}", self.aws_address)
    }

    /// An administrator's access key of an AWS account of twelve digits, made if it is missing. The same each time.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn aws_keys(&self, account: &str) -> Result<AwsAccessKey, StoreError> {
        let mut core = self.server.lock_state();
        core.catch_up_with_clock();
        let keys = aws::ensure_administrator_key(&mut core.world, account);
        core.save()?;
        Ok(keys)
    }

    /// A token for everything in an organisation, which is made if it is missing. The same each time.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn org_token(&self, org_slug: &str) -> Result<String, StartError> {
        self.ensure_token(org_slug, |org| TokenGrant::Org { org })
    }

    /// A token that may read everything in an organisation.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn read_only_token(&self, org_slug: &str) -> Result<String, StartError> {
        self.ensure_token(org_slug, |org| TokenGrant::ReadOnly { org })
    }

    /// A token for one application, which need not exist yet.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn app_token(&self, org_slug: &str, app: &str) -> Result<String, StartError> {
        self.ensure_token(org_slug, |org| TokenGrant::App {
            org,
            app: app.to_owned(),
        })
    }

    /// The token of a person who sees every organisation, as flyctl's login gives.
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
        let mut core = self.server.lock_state();
        core.catch_up_with_clock();
        let token = ensure_token(&mut core.world, org_slug, grant);
        core.save()?;
        Ok(token)
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.server.lock_state().requests.clone()
    }

    /// How many requests were struck by what goes wrong, counted from its last change.
    pub fn injected_fault_count(&self) -> u64 {
        self.server.lock_state().faults.injected_count()
    }

    /// How many of the requests wrote, counted from the last change of what goes wrong.
    pub fn write_count(&self) -> u64 {
        self.server.lock_state().faults.write_count()
    }

    /// Moves the clock forward, as `POST /_sandbox/clock` does.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub fn advance_clock(&self, by: Duration) -> Result<(), StartError> {
        self.server
            .advance_clock(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))?;
        Ok(())
    }

    /// Waits until a request is held back by [`Fault::HoldBefore`] or [`Fault::HoldAfter`].
    pub async fn wait_until_held(&self) {
        let gate = self.server.lock_state().gate.clone();
        gate.wait_until_held().await;
    }

    /// Lets it go on, as `POST /_sandbox/release` does; later ones are not held.
    pub fn release_held_request(&self) {
        self.server.lock_state().gate.release();
    }

    /// Replaces what goes wrong; requests are counted from this moment on.
    pub fn set_faults(&self, list: Vec<Fault>) {
        let mut core = self.server.lock_state();
        let seed = core.world.global.seed;
        core.faults = Faults::new(list, seed);
    }

    /// Everything that is stored, as `GET /_sandbox/state` shows it.
    #[must_use]
    pub fn state(&self) -> serde_json::Value {
        let mut core = self.server.lock_state();
        core.catch_up_with_clock();
        core.state_json()
    }

    /// The same as another server can begin with. What is kept in a folder has to be copied as a folder.
    #[must_use]
    pub fn snapshot(&self) -> SandboxSnapshot {
        let mut core = self.server.lock_state();
        core.catch_up_with_clock();
        core.world.global.clock = Some(core.clock.to_saved());
        SandboxSnapshot(Some(core.world.clone()))
    }

    /// Stops the server and frees its folder.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself; then there is nobody to tell.
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

/// The token with this grant: the one there is, or a new one. The organisation is made if it is missing.
pub(crate) fn ensure_token(
    world: &mut SimulatedWorld,
    org_slug: &str,
    grant: impl Fn(String) -> TokenGrant,
) -> String {
    let org = world.ensure_org(org_slug).slug;
    let token = find_token(world, &grant(org.clone()));
    token.unwrap_or_else(|| v1::issue_token(world, grant(org), None))
}

/// Where the running server of a folder is, as it announced itself.
#[must_use]
pub fn find_server(dir: &Path) -> Option<ServerFile> {
    store::read_server_file(dir)
}

fn find_token(world: &SimulatedWorld, grant: &TokenGrant) -> Option<String> {
    let same = |token: &&super::access::Token| token.grant == *grant && token.expires_ms.is_none();
    world
        .global
        .tokens
        .iter()
        .find(|(_, token)| same(token))
        .map(|(text, _)| text.clone())
}
