//! Leases on machines: while a run holds one, nobody else changes the machine, and two runs never do it at once.
//!
//! Facts are from Fly's documentation of the Machines API ("Leases") and from flyctl: a lease is taken for some seconds,
//! refreshed under the same nonce, and given back; every write on a leased machine must carry the nonce, and is refused
//! with 409 otherwise. Metadata can be written without one, and flyctl sends none there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::AbortHandle;

use super::wire;
use crate::clouds::{
    ApiClient, CloudError, ErrorKind, RateLimitedAction,
    http::{ApiRequest, Idempotency},
};

/// How long a lease lasts unless it is refreshed, in seconds. After a run that was killed, the next one waits this long
/// at most, so it is not much; and two refreshes in a row may fail before it is lost, so it is not less: flyctl takes
/// 13 for a deployment, which a proxy that restarts, or a request that runs into its time limit, can outlast.
const TTL_SECS: u64 = 60;
/// How long a lease lasts at least on our own clock, in seconds: an imitation that runs faster than Fly would otherwise
/// end it before a busy machine gets round to refreshing it.
const MIN_LOCAL_TTL_SECS: f64 = 2.0;
/// How long to wait between two tries for a lease that another holds: half as often as the limit allows.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How long giving back may take. It is not scaled: a network takes its time at any speed. What is not given back by
/// then runs out by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The leases of one run. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<LeasesInner>);

#[derive(Debug, Default)]
struct LeasesInner {
    description: String,
    /// Set by the writer that owns the leases.
    client: OnceLock<ApiClient>,
    state: Mutex<MachineLeaseState>,
}

#[derive(Debug, Default)]
struct MachineLeaseState {
    /// By machine. Ids of machines are unique on all of Fly.
    held: BTreeMap<String, HeldMachineLease>,
    /// The task that refreshes; it ends when nothing is held any more.
    refresh_task: Option<AbortHandle>,
}

#[derive(Clone, Debug)]
struct HeldMachineLease {
    app: String,
    nonce: String,
    /// The machine's version when we last heard of it.
    version: String,
    /// The server does not know it any more.
    lost: bool,
}

/// A lease that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcquiredLease {
    /// The machine's version (`instance_id`) at that moment, so that a caller sees whether its plan is still true.
    pub version: String,
    /// Whether somebody else held it first, and so may have changed the machine.
    pub had_to_wait: bool,
}

