//! Leases on machines. While a run holds a machine's lease, nobody else can change the machine, so
//! two runs never do so at once.
//!
//! Sources: Fly's documentation of the Machines API ("Leases") and flyctl. A lease is acquired for
//! some seconds, refreshed with the same nonce, and released. Every write on a leased machine must
//! carry the nonce and is rejected with 409 otherwise. Metadata can be written without a nonce, and
//! flyctl sends none there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::AbortHandle;

use super::{
    lease_holder::{self, LeaseHolder},
    wire,
};
use crate::clouds::{
    ApiClient, CloudError, ErrorKind, RateLimitedAction,
    http::{ApiRequest, Idempotency},
    url::segment,
};

/// The TTL of a lease, in seconds. After a crash, the next run waits up to this long, so it should
/// not be long. Two refreshes in a row may fail before a lease is lost, so it should not be short
/// either: flyctl's 13 seconds for a deployment can be outlasted by a restarting proxy or by a
/// request that times out.
const TTL_SECS: u64 = 60;
/// The minimum TTL on our own clock, in seconds. With a sandbox that runs faster than Fly, leases
/// would otherwise expire before a busy computer gets round to refreshing them.
const MIN_LOCAL_TTL_SECS: f64 = 2.0;
/// The interval between attempts to acquire a lease that somebody else holds: half the rate that
/// Fly's limit allows.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The time limit for releasing leases. It is not scaled by the sandbox's speed, since network
/// latency is not. Leases that are not released by then expire.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The leases of one run. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<LeasesInner>);

#[derive(Debug, Default)]
struct LeasesInner {
    description: String,
    /// Set by the first writer that uses the leases.
    client: OnceLock<ApiClient>,
    state: Mutex<MachineLeaseState>,
}

#[derive(Debug, Default)]
struct MachineLeaseState {
    /// By machine id. Machine ids are unique across Fly.
    held: BTreeMap<String, HeldMachineLease>,
    /// The task that refreshes the leases. It ends when none is held.
    refresh_task: Option<AbortHandle>,
}

#[derive(Clone, Debug)]
struct HeldMachineLease {
    app: String,
    nonce: String,
    /// The machine's last known version (`instance_id`).
    version: String,
    /// Whether the server no longer accepts the lease.
    lost: bool,
}

/// The result of acquiring a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcquiredLease {
    /// The machine's version (`instance_id`) when the lease was acquired, so that the caller can
    /// check whether its plan is still valid.
    pub version: String,
    /// Whether somebody else held the lease first, and may have changed the machine.
    pub had_to_wait: bool,
}

