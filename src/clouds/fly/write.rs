//! The writes. Where an answer can get lost, the caller says whether repeating is safe or looks first.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::{
    CreateVolumeRequest, FlyReader, Leases, MachineRequest, keyed_locks::KeyedLocks, wire,
};
use crate::{
    clouds::{
        CloudError, RateLimitedAction,
        http::{ApiRequest, Idempotency},
    },
    model::Secret,
};

/// The action of writing metadata, as far as limits are concerned.
const METADATA_ACTION: &str = "metadata";

/// Whether a write was refused because of a lease. Leases answer with 409, and so do a few other things.
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

/// One write: where, how often it may be sent, and what the error shall say.
struct WriteRequest<'a> {
    method: Method,
    path: String,
    body: Option<Value>,
    action: &'static str,
    identifier: &'a str,
    idempotency: Idempotency,
    operation: String,
}

impl FlyWriter {
    /// Gives a reader the right to write.
    #[must_use]
    pub fn new(reader: FlyReader) -> Self {
        Self::with_leases(reader, Leases::default())
    }

    /// The same with leases that others may hold a clone of, to say who takes them and to give them back.
    #[must_use]
    pub fn with_leases(reader: FlyReader, leases: Leases) -> Self {
        leases.set_client(&reader.http);
        Self {
            reader,
            leases,
            volume_locks: KeyedLocks::default(),
        }
    }

    /// Waits for the turn to make a volume, and says which of the same name and region this run has made so far.
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

    /// The leases that this writer takes and shows.
    #[must_use]
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The one path of all writes. What a lease guards shows ours, if there is one. A lease that has run out is taken
    /// again where nothing has happened since; otherwise the server's refusal stands.
    async fn send_write<T: DeserializeOwned>(
        &self,
        write: WriteRequest<'_>,
    ) -> Result<T, CloudError> {
        let WriteRequest {
            method,
            path,
            body,
            action,
            identifier,
            idempotency: repeat,
            operation: doing,
        } = write;
        // Leases do not guard metadata, and flyctl sends no nonce there.
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
        let call = ApiRequest {
            method,
            path,
            body,
            action,
            identifier,
            idempotency: repeat,
            operation: doing,
        };
        let leased = nonce();
        match self.http.send_with_nonce(&call, leased.as_deref()).await {
            Err(error)
                if leased.is_some()
                    && is_lease_error(&error)
                    && self.leases.reacquire(identifier).await =>
            {
                self.http.send_with_nonce(&call, nonce().as_deref()).await
            }
            answer => answer,
        }
    }

    /// Makes what a write on a machine says of its lease known.
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

    /// Makes an app. After an ambiguous answer the caller looks whether it is there.
    ///
    /// # Errors
    /// As every request; a name that is taken is refused.
    pub async fn create_app(
        &self,
        name: &str,
        org: &str,
        network: Option<&str>,
    ) -> Result<(), CloudError> {
        let mut body = json!({ "name": name, "org_slug": org });
        if let Some(network) = network {
            body["network"] = network.into();
        }
        let doing = format!("create app {name} in the organization {org}");
        self.send_write::<Value>(WriteRequest {
            method: Method::POST,
            path: "/v1/apps".to_owned(),
            body: Some(body),
            action: "app create",
            // There is no app yet that the limit could count for, so it counts for the organization.
            identifier: org,
            idempotency: Idempotency::NotIdempotent,
            operation: doing,
        })
        .await
        .map(drop)
    }

