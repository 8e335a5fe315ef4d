//! The writes on what an app has besides machines: volumes, secrets, IP addresses and certificates.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{CreateVolumeRequest, FlyWriter, wire, write::WriteRequest};
use crate::{
    clouds::{CloudError, http::Idempotency, url::segment},
    model::Secret,
};

impl FlyWriter {
    /// Creates a volume. After an ambiguous error the caller must look for a new volume of this
    /// name.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_volume(
        &self,
        app: &str,
        spec: &CreateVolumeRequest,
    ) -> Result<wire::VolumeResponse, CloudError> {
        let CreateVolumeRequest {
            name,
            region,
            size_gb,
            encrypted,
            snapshot_retention,
            auto_backup_enabled,
        } = spec;
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
            path: format!("/v1/apps/{}/volumes", segment(app)),
            body: Some(body),
            action: "volume create",
            identifier: app,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("create volume {name} in {app} ({region})"),
        })
        .await
    }

    /// Extends a volume to `size_gb` GiB.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn extend_volume(
        &self,
        app: &str,
        id: &str,
        size_gb: u32,
    ) -> Result<wire::ExtendVolumeResponse, CloudError> {
        self.send_write(WriteRequest {
            method: Method::PUT,
            path: format!("/v1/apps/{}/volumes/{}/extend", segment(app), segment(id)),
            body: Some(json!({ "size_gb": size_gb })),
            action: "volume extend",
            identifier: id,
            idempotency: Idempotency::Idempotent,
            operation: format!("extend volume {id} of {app} to {size_gb} GB"),
        })
        .await
    }

    /// Changes the snapshot settings of a volume.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn update_volume(
        &self,
        app: &str,
        id: &str,
        body: Value,
    ) -> Result<wire::VolumeResponse, CloudError> {
        self.send_write(WriteRequest {
            method: Method::PUT,
            path: format!("/v1/apps/{}/volumes/{}", segment(app), segment(id)),
            body: Some(body),
            action: "volume update",
            identifier: id,
            idempotency: Idempotency::Idempotent,
            operation: format!("update volume {id} of {app}"),
        })
        .await
    }

    /// Deletes a volume. Fly keeps it restorable for a day.
    ///
    /// # Errors
    /// When the request fails; [`ErrorKind::Conflict`](crate::clouds::ErrorKind) if a machine has
    /// it attached.
    pub async fn delete_volume(&self, app: &str, id: &str) -> Result<(), CloudError> {
        let (path, operation) = (
            format!("/v1/apps/{}/volumes/{}", segment(app), segment(id)),
            format!("delete volume {id} of {app}"),
        );
        self.write_idempotent(Method::DELETE, path, None, "volume delete", id, operation)
            .await
    }

    /// Sets and unsets secrets in one request, without a restart. `None` unsets. The values never
    /// appear in an error.
    ///
    /// # Errors
    /// When the request fails.
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
            path: format!("/v1/apps/{}/secrets", segment(app)),
            body: Some(json!({ "values": values })),
            action: "secret update",
            identifier: app,
            idempotency: Idempotency::Idempotent,
            operation: format!("set secrets of {app}"),
        })
        .await
    }

    /// Assigns an IP address. After an ambiguous error the caller must look for it.
    ///
    /// # Errors
    /// When the request fails.
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
            path: format!("/v1/apps/{}/ip_assignments", segment(app)),
            body: Some(body),
            action: "ip assign",
            identifier: app,
            idempotency: Idempotency::NotIdempotent,
            operation: format!("assign a {kind} address to {app}"),
        })
        .await
    }

    /// Releases an IP address.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn release_ip(&self, app: &str, address: &str) -> Result<(), CloudError> {
        let path = format!(
            "/v1/apps/{}/ip_assignments/{}",
            segment(app),
            segment(address)
        );
        let operation = format!("release {address} of {app}");
        self.write_idempotent(Method::DELETE, path, None, "ip release", app, operation)
            .await
    }

    /// Requests an ACME certificate.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_certificate(
        &self,
        app: &str,
        hostname: &str,
    ) -> Result<wire::CertificateSummary, CloudError> {
        self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{}/certificates/acme", segment(app)),
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
    /// When the request fails.
    pub async fn delete_certificate(&self, app: &str, hostname: &str) -> Result<(), CloudError> {
        let path = format!(
            "/v1/apps/{}/certificates/{}",
            segment(app),
            segment(hostname)
        );
        let operation = format!("remove the certificate of {hostname} ({app})");
        self.write_idempotent(
            Method::DELETE,
            path,
            None,
            "certificate delete",
            app,
            operation,
        )
        .await
    }
}
