//! The client that can write: the common path of all writes, and the writes on apps and machines.
//! The caller of a request that is not idempotent must look up the result after
//! an ambiguous error.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::{FlyReader, Leases, MachineRequest, keyed_locks::KeyedLocks, wire};
use crate::clouds::{
    CloudError, RateLimitedAction,
    http::{ApiRequest, Idempotency},
    url::segment,
};

/// The rate-limited action of metadata writes.
const METADATA_ACTION: &str = "metadata";

/// Whether a write was rejected because of a lease. Leases answer with 409, and so do a few other
/// things.
fn is_lease_error(error: &CloudError) -> bool {
    error.status == Some(409) && error.message.contains("lease")
}

/// A client of the Machines API that can read and write.
#[derive(Clone, Debug)]
pub struct FlyWriter {
    reader: FlyReader,
    leases: Leases,
    volume_locks: KeyedLocks,
}

impl Deref for FlyWriter {
    type Target = FlyReader;
    fn deref(&self) -> &FlyReader {
        &self.reader
    }
}

/// A write request.
pub(super) struct WriteRequest<'a> {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) action: &'static str,
    pub(super) identifier: &'a str,
    pub(super) idempotency: Idempotency,
    pub(super) operation: String,
}

impl FlyWriter {
    /// A writer on top of a reader, with leases of its own.
    #[must_use]
    pub fn new(reader: FlyReader) -> Self {
        Self::with_leases(reader, Leases::default())
    }

    /// The same with given leases. The caller keeps a clone, to describe the lease holder and to
    /// release them.
    #[must_use]
    pub fn with_leases(reader: FlyReader, leases: Leases) -> Self {
        leases.set_client(&reader.http);
        Self {
            reader,
            leases,
            volume_locks: KeyedLocks::default(),
        }
    }

    /// Locks the creation of volumes with this name and region. The guard holds the ids of those
    /// that this run has created so far.
    pub async fn lock_volume_creation(
        &self,
        app: &str,
        name: &str,
        region: &str,
    ) -> OwnedMutexGuard<BTreeSet<String>> {
        self.volume_locks
            .lock(format!("{app} {name} {region}"))
            .await
    }

    /// The leases that this writer takes and sends.
    #[must_use]
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Sends a write, with the nonce of our lease if the machine is leased. If the lease has
    /// expired, it is reacquired and the write repeated, provided that the machine has not changed
    /// since; otherwise the server's error is returned.
    pub(super) async fn send_write<T: DeserializeOwned>(
        &self,
        write: WriteRequest<'_>,
    ) -> Result<T, CloudError> {
        let WriteRequest {
            method,
            path,
            body,
            action,
            identifier,
            idempotency,
            operation,
        } = write;
        // Leases do not protect metadata, and flyctl sends no nonce there.
        let nonce = || {
            self.leases
                .nonce(identifier)
                .filter(|_| action != METADATA_ACTION)
        };
        let action = if action == "app delete" {
            RateLimitedAction::DeleteApp
        } else {
            RateLimitedAction::Other(action)
        };
        let request = ApiRequest {
            method,
            path,
            body,
            action,
            identifier,
            idempotency,
            operation,
        };
        let used_nonce = nonce();
        match self
            .http
            .send_with_nonce(&request, used_nonce.as_deref())
            .await
        {
            Err(error)
                if used_nonce.is_some()
                    && is_lease_error(&error)
                    && self.leases.reacquire(identifier).await =>
            {
                self.http
                    .send_with_nonce(&request, nonce().as_deref())
                    .await
            }
            response => response,
        }
    }

    /// Records the lease nonce and the version that a write on a machine returned.
    fn record_lease(&self, app: &str, machine: &wire::MachineResponse) {
        match &machine.nonce {
            Some(nonce) if !nonce.is_empty() => {
                self.leases
                    .insert(app, &machine.id, nonce.clone(), machine.instance_id.clone());
            }
            _ => self
                .leases
                .record_version(&machine.id, &machine.instance_id),
        }
    }

    /// Creates an app. After an ambiguous error the caller must check whether it exists. `role` is the app's role on Fly, such as
    /// `postgres_cluster`, by which `fly postgres` finds clusters (flyctl, `flypg/launcher.go`).
    ///
    /// # Errors
    /// When the request fails, or the name is taken.
    pub async fn create_app(
        &self,
        name: &str,
        org: &str,
        network: Option<&str>,
        role: Option<&str>,
    ) -> Result<(), CloudError> {
        let mut body = json!({ "name": name, "org_slug": org });
        if let Some(role) = role {
            body["app_role_id"] = role.into();
        }
        if let Some(network) = network {
            body["network"] = network.into();
        }
        let operation = format!("create app {name} in the organization {org}");
        self.send_write::<Value>(WriteRequest {
            method: Method::POST,
            path: "/v1/apps".to_owned(),
            body: Some(body),
            action: "app create",
            // There is no app yet to limit by, so limit by the organization.
            identifier: org,
            idempotency: Idempotency::NotIdempotent,
            operation,
        })
        .await
        .map(drop)
    }