    /// Deletes an app with everything in it.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_app(&self, app: &str) -> Result<(), CloudError> {
        let (path, doing) = (
            format!("/v1/apps/{app}?force=true"),
            format!("delete app {app}"),
        );
        self.write_idempotent(Method::DELETE, path, None, "app delete", "", doing)
            .await
    }

    /// A write that can be repeated and whose answer does not matter.
    async fn write_idempotent(
        &self,
        method: Method,
        path: String,
        body: Option<Value>,
        action: &'static str,
        identifier: &str,
        doing: String,
    ) -> Result<(), CloudError> {
        let repeat = Idempotency::Idempotent;
        let answer = self.send_write::<serde::de::IgnoredAny>(WriteRequest {
            method,
            path,
            body,
            action,
            identifier,
            idempotency: repeat,
            operation: doing,
        });
        answer.await.map(drop)
    }

    /// Makes a machine. After an ambiguous answer the caller looks for its mark.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_machine(
        &self,
        app: &str,
        new: &MachineRequest,
    ) -> Result<wire::MachineResponse, CloudError> {
        let mut body = new.to_json();
        if let Some(name) = &new.name {
            body["name"] = name.as_str().into();
        }
        let made = self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{app}/machines"),
            body: Some(body),
            action: "machine create",
            identifier: app,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("create a machine in {app} ({})", new.region),
        });
        made.await.inspect(|made| self.record_lease(app, made))
    }

    /// Replaces a machine's configuration as a whole. `version` is the one that was planned against.
    ///
    /// # Errors
    /// As every request; a conflict when the machine has changed since.
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
            path: format!("/v1/apps/{app}/machines/{id}"),
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

    /// Writes metadata keys; nothing restarts.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_metadata(
        &self,
        app: &str,
        id: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        let (path, doing) = (
            format!("/v1/apps/{app}/machines/{id}/metadata"),
            format!("write metadata of machine {id} of {app}"),
        );
        self.write_idempotent(
            Method::PATCH,
            path,
            Some(json!({ "metadata": labels })),
            METADATA_ACTION,
            id,
            doing,
        )
        .await
    }

    /// Destroys a machine, running or not.
    ///
    /// # Errors
    /// As every request.
    pub async fn destroy_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        let path = format!("/v1/apps/{app}/machines/{id}?force=true");
        let doing = format!("destroy machine {id} of {app}");
        self.write_idempotent(Method::DELETE, path, None, "machine destroy", id, doing)
            .await?;
        self.leases.remove(id);
        Ok(())
    }

    /// Restarts a machine, so that it sees a volume that has grown.
    ///
    /// # Errors
    /// As every request.
    pub async fn restart_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "restart", "machine restart")
            .await
    }

    /// Starts a machine that is stopped or suspended; one that runs already is left alone.
    ///
    /// # Errors
    /// As every request; a machine that is `created` or being replaced is refused.
    pub async fn start_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "start", "machine start")
            .await
    }

    /// Stops a machine with the signal and the time that its own configuration names (`stop_config`), or else with
    /// Fly's: SIGINT, and five seconds. The answer comes before it has stopped.
    ///
    /// # Errors
    /// As every request; one that is stopped already is no error.
    pub async fn stop_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "stop", "machine stop")
            .await
    }

    /// Hides a machine from Fly's proxy; it runs on.
    ///
    /// # Errors
    /// As every request.
    pub async fn cordon_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "cordon", "machine cordon")
            .await
    }

    /// Shows a machine to Fly's proxy again.
    ///
    /// # Errors
    /// As every request.
    pub async fn uncordon_machine(&self, app: &str, id: &str) -> Result<(), CloudError> {
        self.post_machine_action(app, id, "uncordon", "machine uncordon")
            .await
    }

    /// A verb on a machine that takes no body, and that is the same done twice.
    async fn post_machine_action(
        &self,
        app: &str,
        id: &str,
        verb: &str,
        action: &'static str,
    ) -> Result<(), CloudError> {
        let path = format!("/v1/apps/{app}/machines/{id}/{verb}");
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

    /// Makes a volume. After an ambiguous answer the caller looks for a new one of that name.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_volume(
        &self,
        app: &str,
        new: &CreateVolumeRequest,
    ) -> Result<wire::VolumeResponse, CloudError> {
        let CreateVolumeRequest {
            name,
            region,
            size_gb,
            encrypted,
            snapshot_retention,
            auto_backup_enabled,
        } = new;
        let mut body = json!({ "name": name, "region": region, "size_gb": size_gb });
        let optional = [
            ("encrypted", json!(encrypted)),
            ("snapshot_retention", json!(snapshot_retention)),
            ("auto_backup_enabled", json!(auto_backup_enabled)),
        ];
        for (key, value) in optional.into_iter().filter(|(_, value)| !value.is_null()) {
            body[key] = value;
        }
        self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{app}/volumes"),
            body: Some(body),
            action: "volume create",
            identifier: app,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("create volume {name} in {app} ({region})"),
        })
        .await
    }

    /// Makes a volume larger.
    ///
    /// # Errors
    /// As every request.
    pub async fn extend_volume(
        &self,
        app: &str,
        id: &str,
        size_gb: u32,
    ) -> Result<wire::ExtendVolumeResponse, CloudError> {
        self.send_write(WriteRequest {
            method: Method::PUT,
            path: format!("/v1/apps/{app}/volumes/{id}/extend"),
            body: Some(json!({ "size_gb": size_gb })),
            action: "volume extend",
            identifier: id,
            idempotency: Idempotency::Idempotent,
            operation: format!("extend volume {id} of {app} to {size_gb} GB"),
        })
        .await
    }

    /// Changes how snapshots of a volume are taken and kept.
    ///
    /// # Errors
    /// As every request.
    pub async fn update_volume(
        &self,
        app: &str,
        id: &str,
        body: Value,
    ) -> Result<wire::VolumeResponse, CloudError> {
        self.send_write(WriteRequest {
            method: Method::PUT,
            path: format!("/v1/apps/{app}/volumes/{id}"),
            body: Some(body),
            action: "volume update",
            identifier: id,
            idempotency: Idempotency::Idempotent,
            operation: format!("update volume {id} of {app}"),
        })
        .await
    }

    /// Deletes a volume; Fly keeps it for a day.
    ///
    /// # Errors
    /// As every request; a conflict while a machine holds it.
    pub async fn delete_volume(&self, app: &str, id: &str) -> Result<(), CloudError> {
        let (path, doing) = (
            format!("/v1/apps/{app}/volumes/{id}"),
            format!("delete volume {id} of {app}"),
        );
        self.write_idempotent(Method::DELETE, path, None, "volume delete", id, doing)
            .await
    }

    /// Sets and unsets secrets in one call; nothing restarts. The body never appears in an error.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_secrets(
        &self,
        app: &str,
        values: &BTreeMap<&str, Option<&Secret>>,
    ) -> Result<wire::AppSecrets, CloudError> {
        let values: BTreeMap<_, _> = values
            .iter()
            .map(|(name, value)| (*name, value.map(Secret::expose)))
            .collect();
        self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{app}/secrets"),
            body: Some(json!({ "values": values })),
            action: "secret update",
            identifier: app,
            idempotency: Idempotency::Idempotent,
            operation: format!("set secrets of {app}"),
        })
        .await
    }

    /// Assigns an address. After an ambiguous answer the caller looks for it.
    ///
    /// # Errors
    /// As every request.
    pub async fn assign_ip(
        &self,
        app: &str,
        org: &str,
        kind: &str,
        region: Option<&str>,
    ) -> Result<wire::IpAssignment, CloudError> {
        let mut body = json!({ "type": kind });
        if let Some(region) = region {
            body["region"] = region.into();
        }
        if kind == "private_v6" {
            body["org_slug"] = org.into();
        }
        self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{app}/ip_assignments"),
            body: Some(body),
            action: "ip assign",
            identifier: app,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("assign a {kind} address to {app}"),
        })
        .await
    }

    /// Releases an address.
    ///
    /// # Errors
    /// As every request.
    pub async fn release_ip(&self, app: &str, address: &str) -> Result<(), CloudError> {
        let path = format!("/v1/apps/{app}/ip_assignments/{address}");
        let doing = format!("release {address} of {app}");
        self.write_idempotent(Method::DELETE, path, None, "ip release", app, doing)
            .await
    }

    /// Asks for a certificate.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_certificate(
        &self,
        app: &str,
        hostname: &str,
    ) -> Result<wire::CertificateSummary, CloudError> {
        self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{app}/certificates/acme"),
            body: Some(json!({ "hostname": hostname })),
            action: "certificate create",
            identifier: app,
            idempotency: Idempotency::Idempotent,
            operation: format!("request a certificate for {hostname} ({app})"),
        })
        .await
    }

    /// Removes a certificate.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_certificate(&self, app: &str, hostname: &str) -> Result<(), CloudError> {
        let path = format!("/v1/apps/{app}/certificates/{hostname}");
        let doing = format!("remove the certificate of {hostname} ({app})");
        self.write_idempotent(Method::DELETE, path, None, "certificate delete", app, doing)
            .await
    }
}
