//! Managed Postgres by the Machines API (`/v1/postgres`; fly-go, `flaps_managed_postgres.go`).
//!
//! The API creates and deletes clusters and cannot change them. A new cluster is ready after minutes; until then it has no endpoints.

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{FlyReader, FlyWriter, write::WriteRequest};
use crate::{
    clouds::{CloudError, ErrorKind, RateLimitedAction, http::Idempotency},
    model::Secret,
};

/// A cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ManagedPostgresCluster {
    /// Fly's id.
    #[serde(deserialize_with = "null_as_default")]
    pub id: String,
    /// Its name, which need not be unique.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// `creating`, `initializing`, `ready`, `deleting`, `deleted`, `failed` or `error`.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// Where it is.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// The plan, such as `basic`.
    #[serde(deserialize_with = "null_as_default")]
    pub plan: String,
    /// The size of the disk in GB.
    pub disk_size_gb: Option<u32>,
    /// The major version, such as `17`.
    #[serde(deserialize_with = "null_as_default")]
    pub pg_major_version: String,
    /// The addresses; absent until it is ready.
    pub endpoints: Option<ClusterEndpoints>,
}

/// The addresses of a cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClusterEndpoints {
    /// Those of the primary.
    pub primary: NodeEndpoints,
}

/// The addresses of one node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeEndpoints {
    /// The server itself.
    pub direct: Option<Endpoint>,
    /// The connection pool in front of it.
    pub pooler: Option<Endpoint>,
}

/// An address.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Endpoint {
    /// The host name.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl ManagedPostgresCluster {
    /// Whether it is gone, or about to be.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self.status.as_str(), "deleting" | "deleted")
    }
}

/// The body of a request that creates a cluster.
#[derive(Clone, Debug)]
pub struct CreateClusterRequest {
    /// The organization.
    pub org: String,
    /// The name.
    pub name: String,
    /// Where.
    pub region: String,
    /// The plan.
    pub plan: String,
    /// The size of the disk in GB.
    pub disk_gb: u32,
    /// The major version.
    pub version: String,
    /// `session` or `transaction`.
    pub pool_mode: String,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

/// A database, or a user, whose name has another key.
#[derive(Deserialize)]
struct Named {
    #[serde(alias = "username")]
    name: String,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl FlyReader {
    /// Lists the clusters of an organization that are not deleted.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_managed_clusters(
        &self,
        org: &str,
    ) -> Result<Vec<ManagedPostgresCluster>, CloudError> {
        let list: Data<Vec<ManagedPostgresCluster>> = self
            .get(
                RateLimitedAction::Other("postgres list"),
                org,
                format!("/v1/postgres?org_slug={org}"),
                format!("list the managed Postgres clusters of {org}"),
            )
            .await?;
        let clusters = list.data.into_iter();
        Ok(clusters.filter(|cluster| !cluster.is_deleted()).collect())
    }

    /// Reads a cluster, with its addresses.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn get_managed_cluster(
        &self,
        id: &str,
    ) -> Result<ManagedPostgresCluster, CloudError> {
        let operation = format!("look up the managed Postgres cluster {id}");
        let path = format!("/v1/postgres/{id}");
        let action = RateLimitedAction::Other("postgres get");
        let cluster: Data<ManagedPostgresCluster> = self.get(action, id, path, operation).await?;
        Ok(cluster.data)
    }

    /// The names of the databases of a cluster.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_managed_databases(&self, id: &str) -> Result<Vec<String>, CloudError> {
        self.list_names(id, "databases").await
    }

    /// The names of the users of a cluster.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_managed_users(&self, id: &str) -> Result<Vec<String>, CloudError> {
        self.list_names(id, "users").await
    }

    async fn list_names(&self, id: &str, what: &'static str) -> Result<Vec<String>, CloudError> {
        let operation = format!("list the {what} of the managed Postgres cluster {id}");
        let path = format!("/v1/postgres/{id}/{what}");
        let action = RateLimitedAction::Other("postgres list");
        let list: Data<Vec<Named>> = self.get(action, id, path, operation).await?;
        Ok(list.data.into_iter().map(|named| named.name).collect())
    }
}