impl Leases {
    /// Creates an empty set. `description` tells others who holds the leases, such as `trimtab
    /// apply draft/staging by ci@host`.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self(Arc::new(LeasesInner {
            description: description.into(),
            ..LeasesInner::default()
        }))
    }

    /// Sets the client for lease requests. Later calls have no effect.
    pub(super) fn set_client(&self, client: &ApiClient) {
        self.0.client.get_or_init(|| client.clone());
    }

    /// Acquires a lease as [`Self::acquire_or_wait`] does, and tells nobody of a wait.
    ///
    /// # Errors
    /// As [`Self::acquire_or_wait`].
    pub async fn acquire(
        &self,
        app: &str,
        id: &str,
        budget: Duration,
    ) -> Result<AcquiredLease, CloudError> {
        self.acquire_or_wait(app, id, budget, drop).await
    }

    /// Acquires the lease of a machine, or refreshes ours.
    ///
    /// # Flow
    /// Request the lease; while somebody else holds it, retry every two seconds of the server's
    /// clock until `budget` is over. Before the first retry, `on_wait` is told who holds it, if
    /// that is known. After a lost response the lease may be ours under an unknown
    /// nonce; it expires like anybody else's.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] with the lease holder and the expiry, if the lease was not released
    /// in time; or when the request fails.
    pub async fn acquire_or_wait(
        &self,
        app: &str,
        id: &str,
        budget: Duration,
        on_wait: impl Fn(LeaseHolder),
    ) -> Result<AcquiredLease, CloudError> {
        let client = self.client(app, id)?;
        let deadline = client.deadline_in(budget.as_secs());
        let mut had_to_wait = false;
        loop {
            let nonce = self.valid_nonce(id);
            let error = match self.request_lease(client, app, id, nonce.as_deref()).await {
                Ok(lease) => {
                    let version = lease.version.clone();
                    self.insert(app, id, lease.nonce, lease.version);
                    return Ok(AcquiredLease {
                        version,
                        had_to_wait,
                    });
                }
                // Our own lease has expired, so request a new one.
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
                return Err(self.holder_error(client, app, id, budget, error).await);
            }
            if !had_to_wait
                && error.kind == ErrorKind::Conflict
                && let Some(holder) = lease_holder::find_holder(client, app, id).await
            {
                on_wait(holder);
            }
            // From here on somebody else may have changed the machine, so the caller must compare its
            // version with the plan.
            had_to_wait = true;
            client.sleep_scaled(RETRY_INTERVAL).await;
        }
    }

    /// Releases a lease. It is no error if it has already expired.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn release(&self, id: &str) -> Result<(), CloudError> {
        let lease = self.state().held.remove(id);
        match (lease, self.0.client.get()) {
            (Some(lease), Some(client)) => release_lease(client, id, &lease).await,
            _ => Ok(()),
        }
    }

    /// Releases all leases concurrently, within three seconds, so that a cancelled run ends
    /// quickly. Leases that are not released by then expire.
    pub async fn release_all(&self) {
        let held = std::mem::take(&mut self.state().held);
        let Some(client) = self.0.client.get() else {
            return;
        };
        let releases = join_all(held.iter().map(|(id, lease)| async move {
            if let Err(error) = release_lease(client, id, lease).await {
                tracing::warn!(%error, "a lease was not given back and will run out by itself");
            }
        }));
        if tokio::time::timeout(RELEASE_TIMEOUT, releases)
            .await
            .is_err()
        {
            tracing::warn!(
                "some leases were not given back in time and will run out by themselves"
            );
        }
    }

    /// The ids of the machines whose leases are held.
    #[must_use]
    pub fn leased_machines(&self) -> Vec<String> {
        self.state().held.keys().cloned().collect()
    }

    /// The nonce that a write on this machine must carry. A lost lease keeps its nonce, so that the
    /// server rejects the write of a run that believes it still holds the lease.
    pub(super) fn nonce(&self, id: &str) -> Option<String> {
        self.state().held.get(id).map(|lease| lease.nonce.clone())
    }

    /// Adds a lease, and starts the refresh task if it is not running.
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

    /// Records the version that a write of ours produced.
    pub(super) fn record_version(&self, id: &str, version: &str) {
        if let Some(lease) = self.state().held.get_mut(id) {
            version.clone_into(&mut lease.version);
        }
    }

    /// Forgets the lease of a destroyed machine.
    pub(super) fn remove(&self, id: &str) {
        self.state().held.remove(id);
    }

    /// Tries to reacquire an expired lease, for example after a laptop has slept. Succeeds only if
    /// nobody else holds the lease and the machine is unchanged.
    pub(super) async fn reacquire(&self, id: &str) -> bool {
        let (Some(expired), Some(client)) =
            (self.state().held.get(id).cloned(), self.0.client.get())
        else {
            return false;
        };
        let Ok(renewed) = self.request_lease(client, &expired.app, id, None).await else {
            return false;
        };
        // The version only stays the same if nobody updated the machine while the lease was expired.
        let unchanged = renewed.version == expired.version;
        tracing::warn!(
            machine = id,
            unchanged,
            "a lease had run out and was taken again"
        );
        if unchanged {
            self.insert(&expired.app, id, renewed.nonce, renewed.version);
        } else {
            let lease = HeldMachineLease {
                nonce: renewed.nonce,
                ..expired
            };
            // Somebody changed the machine in between, so the new lease is of no use. If releasing
            // it fails, it expires.
            drop(release_lease(client, id, &lease).await);
        }
        unchanged
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
        let no_client = || {
            CloudError::new(
                lease_operation(app, id),
                ErrorKind::Failed,
                "these leases belong to no client",
            )
        };
        self.0.client.get().ok_or_else(no_client)
    }

    /// Requests a new lease, or refreshes the one with `nonce`.
    async fn request_lease(
        &self,
        client: &ApiClient,
        app: &str,
        id: &str,
        nonce: Option<&str>,
    ) -> Result<wire::MachineLease, CloudError> {
        let body = json!({ "ttl": lease_ttl(client).as_secs(), "description": self.0.description });
        let request = ApiRequest {
            body: Some(body),
            ..lease_request(Method::POST, app, id, lease_operation(app, id))
        };
        // Refreshing twice is the same as refreshing once. Acquiring twice is not: the second
        // request would conflict with the first.
        let idempotency = if nonce.is_some() {
            Idempotency::Idempotent
        } else {
            Idempotency::NotIdempotent
        };
        client
            .send_with_nonce(
                &ApiRequest {
                    idempotency,
                    ..request
                },
                nonce,
            )
            .await
            .map(wire::LeaseResponse::into_lease)
    }

    /// The error of a lease that was not released in time: who holds it and until when.
    async fn holder_error(
        &self,
        client: &ApiClient,
        app: &str,
        id: &str,
        budget: Duration,
        error: CloudError,
    ) -> CloudError {
        if error.kind != ErrorKind::Conflict {
            return error;
        }
        let Some(holder) = lease_holder::read_lease(client, app, id).await else {
            return error;
        };
        let expiry =
            lease_holder::expiry_text(&holder).unwrap_or_else(|| holder.expires_at.to_string());
        let holder_note = match holder.description.trim() {
            "" => String::new(),
            description => format!(" ({description})"),
        };
        let message = format!(
            "{}{holder_note} holds it until {expiry}, and did not let go within {} s; a run that is dead loses it at that time",
            holder.owner,
            budget.as_secs(),
        );
        CloudError { message, ..error }
    }

    /// Refreshes one lease. If the server no longer knows it, it is lost; after any other error the
    /// next refresh tries again.
    async fn refresh(&self, client: &ApiClient, id: &str, lease: &HeldMachineLease) {
        // Wait no longer than until the next refresh: a hanging request would delay the refresh of
        // all other leases.
        let response = self.request_lease(client, &lease.app, id, Some(&lease.nonce));
        tokio::select! {
            response = response => match response {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    // Usually the machine has just been destroyed by this run.
                    tracing::debug!(%error, "there is nothing to hold any more");
                    self.mark_lost(id);
                }
                Err(error) if error.kind == ErrorKind::Conflict => {
                    tracing::warn!(%error, "the lease is lost");
                    self.mark_lost(id);
                }
                Err(error) => tracing::warn!(%error, "the lease was not refreshed"),
            },
            () = client.sleep_scaled(lease_ttl(client) / 3) => tracing::warn!(machine = id, "refreshing the lease hangs"),
        }
    }
}