impl Leases {
    /// No leases yet; those to come tell others who holds them, such as `trimtab apply draft/staging by ci@host`.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self(Arc::new(LeasesInner {
            description: description.into(),
            ..LeasesInner::default()
        }))
    }

    /// Gives them the client to speak through; the first stays.
    pub(super) fn set_client(&self, http: &ApiClient) {
        self.0.client.get_or_init(|| http.clone());
    }

    /// Takes the lease of a machine, or extends ours.
    ///
    /// # Flow
    /// Ask; while another holds it, ask again every two seconds of the server's time until `budget` is over. After an
    /// answer that was lost, the lease may be ours under a nonce that nobody knows: it runs out like another's.
    ///
    /// # Errors
    /// [`Trouble::Conflict`] with the holder and the end of its lease when it did not come free, or as every request.
    pub async fn acquire(
        &self,
        app: &str,
        id: &str,
        budget: Duration,
    ) -> Result<AcquiredLease, CloudError> {
        let http = self.client(app, id)?;
        let deadline = http.deadline_in(budget.as_secs());
        let mut waited = false;
        loop {
            let nonce = self.valid_nonce(id);
            let error = match self.request_lease(http, app, id, nonce.as_deref()).await {
                Ok(lease) => {
                    let version = lease.version.clone();
                    self.insert(app, id, lease.nonce, lease.version);
                    return Ok(AcquiredLease {
                        version,
                        had_to_wait: waited,
                    });
                }
                // Our own lease ran out; the next try asks for a new one.
                Err(error)
                    if nonce.is_some()
                        && matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) =>
                {
                    self.mark_lost(id);
                    continue;
                }
                Err(error) => error,
            };
            if !matches!(error.kind, ErrorKind::Conflict | ErrorKind::Ambiguous) {
                return Err(error);
            }
            if deadline.remaining_secs() == 0 {
                return Err(self.holder_error(http, app, id, budget, error).await);
            }
            waited = true;
            http.sleep_scaled(RETRY_INTERVAL).await;
        }
    }

    /// Gives one lease back. One that is gone already is no error.
    ///
    /// # Errors
    /// As every request.
    pub async fn release(&self, id: &str) -> Result<(), CloudError> {
        let lease = self.state().held.remove(id);
        match (lease, self.0.client.get()) {
            (Some(lease), Some(http)) => release_lease(http, id, &lease).await,
            _ => Ok(()),
        }
    }

    /// Gives everything back at once, within three seconds: fit for a run that is being cancelled. What cannot be given
    /// back in that time runs out by itself.
    pub async fn release_all(&self) {
        let held = std::mem::take(&mut self.state().held);
        let Some(http) = self.0.client.get() else {
            return;
        };
        let all = join_all(held.iter().map(|(id, lease)| async move {
            if let Err(error) = release_lease(http, id, lease).await {
                tracing::warn!(%error, "a lease was not given back and will run out by itself");
            }
        }));
        if tokio::time::timeout(RELEASE_TIMEOUT, all).await.is_err() {
            tracing::warn!(
                "some leases were not given back in time and will run out by themselves"
            );
        }
    }

    /// The machines that are held now.
    #[must_use]
    pub fn leased_machines(&self) -> Vec<String> {
        self.state().held.keys().cloned().collect()
    }

    /// The nonce that a write on this machine must carry. A lease that was lost keeps its nonce, so that the server
    /// refuses what believes to be alone.
    pub(super) fn nonce(&self, id: &str) -> Option<String> {
        self.state().held.get(id).map(|lease| lease.nonce.clone())
    }

    /// Remembers a lease, and keeps it alive from now on.
    pub(super) fn insert(&self, app: &str, id: &str, nonce: String, version: String) {
        let mut state = self.state();
        state.held.insert(
            id.to_owned(),
            HeldMachineLease {
                app: app.to_owned(),
                nonce,
                version,
                lost: false,
            },
        );
        if state
            .refresh_task
            .as_ref()
            .is_none_or(AbortHandle::is_finished)
        {
            state.refresh_task =
                Some(tokio::spawn(refresh_until_released(Arc::downgrade(&self.0))).abort_handle());
        }
    }

    /// The machine has this version since a write of ours.
    pub(super) fn record_version(&self, id: &str, version: &str) {
        if let Some(lease) = self.state().held.get_mut(id) {
            version.clone_into(&mut lease.version);
        }
    }

    /// The machine is gone, and its lease with it.
    pub(super) fn remove(&self, id: &str) {
        self.state().held.remove(id);
    }

    /// Tries to get a lease back that ran out, as when a laptop slept: only when nobody else has it, and the machine is
    /// as we left it. Says whether it worked.
    pub(super) async fn reacquire(&self, id: &str) -> bool {
        let (Some(old), Some(http)) = (self.state().held.get(id).cloned(), self.0.client.get())
        else {
            return false;
        };
        let Ok(new) = self.request_lease(http, &old.app, id, None).await else {
            return false;
        };
        let same = new.version == old.version;
        tracing::warn!(
            machine = id,
            same,
            "a lease had run out and was taken again"
        );
        if same {
            self.insert(&old.app, id, new.nonce, new.version);
        } else {
            let lease = HeldMachineLease {
                nonce: new.nonce,
                ..old
            };
            // If this fails, it runs out by itself.
            drop(release_lease(http, id, &lease).await);
        }
        same
    }

    fn state(&self) -> MutexGuard<'_, MachineLeaseState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn valid_nonce(&self, id: &str) -> Option<String> {
        self.state()
            .held
            .get(id)
            .filter(|lease| !lease.lost)
            .map(|lease| lease.nonce.clone())
    }

    fn mark_lost(&self, id: &str) {
        if let Some(lease) = self.state().held.get_mut(id) {
            lease.lost = true;
        }
    }

    fn client(&self, app: &str, id: &str) -> Result<&ApiClient, CloudError> {
        let unowned = || {
            CloudError::new(
                lease_operation(app, id),
                ErrorKind::Failed,
                "these leases belong to no client",
            )
        };
        self.0.client.get().ok_or_else(unowned)
    }

    /// Takes a lease, or with its nonce extends it.
    async fn request_lease(
        &self,
        http: &ApiClient,
        app: &str,
        id: &str,
        nonce: Option<&str>,
    ) -> Result<wire::MachineLease, CloudError> {
        let body = json!({ "ttl": lease_ttl(http).as_secs(), "description": self.0.description });
        let call = ApiRequest {
            body: Some(body),
            ..lease_request(Method::POST, app, id, lease_operation(app, id))
        };
        // Extending twice is the same as extending once; taking twice is not.
        let repeat = if nonce.is_some() {
            Idempotency::Idempotent
        } else {
            Idempotency::NotIdempotent
        };
        http.send_with_nonce(
            &ApiRequest {
                idempotency: repeat,
                ..call
            },
            nonce,
        )
        .await
        .map(wire::LeaseResponse::into_lease)
    }

    /// The error of a lease that did not come free: who holds it, until when, and what to do.
    async fn holder_error(
        &self,
        http: &ApiClient,
        app: &str,
        id: &str,
        budget: Duration,
        error: CloudError,
    ) -> CloudError {
        if error.kind != ErrorKind::Conflict {
            return error;
        }
        let show = ApiRequest {
            idempotency: Idempotency::Idempotent,
            ..lease_request(Method::GET, app, id, lease_operation(app, id))
        };
        let Ok(holder) = http
            .send::<wire::LeaseResponse>(&show)
            .await
            .map(wire::LeaseResponse::into_lease)
        else {
            return error;
        };
        let until = jiff::Timestamp::from_second(holder.expires_at).map(|at| at.to_string());
        let until = until.unwrap_or_else(|_| holder.expires_at.to_string());
        let what = match holder.description.trim() {
            "" => String::new(),
            description => format!(" ({description})"),
        };
        let answer = format!(
            "{}{what} holds it until {until}, and did not let go within {} s; a run that is dead loses it at that time",
            holder.owner,
            budget.as_secs(),
        );
        CloudError {
            message: answer,
            ..error
        }
    }

    /// Extends one lease. A server that does not know it any more has given it up; anything else is tried again.
    async fn refresh(&self, http: &ApiClient, id: &str, lease: &HeldMachineLease) {
        // Not longer than until the next refresh: a request that hangs would take the others with it.
        let answer = self.request_lease(http, &lease.app, id, Some(&lease.nonce));
        tokio::select! {
            answer = answer => match answer {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    // Most often the machine has just been destroyed by ourselves.
                    tracing::debug!(%error, "there is nothing to hold any more");
                    self.mark_lost(id);
                }
                Err(error) if error.kind == ErrorKind::Conflict => {
                    tracing::warn!(%error, "the lease is lost");
                    self.mark_lost(id);
                }
                Err(error) => tracing::warn!(%error, "the lease was not refreshed"),
            },
            () = http.sleep_scaled(lease_ttl(http) / 3) => tracing::warn!(machine = id, "refreshing the lease hangs"),
        }
    }
}

