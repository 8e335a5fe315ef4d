//! Fly.io: the Machines API, GraphQL, the API for releases, image manifests, and the proxy in front of
//! apps.

pub(crate) mod access;
pub(crate) mod behaviour;
pub(crate) mod config;
pub(crate) mod console;
pub(crate) mod graphql;
pub(crate) mod images;
pub(crate) mod machine;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod rate_limit;
pub(crate) mod registry;
pub(crate) mod routes;
pub(crate) mod transitions;
pub(crate) mod uiex;
pub(crate) mod v1;

use routes::Route;

/// The routes of all Fly APIs.
pub(crate) fn routes() -> Vec<Route> {
    let mut all = v1::routes();
    all.extend(graphql::routes());
    all.extend(uiex::routes());
    all.extend(registry::routes());
    all
}