impl FlyWriter {
    /// Creates a cluster. After an ambiguous error the caller must look for one of this name.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_managed_cluster(
        &self,
        request: &CreateClusterRequest,
    ) -> Result<ManagedPostgresCluster, CloudError> {
        let CreateClusterRequest {
            org,
            name,
            region,
            plan,
            disk_gb,
            version,
            pool_mode,
        } = request;
        let body = json!({
            "org_slug": org, "name": name, "region": region, "plan": plan, "disk_size_gb": disk_gb,
            "pg_major_version": version, "pool_mode": pool_mode,
        });
        let created: Data<ManagedPostgresCluster> = self
            .send_write(WriteRequest {
                method: Method::POST,
                path: "/v1/postgres".to_owned(),
                body: Some(body),
                action: "postgres create",
                identifier: org,
                idempotency: Idempotency::NotIdempotent,
                operation: format!("create the managed Postgres cluster {name} in {region}"),
            })
            .await?;
        Ok(created.data)
    }

    /// Creates a database, unless there is one of this name.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_managed_database(&self, id: &str, name: &str) -> Result<(), CloudError> {
        if self
            .list_managed_databases(id)
            .await?
            .iter()
            .any(|known| known == name)
        {
            return Ok(());
        }
        let operation = format!("create the database {name} of the managed Postgres cluster {id}");
        self.post_managed(id, "databases", json!({ "name": name }), operation)
            .await
    }

    /// Creates a user that owns what it creates, unless there is one of this name.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_managed_user(&self, id: &str, name: &str) -> Result<(), CloudError> {
        let operation = format!("create the user {name} of the managed Postgres cluster {id}");
        let body = json!({ "username": name, "role": "schema_admin" });
        match self.post_managed(id, "users", body, operation).await {
            Err(error) if error.status == Some(409) => Ok(()),
            result => result,
        }
    }

    /// Creates an extension in a database.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn create_managed_extension(
        &self,
        id: &str,
        database: &str,
        extension: &str,
    ) -> Result<(), CloudError> {
        let operation = format!(
            "create the extension {extension} in {database} of the managed Postgres cluster {id}"
        );
        let path = format!("databases/{database}/extensions");
        match self
            .post_managed(id, &path, json!({ "name": extension }), operation)
            .await
        {
            Err(error) if error.status == Some(409) => Ok(()),
            result => result,
        }
    }

    /// Records that an app uses a cluster; it is there already when the answer is 200.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn attach_managed_cluster(&self, id: &str, app: &str) -> Result<(), CloudError> {
        let operation = format!("attach {app} to the managed Postgres cluster {id}");
        self.post_managed(id, "attachments", json!({ "app_name": app }), operation)
            .await
    }

    /// The password of a user, to set a secret.
    ///
    /// # Errors
    /// When the request fails, or the answer is for another user.
    pub async fn read_managed_password(&self, id: &str, user: &str) -> Result<Secret, CloudError> {
        let operation =
            format!("read the credentials of {user} of the managed Postgres cluster {id}");
        let path = format!("/v1/postgres/{id}/users/{user}/credentials");
        let action = RateLimitedAction::Other("postgres credentials");
        let answer: Data<Credentials> = self.get(action, id, path, operation.clone()).await?;
        let Credentials { username, password } = answer.data;
        // Before anything is compared or printed, so that no message can contain it.
        let password = Secret::new(password);
        if username == user {
            return Ok(password);
        }
        let message = "the answer is for another user";
        Err(CloudError::new(
            operation,
            ErrorKind::InvalidResponse,
            message,
        ))
    }

    /// Makes a new password for a user.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn rotate_managed_password(&self, id: &str, user: &str) -> Result<(), CloudError> {
        let operation =
            format!("rotate the password of {user} of the managed Postgres cluster {id}");
        let path = format!("users/{user}/rotate_password");
        self.post_managed(id, &path, json!({}), operation).await
    }

    async fn post_managed(
        &self,
        id: &str,
        path: &str,
        body: Value,
        operation: String,
    ) -> Result<(), CloudError> {
        self.send_write::<serde::de::IgnoredAny>(WriteRequest {
            method: Method::POST,
            path: format!("/v1/postgres/{id}/{path}"),
            body: Some(body),
            action: "postgres write",
            identifier: id,
            // Each is repeated by the caller's next apply, and a conflict means that it is done.
            idempotency: Idempotency::Idempotent,
            operation,
        })
        .await
        .map(drop)
    }
}
