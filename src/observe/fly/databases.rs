//! Finds the databases of an environment by their records in the metadata of the clusters' machines.

use std::collections::BTreeMap;

use super::collect::{AppExistence, FlySnapshot};
use crate::{
    clouds::fly::CatalogSlot,
    kinds::{
        Desired, OwnershipConflict, World,
        fly::{App, secrets::SecretsRecord},
        postgres::{
            Database,
            database::{DatabaseFacts, DatabaseLive, DatabaseRecord, DatabaseSpec},
        },
    },
    model::{Address, Name, OwnershipMark, ResourceRef},
};

/// Adds the recorded databases, and a conflict for each that would replace a secret of somebody else.
pub(super) fn add_databases(world: &mut World, snapshot: &FlySnapshot, desired: &Desired) {
    for (key, app) in &snapshot.apps {
        let cluster: ResourceRef<App> = ResourceRef::new(key.clone());
        for machine in &app.machines {
            let metadata = machine.metadata();
            add_records(world, &app.fly_name, Some(&cluster), &metadata, desired);
        }
    }
    for (fly_name, machines) in &snapshot.external_clusters {
        for machine in machines {
            add_records(world, fly_name, None, &machine.metadata(), desired);
        }
    }
    for (fly_name, metadata) in &snapshot.foreign_metadata {
        add_records(world, fly_name, None, metadata, desired);
    }
    add_managed(world, snapshot, desired);
    for live in world.postgres_database.values_mut() {
        let catalog = snapshot.catalogs.get(&live.cluster);
        live.facts = catalog.map(|catalog| DatabaseFacts::new(catalog, &live.record));
    }
    for (name, catalog) in &snapshot.catalogs {
        let warnings = catalog
            .slots
            .iter()
            .filter_map(|slot| slot_warning(name, slot));
        world.findings.warnings.extend(warnings);
    }
    for (name, spec) in &desired.postgres_database {
        let conflict = secret_conflict(snapshot, name, spec)
            // A managed cluster has no records of ours, so only the app's machines tell whose secret it is.
            .filter(|_| {
                spec.cluster.managed.is_some() || !world.postgres_database.contains_key(name)
            })
            .filter(|conflict| !desired.meta.adopt.contains(&conflict.address));
        world.findings.ownership_conflicts.extend(conflict);
    }
}

/// Adds managed clusters, and the databases in them that the manifest names and that exist.
fn add_managed(world: &mut World, snapshot: &FlySnapshot, desired: &Desired) {
    let clusters = snapshot.managed_clusters.clone();
    world.postgres_managed_cluster.extend(clusters);
    for (name, spec) in &desired.postgres_database {
        let Some(cluster) = &spec.cluster.managed else {
            continue;
        };
        let Some(live) = snapshot.managed_clusters.get(cluster.name()) else {
            continue;
        };
        if live.databases.contains(&spec.database) && live.users.contains(&spec.role) {
            let record = DatabaseRecord::new(name, spec, &spec.managed_fingerprint(&live.id));
            let database = DatabaseLive::new(name, &spec.cluster.fly_name, None, record);
            world.postgres_database.insert(name.clone(), database);
        }
    }
}

/// How much of the log an unused slot may hold back before it is told: sixteen segments.
const RETAINED_BYTES: f64 = 268_435_456.0;

/// A slot that no standby uses keeps the log until the disk is full.
fn slot_warning(cluster: &str, slot: &CatalogSlot) -> Option<String> {
    let retained = slot.retained.unwrap_or_default();
    (!slot.active && retained > RETAINED_BYTES).then(|| {
        format!(
            "the replication slot {} of {cluster} is not used, and keeps {:.0} MB of log on the disk; if its node is gone for \
             good, drop it with `SELECT pg_drop_replication_slot('{}')`",
            slot.name,
            retained / 1e6,
            slot.name
        )
    })
}

/// Every node has the record; the first one counts.
fn add_records(
    world: &mut World,
    fly_name: &str,
    cluster: Option<&ResourceRef<App>>,
    metadata: &BTreeMap<String, String>,
    desired: &Desired,
) {
    for (key, value) in metadata {
        let Some((name, record)) = DatabaseRecord::parse(key, value, &desired.meta.mark) else {
            continue;
        };
        let live = DatabaseLive::new(&name, fly_name, cluster.cloned(), record);
        if !world.postgres_database.contains_key(&name) {
            world.postgres_database.insert(name, live);
        }
    }
}

/// The conflict of a database without a record whose secret exists: somebody made it, as `fly postgres attach` does.
fn secret_conflict(
    snapshot: &FlySnapshot,
    name: &Name,
    spec: &DatabaseSpec,
) -> Option<OwnershipConflict> {
    let app = snapshot.apps.get(spec.app.name())?;
    let exists = matches!(app.existence, AppExistence::Exists(_));
    let mut secrets = app.secrets.iter();
    let has_secret = secrets.any(|secret| secret.name == spec.variable);
    let DatabaseSpec { variable, role, .. } = spec;
    // A machine remembers the secrets that trimtab set. So the record is lost, as when the cluster was made anew.
    let is_ours = app.machines.iter().any(|machine| {
        let metadata = machine.metadata();
        let secrets = metadata.get(OwnershipMark::SECRET_FINGERPRINTS_KEY);
        secrets.is_some_and(|secrets| SecretsRecord::parse(secrets).0.contains_key(variable))
    });
    // Without a machine nothing remembers what trimtab set, and nothing runs with it.
    (exists && has_secret && !is_ours && !app.machines.is_empty()).then(|| OwnershipConflict {
        address: Address::new::<Database>(name),
        reason: format!("the app {} has a secret {variable} that trimtab did not set", app.fly_name),
        hint: format!(
            "`--adopt {}` replaces it: the role {role} gets a new password, and the app's machines restart",
            Address::new::<Database>(name)
        ),
        adoptable: true,
        is_own: false,
    })
}
