//! What a machine tells of itself as a node of a Postgres cluster, without asking the database.

/// The metadata by which flyctl knows the nodes of a cluster (flyctl, `flypg/launcher.go`).
pub const NODE_LABEL: &str = "fly-managed-postgres";

/// The role of an app that is a cluster (flyctl, `flypg/launcher.go`).
pub const APP_ROLE: &str = "postgres_cluster";

/// The check whose output is the role of a node (fly-apps/postgres-flex, `internal/flycheck/role.go`).
pub const ROLE_CHECK: &str = "role";

/// What the check says of the node that takes writes.
pub const PRIMARY: &str = "primary";

/// The environment variable that makes a node stop when nobody uses it (fly-apps/postgres-flex, `cmd/start/main.go`).
pub const SCALE_TO_ZERO_ENV: &str = "FLY_SCALE_TO_ZERO";
