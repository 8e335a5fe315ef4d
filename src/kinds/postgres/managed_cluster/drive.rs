//! The API calls of a managed cluster.

use std::time::Duration;

use super::{ManagedCluster, ManagedClusterLive, ManagedClusterSpec};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{CreateClusterRequest, Endpoint, ManagedPostgresCluster},
    },
    kinds::{CloudWriters, Drive, NoEdit, World},
    model::Name,
};

/// How long a new cluster may take until it is ready, in seconds.
const READY_TIMEOUT_SECS: u64 = 900;
/// How often its state is read meanwhile, as by flyctl.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

impl ManagedClusterLive {
    /// The live state from what the API reports, and the names of databases and users.
    #[must_use]
    pub fn from_wire(
        cluster: ManagedPostgresCluster,
        databases: Vec<String>,
        users: Vec<String>,
    ) -> Self {
        let ManagedPostgresCluster {
            id,
            name,
            status,
            region,
            plan,
            disk_size_gb,
            pg_major_version,
            endpoints,
        } = cluster;
        let primary = endpoints.unwrap_or_default().primary;
        let to_text = |endpoint: Endpoint| format!("{}:{}", endpoint.host, endpoint.port);
        Self {
            id,
            name,
            status,
            region,
            plan,
            disk_gb: disk_size_gb,
            version: pg_major_version,
            pooler: primary.pooler.map(to_text),
            direct: primary.direct.map(to_text),
            databases,
            users,
        }
    }
}

/// Creates a cluster, or finds the one that an attempt without an answer made.
async fn create_or_find(
    clouds: &CloudWriters,
    spec: &ManagedClusterSpec,
) -> Result<String, CloudError> {
    let ManagedClusterSpec {
        name,
        org,
        region,
        plan,
        disk_gb,
        version,
        pool_mode,
    } = spec;
    // A name is not unique, so another attempt would make a second cluster, which costs money.
    let find = async || {
        let clusters = clouds.fly.list_managed_clusters(org).await?;
        let mut same = clusters.into_iter().filter(|cluster| cluster.name == *name);
        Ok::<_, CloudError>(same.next().map(|cluster| cluster.id))
    };
    if let Some(id) = find().await? {
        return Ok(id);
    }
    let request = CreateClusterRequest {
        org: org.clone(),
        name: name.clone(),
        region: region.clone(),
        plan: plan.clone(),
        disk_gb: *disk_gb,
        version: version.clone(),
        pool_mode: pool_mode.clone(),
    };
    match clouds.fly.create_managed_cluster(&request).await {
        Err(error) if error.is_ambiguous() => find().await?.ok_or(error),
        result => Ok(result?.id),
    }
}

/// Waits until a cluster is ready and has its addresses.
pub(crate) async fn wait_until_ready(
    clouds: &CloudWriters,
    id: &str,
) -> Result<ManagedPostgresCluster, CloudError> {
    let operation = format!("wait until the managed Postgres cluster {id} is ready");
    let deadline = clouds.fly.deadline_in(READY_TIMEOUT_SECS);
    loop {
        let cluster = clouds.fly.get_managed_cluster(id).await?;
        match cluster.status.as_str() {
            "ready" if cluster.endpoints.is_some() => return Ok(cluster),
            "failed" | "error" | "deleting" | "deleted" => {
                let message = format!("its state is {}", cluster.status);
                return Err(CloudError::new(operation, ErrorKind::Failed, message));
            }
            status if deadline.has_passed() => {
                let message = format!("its state is {status} after {READY_TIMEOUT_SECS} seconds");
                return Err(CloudError::new(operation, ErrorKind::Failed, message));
            }
            _ => clouds.fly.sleep_scaled(POLL_INTERVAL).await,
        }
    }
}

impl Drive for ManagedCluster {
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &ManagedClusterSpec,
        _: &World,
    ) -> Result<ManagedClusterLive, CloudError> {
        let id = create_or_find(clouds, spec).await?;
        let cluster = wait_until_ready(clouds, &id).await?;
        Ok(ManagedClusterLive::from_wire(
            cluster,
            Vec::new(),
            Vec::new(),
        ))
    }

    async fn edit(
        _: &CloudWriters,
        _: &ManagedClusterLive,
        edit: &NoEdit,
        _: &World,
    ) -> Result<ManagedClusterLive, CloudError> {
        match *edit {}
    }

    /// A cluster bears no mark, so no plan deletes one.
    async fn delete(
        _: &CloudWriters,
        live: &ManagedClusterLive,
        _: &World,
    ) -> Result<(), CloudError> {
        let operation = format!("delete the managed Postgres cluster {}", live.name);
        let message = format!("it bears no mark; `fly mpg destroy {}` deletes it", live.id);
        Err(CloudError::new(operation, ErrorKind::Rejected, message))
    }
}
