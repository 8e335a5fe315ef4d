//! The desired and the live state of a database.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::DatabaseRecord;
use crate::{
    kinds::{
        References,
        fly::{App, Machine},
        postgres::ManagedCluster,
    },
    model::{Address, Name, OwnershipMark, ResourceRef, Secret},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatabaseSpec {
    /// The app that uses the database.
    pub app: ResourceRef<App>,
    /// The cluster that it is in.
    pub cluster: ClusterRef,
    /// The name of the database.
    pub database: String,
    /// The role that owns it, and that the app logs in as.
    pub role: String,
    /// The secret of the app that gets the URL.
    pub variable: String,
    /// The form of the URL.
    pub url: UrlShape,
    /// The extensions that exist in it.
    pub extensions: BTreeSet<String>,
    /// Whether the database is deleted with its block, without a further permission.
    pub ephemeral: bool,
    /// Whether a role or a database of these names may be taken over.
    #[serde(skip)]
    pub adopt: bool,
    /// Whether the manifest has a machine that remembers which secrets it was started with.
    #[serde(skip)]
    pub has_machines: bool,
    /// The owner.
    #[serde(skip)]
    pub mark: OwnershipMark,
}

/// A cluster, of this environment or of another.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterRef {
    /// The name of its app on Fly, or its own name when Fly manages it.
    pub fly_name: String,
    /// The cluster, when Fly manages it.
    #[serde(skip)]
    pub managed: Option<ResourceRef<ManagedCluster>>,
    /// The app, when this environment owns the cluster.
    #[serde(skip)]
    pub app: Option<ResourceRef<App>>,
    /// Its machines, when this environment owns the cluster.
    #[serde(skip)]
    pub nodes: Vec<ResourceRef<Machine>>,
}

/// The form of a URL, without what is secret or follows from the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UrlShape {
    /// The scheme, such as `postgres` or `postgresql+asyncpg`.
    pub scheme: String,
    /// Host and port; [`UrlShape::UNKNOWN_HOST`] for a managed cluster, which has them when it is ready.
    pub host: String,
    /// Whether it leads to the connection pool of a managed cluster.
    #[serde(skip)]
    pub pooled: bool,
    /// The query, such as `sslmode=disable`; empty for none.
    pub query: String,
}

impl UrlShape {
    /// What stands for a host that is not known yet.
    pub const UNKNOWN_HOST: &str = "…";

    /// The URL of a database. All parts but the password have passed the manifest's checks, and the password is made of letters
    /// and digits, so nothing needs an encoding.
    #[must_use]
    pub fn url(&self, role: &str, password: &Secret, database: &str) -> Secret {
        Secret::new(self.with_user(&format!("{role}:{}", password.expose()), database))
    }

    /// The same without the password, to show and to compare.
    #[must_use]
    pub fn display(&self, role: &str, database: &str) -> String {
        self.with_user(role, database)
    }

    fn with_user(&self, user: &str, database: &str) -> String {
        let Self {
            scheme,
            host,
            pooled: _,
            query,
        } = self;
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{scheme}://{user}@{host}/{database}{separator}{query}")
    }
}

impl DatabaseSpec {
    /// What the secret of a database in a managed cluster is recorded under: it changes with whatever the secret is made of. The
    /// password can be read back, so nothing of the role itself is recorded.
    #[must_use]
    pub fn managed_fingerprint(&self, cluster_id: &str) -> String {
        let extensions: Vec<&str> = self.extensions.iter().map(String::as_str).collect();
        let text = format!(
            "{cluster_id} {} {} {} {}",
            self.display_url(),
            self.url.pooled,
            self.variable,
            extensions.join(",")
        );
        let hash = Sha256::digest(text);
        hash.iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The URL without its password.
    #[must_use]
    pub fn display_url(&self) -> String {
        self.url.display(&self.role, &self.database)
    }
}

/// The live state, as the last apply recorded it.
#[derive(Clone, Debug, Serialize)]
pub struct DatabaseLive {
    /// The app that uses the database.
    pub app: ResourceRef<App>,
    /// The name of the cluster's app on Fly.
    pub cluster: String,
    /// The cluster's app, when this environment owns it.
    #[serde(skip)]
    pub cluster_app: Option<ResourceRef<App>>,
    /// The record.
    #[serde(flatten)]
    pub record: DatabaseRecord,
    /// The SHA-256 of the verifier of the role's password, in hexadecimal.
    #[serde(skip)]
    pub verifier_hash: String,
    /// What the cluster itself says, when it was asked.
    #[serde(skip)]
    pub facts: Option<DatabaseFacts>,
    /// The URL, in the run that made its password.
    #[serde(skip)]
    pub url: Option<Secret>,
}

/// What a cluster says of a role and of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The role; `None` when it does not exist.
    pub role: Option<RoleFacts>,
    /// The owner of the database, and whether every role may connect to it; `None` when it does not exist.
    pub database: Option<(String, bool)>,
}

/// The attributes of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFacts {
    /// Whether it may log in.
    pub login: bool,
    /// The rights beyond its own database that it has, such as `superuser`.
    pub excess: Vec<&'static str>,
    /// The SHA-256 of the verifier of its password, in hexadecimal.
    pub verifier_hash: String,
}

impl DatabaseLive {
    /// The live state from a record in the metadata of a machine of the cluster.
    #[must_use]
    pub fn new(
        name: &Name,
        cluster: &str,
        cluster_app: Option<ResourceRef<App>>,
        record: DatabaseRecord,
    ) -> Self {
        Self {
            app: ResourceRef::new(name.root()),
            cluster: cluster.to_owned(),
            cluster_app,
            verifier_hash: record.verifier.clone(),
            record,
            facts: None,
            url: None,
        }
    }
}

impl References for DatabaseSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            cluster,
            database: _,
            role: _,
            variable: _,
            url: _,
            extensions: _,
            ephemeral: _,
            adopt: _,
            has_machines: _,
            mark: _,
        } = self;
        let ClusterRef {
            fly_name: _,
            managed,
            app: cluster_app,
            nodes,
        } = cluster;
        [app.address()]
            .into_iter()
            .chain(managed.iter().map(ResourceRef::address))
            .chain(cluster_app.iter().map(ResourceRef::address))
            .chain(nodes.iter().map(ResourceRef::address))
            .collect()
    }
}

impl References for DatabaseLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            app: _,
            cluster: _,
            cluster_app,
            record: _,
            verifier_hash: _,
            facts: _,
            url: _,
        } = self;
        cluster_app.iter().map(ResourceRef::address).collect()
    }
}
