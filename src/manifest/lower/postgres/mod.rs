//! Lowers `[postgres.KEY]` and the databases of apps.
//!
//! A cluster becomes an ordinary app, as `fly postgres create` makes it (flyctl, `internal/flypg/launcher.go`): secrets that are made
//! once, a private address, volumes, machines with the checks of the image. Only a database is a kind of its own.

mod cluster;
mod database;
mod managed;

pub(in crate::manifest::lower) use cluster::cluster_secrets;
pub(super) use cluster::lower_clusters;
pub(in crate::manifest::lower) use database::database_secrets;
pub(super) use database::{check_database_names, lower_databases, mark_databases_with_machines};
