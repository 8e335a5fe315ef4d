//! The endpoints of the Machines API.

mod apps;
mod certificates;
pub(crate) mod ips;
mod lease;
pub(crate) mod machines;
pub(crate) mod managed;
mod network_policies;
mod orgs;
pub(crate) mod platform;
pub(crate) mod secrets;
mod tokens;
mod volumes;

pub(crate) use apps::{NewApp, add_app, issue_token};
pub(crate) use network_policies::NetworkPolicy;

use super::rate_limit::RateLimit;
use super::routes::{RateLimitKey, Route, RouteHandler, route};

/// All routes under `/v1`.
pub(crate) fn routes() -> Vec<Route> {
    let mut all = Vec::new();
    all.extend(apps::routes());
    all.extend(machines::routes());
    all.extend(lease::routes());
    all.extend(volumes::routes());
    all.extend(secrets::routes());
    all.extend(ips::routes());
    all.extend(certificates::routes());
    all.extend(network_policies::routes());
    all.extend(orgs::routes());
    all.extend(platform::routes());
    all.extend(tokens::routes());
    all.extend(managed::routes());
    all
}