/// How long a lease of this client lasts.
fn lease_ttl(http: &ApiClient) -> Duration {
    Duration::from_secs(TTL_SECS)
        .max(Duration::from_secs_f64(MIN_LOCAL_TTL_SECS).mul_f64(http.speed()))
}

/// Refreshes what is held until nothing is, or nobody is left who could use it.
async fn refresh_until_released(shared: Weak<LeasesInner>) {
    loop {
        let Some(http) = shared
            .upgrade()
            .and_then(|shared| shared.client.get().cloned())
        else {
            return;
        };
        // Of two refreshes the second may fail.
        http.sleep_scaled(lease_ttl(&http) / 3).await;
        let Some(leases) = shared.upgrade().map(Leases) else {
            return;
        };
        let held = {
            let mut state = leases.state();
            if state.held.is_empty() {
                state.refresh_task = None;
                return;
            }
            state.held.clone()
        };
        let live = held.iter().filter(|(_, lease)| !lease.lost);
        join_all(live.map(|(id, lease)| leases.refresh(&http, id, lease))).await;
    }
}

fn lease_operation(app: &str, id: &str) -> String {
    format!("lease machine {id} of {app}")
}

/// Fly counts requests by endpoint, so that taking and extending share a limit.
fn lease_request<'a>(method: Method, app: &str, id: &'a str, doing: String) -> ApiRequest<'a> {
    let action = match method {
        Method::GET => "lease get",
        Method::DELETE => "lease release",
        _ => "lease",
    };
    ApiRequest {
        method,
        path: format!("/v1/apps/{app}/machines/{id}/lease"),
        body: None,
        action: RateLimitedAction::Other(action),
        identifier: id,
        idempotency: Idempotency::NotIdempotent,
        operation: doing,
    }
}

async fn release_lease(
    http: &ApiClient,
    id: &str,
    lease: &HeldMachineLease,
) -> Result<(), CloudError> {
    let app = &lease.app;
    let doing = format!("give back the lease of machine {id} of {app}");
    let call = ApiRequest {
        idempotency: Idempotency::Idempotent,
        ..lease_request(Method::DELETE, app, id, doing)
    };
    match http
        .send_with_nonce::<serde::de::IgnoredAny>(&call, Some(&lease.nonce))
        .await
    {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
