//! What does not happen by itself to the machines of a Postgres cluster, because data or the majority of the nodes would be lost.

use super::{Workload, WorkloadLive};
use crate::{
    kinds::{
        Blocker,
        postgres::cluster::{NODE_LABEL, PRIMARY},
    },
    model::Image,
};

/// Whether a machine is a node of a cluster.
#[must_use]
pub fn is_node(live: &WorkloadLive) -> bool {
    live.metadata.contains_key(NODE_LABEL)
}

/// Whether a machine is the node that takes writes, as far as its check tells.
#[must_use]
pub fn is_primary(live: &WorkloadLive) -> bool {
    live.health.postgres_role.as_deref() == Some(PRIMARY)
}

/// The major version of Postgres that an image names in its tag.
fn major_version(image: &Image) -> Option<u32> {
    image.tag()?.split('.').next()?.parse().ok()
}

/// The blocker of another major version: it cannot read the data directory of this one.
#[must_use]
pub fn version_blocker(spec: &Workload, live: &WorkloadLive) -> Option<Blocker> {
    if !is_node(live) {
        return None;
    }
    let (wanted, running) = (spec.config.image.as_ref()?, live.config.image.as_ref()?);
    // Another image altogether was set by hand, and says nothing of the data.
    if wanted.repository() != running.repository() {
        return None;
    }
    let (wanted, running) = (major_version(wanted)?, major_version(running)?);
    (wanted != running).then(|| Blocker {
        reason: format!("machine {} runs Postgres {running}, and version {wanted} cannot read its data", live.id),
        hint: format!(
            "add a second cluster with version {wanted}, copy the data with pg_dump, move the apps to it, and remove this one"
        ),
    })
}

/// The blocker of another volume: a node is never made anew to change it.
#[must_use]
pub fn volume_blocker(live: &WorkloadLive) -> Blocker {
    Blocker {
        reason: format!(
            "node {} of the Postgres cluster would be replaced, and start without its data",
            live.id
        ),
        hint: "attach its volume again, or let it go by hand and apply again".to_owned(),
    }
}

/// The blocker of a smaller cluster: a member that is not unregistered keeps its vote and its replication slot.
#[must_use]
pub fn removal_blocker(live: &WorkloadLive) -> Blocker {
    let id = &live.id;
    Blocker {
        reason: format!(
            "machine {id} is a node of a Postgres cluster, and is not removed by itself"
        ),
        hint: format!(
            "check that it is not the primary, run `pg_unregister` for it on the primary (fly-apps/postgres-flex, docs), then \
             `fly machine destroy {id}`, and apply again"
        ),
    }
}