    /// Deletes an app with everything in it.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn delete_app(&self, app: &str) -> Result<(), CloudError> {
        let (path, operation) = (
            format!("/v1/apps/{}?force=true", segment(app)),
            format!("delete app {app}"),
        );
        self.write_idempotent(Method::DELETE, path, None, "app delete", "", operation)
            .await
    }

    /// Sends an idempotent write and ignores the response body.
    pub(super) async fn write_idempotent(
        &self,
        method: Method,
        path: String,
        body: Option<Value>,
        action: &'static str,
        identifier: &str,
        operation: String,
    ) -> Result<(), CloudError> {
        let idempotency = Idempotency::Idempotent;
        let response = self.send_write::<serde::de::IgnoredAny>(WriteRequest {
            method,
            path,
            body,
            action,
            identifier,
            idempotency,
            operation,
        });
        response.await.map(drop)
    }

    /// Creates a machine. After an ambiguous error the caller must look for a machine with its
    /// ownership mark.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_machine(
        &self,
        app: &str,
        spec: &MachineRequest,
    ) -> Result<wire::MachineResponse, CloudError> {
        let mut body = spec.to_json();
        if let Some(name) = &spec.name {
            body["name"] = name.as_str().into();
        }
        let created = self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{}/machines", segment(app)),
            body: Some(body),
            action: "machine create",
            identifier: app,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("create a machine in {app} ({})", spec.region),
        });
        created
            .await
            .inspect(|created| self.record_lease(app, created))
    }

    /// Replaces a machine's whole configuration. `version` is the `instance_id` that the plan was
    /// made against.
    ///
    /// # Errors
    /// When the request fails; [`ErrorKind::Conflict`](crate::clouds::ErrorKind) if the machine has
    /// another version.
    pub async fn update_machine(
        &self,
        app: &str,
        id: &str,
        version: &str,
        update: &MachineRequest,
    ) -> Result<wire::MachineResponse, CloudError> {
        let mut body = update.to_json();
        body["current_version"] = version.into();
        let updated = self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{}/machines/{}", segment(app), segment(id)),
            body: Some(body),
            action: "machine update",
            identifier: id,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("update machine {id} of {app}"),
        });
        updated
            .await
            .inspect(|updated| self.record_lease(app, updated))
    }

    /// Sets metadata keys, without a restart.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn set_metadata(
        &self,
        app: &str,
        id: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        let (path, operation) = (
            format!(
                "/v1/apps/{}/machines/{}/metadata",
                segment(app),
                segment(id)
            ),
            format!("write metadata of machine {id} of {app}"),
        );
        self.write_idempotent(
            Method::PATCH,
            path,
            Some(json!({ "metadata": metadata })),
            METADATA_ACTION,
            id,
            operation,
        )
        .await
    }

    /// Destroys a machine, running or not.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn destroy_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        let path = format!(
            "/v1/apps/{}/machines/{}?force=true",
            segment(app),
            segment(id)
        );
        let operation = format!("destroy machine {id} of {app}");
        self.write_idempotent(Method::DELETE, path, None, "machine destroy", id, operation)
            .await?;
        self.leases.remove(id);
        Ok(())
    }

    /// Restarts a machine, so that it sees an extended volume.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn restart_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "restart", "machine restart")
            .await
    }

    /// Starts a machine that is stopped or suspended. A running machine stays as it is.
    ///
    /// # Errors
    /// When the request fails, or the machine is `created` or being replaced.
    pub async fn start_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "start", "machine start")
            .await
    }

    /// Stops a machine with the signal and timeout of its configuration (`stop_config`), or else
    /// Fly's default: SIGINT and five seconds. Returns before the machine has stopped.
    ///
    /// # Errors
    /// When the request fails. It is no error if the machine is already stopped.
    pub async fn stop_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "stop", "machine stop")
            .await
    }

    /// Cordons a machine: Fly's proxy stops routing to it, but it keeps running.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn cordon_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "cordon", "machine cordon")
            .await
    }

    /// Uncordons a machine: Fly's proxy routes to it again.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn uncordon_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "uncordon", "machine uncordon")
            .await
    }

    /// Posts an idempotent action without a body, such as `start`.
    async fn post_machine_action(
        &self,
        app: &str,
        id: &str,
        verb: &str,
        action: &'static str,
    ) -> Result<(), CloudError> {
        let path = format!("/v1/apps/{}/machines/{}/{verb}", segment(app), segment(id));
        self.write_idempotent(
            Method::POST,
            path,
            None,
            action,
            id,
            format!("{verb} machine {id} of {app}"),
        )
        .await
    }
}
