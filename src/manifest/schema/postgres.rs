//! The schema of `[postgres.NAME]` and of `[apps.KEY.databases.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CpuKind, DurationString, Preset, RegionCode, Size};

/// A Postgres cluster on Fly.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresSection {
    /// Who runs it: `flex`, machines of your own with Fly's image, or `managed`, Fly's Managed Postgres. Default: `flex`.
    pub engine: Option<PostgresEngine>,
    /// The name of the cluster's app on Fly, unique over all of Fly. Default: PROJECT-KEY-ENVIRONMENT, such as `harbor-db-staging`.
    #[schemars(example = &"harbor-db")]
    pub name: Option<String>,
    /// The name on Fly of a cluster that another environment owns, or that was made by hand. Only databases and roles in it are
    /// managed then, and no other key of this block applies.
    #[schemars(example = &"harbor-review-db")]
    pub external: Option<String>,
    /// Where all nodes run; it cannot be changed later.
    #[schemars(example = &"ewr")]
    pub region: Option<RegionCode>,
    /// The image, pinned to a version of Postgres, and best to a digest. The major version cannot be changed in place.
    #[schemars(example = &"flyio/postgres-flex:17.7")]
    pub image: Option<String>,
    /// How many nodes: 1, or an odd number from 3 for failover. Default: 1.
    #[schemars(range(min = 1, max = 9))]
    pub nodes: Option<u32>,
    /// A preset of CPUs and memory. Default: `shared-cpu-1x` with 1 GB of memory.
    pub size: Option<Preset>,
    /// Memory.
    #[schemars(example = &"1gb")]
    pub memory: Option<Size>,
    /// How many CPUs.
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
    /// The type of CPU.
    pub cpu_kind: Option<CpuKind>,
    /// The size of each node's volume; a larger one extends it. Default: 1 GB.
    #[schemars(example = &"10gb")]
    pub volume_size: Option<Size>,
    /// For how many days the daily snapshots of the volumes are kept. Default: 5.
    #[schemars(range(min = 1, max = 60))]
    pub snapshot_retention: Option<u32>,
    /// Whether Fly takes daily snapshots of the volumes. Default: true.
    pub scheduled_snapshots: Option<bool>,
    /// Stops the node when nobody was connected for this long; the next connection starts it. Only with one node.
    #[schemars(example = &"1h")]
    pub auto_sleep: Option<DurationString>,
    /// The cluster's own private network; it cannot be changed later.
    pub network: Option<String>,
    /// Refuses to destroy the cluster, even after this block is removed from the manifest.
    pub protected: Option<bool>,
    /// Adopts an existing cluster of this name that trimtab did not create.
    pub adopt: Option<bool>,
    /// The plan of a managed cluster: `basic`, `starter`, `launch`, `scale` or `performance`.
    #[schemars(example = &"basic")]
    pub plan: Option<String>,
    /// The disk of a managed cluster. Default: 10 GB.
    #[schemars(example = &"10gb")]
    pub disk_size: Option<Size>,
    /// The major version of a managed cluster: 16 or 17. Default: 17.
    #[schemars(example = 17)]
    pub version: Option<u32>,
    /// How the connection pool of a managed cluster shares connections. Default: `session`.
    pub pool_mode: Option<PoolMode>,
}

/// Who runs a Postgres cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PostgresEngine {
    /// Machines of your own with Fly's image.
    Flex,
    /// Fly's Managed Postgres.
    Managed,
}

/// How a connection pool shares connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PoolMode {
    /// A client keeps its connection until it disconnects.
    Session,
    /// A client keeps its connection for one transaction; prepared statements and session locks do not work.
    Transaction,
}

/// A database in a Postgres cluster, with a role of its own that owns it. The app gets its URL as a secret.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSection {
    /// The cluster: the key of a `[postgres.KEY]` block.
    #[schemars(required, example = &"db")]
    pub cluster: Option<String>,
    /// The name of the database. Default: the app's name on Fly with underscores for dashes, as with `fly postgres attach`.
    #[schemars(example = &"harbor")]
    pub database: Option<String>,
    /// The role that owns it. Default: the same.
    #[schemars(example = &"harbor")]
    pub role: Option<String>,
    /// The secret that gets the URL. Default: `DATABASE_URL`.
    #[schemars(example = &"DATABASE_URL")]
    pub variable: Option<String>,
    /// The scheme of the URL, as the app's driver expects it. Default: `postgres`.
    #[schemars(example = &"postgresql+asyncpg")]
    pub scheme: Option<String>,
    /// The query of the URL. Default: `sslmode = "disable"`, or `ssl = "disable"` for a scheme with `asyncpg`: the private network
    /// is encrypted already.
    #[schemars(example = params_example())]
    pub params: Option<BTreeMap<String, String>>,
    /// Whether the URL leads to the connection pool of a managed cluster, or to the server itself, as migrations may need.
    /// Default: true.
    pub pooled: Option<bool>,
    /// Extensions to create in the database.
    #[serde(default)]
    #[schemars(example = ["pg_trgm", "uuid-ossp"])]
    pub extensions: Vec<String>,
    /// Whether the database is dropped when this block leaves the manifest. Otherwise that needs `--allow-destroy`. Default: false.
    pub ephemeral: Option<bool>,
    /// Takes over a secret, a role and a database of these names that trimtab did not make. The role gets a new password.
    pub adopt: Option<bool>,
}

fn params_example() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("sslmode", "disable")])
}