/// The TTL of leases taken with this client.
fn lease_ttl(client: &ApiClient) -> Duration {
    Duration::from_secs(TTL_SECS)
        .max(Duration::from_secs_f64(MIN_LOCAL_TTL_SECS).mul_f64(client.speed()))
}

/// Refreshes all held leases until none is held or all clones of the leases are dropped.
async fn refresh_until_released(inner: Weak<LeasesInner>) {
    loop {
        let Some(client) = inner
            .upgrade()
            .and_then(|inner| inner.client.get().cloned())
        else {
            return;
        };
        // Refresh at a third of the TTL, so that two refreshes in a row may fail.
        client.sleep_scaled(lease_ttl(&client) / 3).await;
        let Some(leases) = inner.upgrade().map(Leases) else {
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
        let valid = held.iter().filter(|(_, lease)| !lease.lost);
        join_all(valid.map(|(id, lease)| leases.refresh(&client, id, lease))).await;
    }
}

pub(super) fn lease_operation(app: &str, id: &str) -> String {
    format!("lease machine {id} of {app}")
}

/// A request to the lease endpoint of a machine. Acquiring and refreshing share a rate limit, since
/// Fly counts by endpoint.
pub(super) fn lease_request<'a>(
    method: Method,
    app: &str,
    id: &'a str,
    operation: String,
) -> ApiRequest<'a> {
    let action = match method {
        Method::GET => "lease get",
        Method::DELETE => "lease release",
        _ => "lease",
    };
    ApiRequest {
        method,
        path: format!("/v1/apps/{}/machines/{}/lease", segment(app), segment(id)),
        body: None,
        action: RateLimitedAction::Other(action),
        identifier: id,
        idempotency: Idempotency::NotIdempotent,
        operation,
    }
}

async fn release_lease(
    client: &ApiClient,
    id: &str,
    lease: &HeldMachineLease,
) -> Result<(), CloudError> {
    let app = &lease.app;
    let operation = format!("give back the lease of machine {id} of {app}");
    let request = ApiRequest {
        idempotency: Idempotency::Idempotent,
        ..lease_request(Method::DELETE, app, id, operation)
    };
    match client
        .send_with_nonce::<serde::de::IgnoredAny>(&request, Some(&lease.nonce))
        .await
    {
        Err(error) if error.is_not_found() => Ok(()),
        result => result.map(drop),
    }
}
