//! Reads the state of Fly in as few waves of requests as the API allows, without interpreting it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::try_join_all;

use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{FlyReader, PostgresCatalog, wire},
    },
    kinds::{
        Desired,
        postgres::{KEY_PREFIX, database::is_primary, managed_cluster::ManagedClusterLive},
    },
    model::Name,
};

use super::undeclared::find_undeclared_apps;

/// The state of Fly that concerns an environment.
#[derive(Clone, Debug, Default)]
pub struct FlySnapshot {
    /// The apps by their key in the manifest.
    pub apps: BTreeMap<Name, AppSnapshot>,
    /// The metadata of the organization's machines in apps that are not read otherwise: the app's name on Fly, and the metadata.
    pub foreign_metadata: Vec<(String, BTreeMap<String, String>)>,
    /// The clusters of others that databases of the manifest are in: their machines, by the app's name on Fly.
    pub external_clusters: BTreeMap<String, Vec<wire::MachineResponse>>,
    /// The managed clusters of the manifest that exist, by their key.
    pub managed_clusters: BTreeMap<Name, ManagedClusterLive>,
    /// The roles and databases of clusters that run, by the app's name on Fly, when they were to be read.
    pub catalogs: BTreeMap<String, PostgresCatalog>,
    /// Warnings about what could not be read.
    pub warnings: Vec<String>,
}

/// An app and everything in it.
#[derive(Clone, Debug, Default)]
pub struct AppSnapshot {
    /// The app's name on Fly.
    pub fly_name: String,
    /// Whether the app exists.
    pub existence: AppExistence,
    /// The machines that are not destroyed.
    pub machines: Vec<wire::MachineResponse>,
    /// The destroyed machines that Fly still lists. They are read only where several volumes could be the one that a machine had.
    pub destroyed_machines: Vec<wire::MachineResponse>,
    /// The volumes that are not destroyed.
    pub volumes: Vec<wire::VolumeResponse>,
    /// The names and digests of the secrets, including ownership labels.
    pub secrets: Vec<wire::AppSecret>,
    /// The assigned IP addresses.
    pub ips: Vec<wire::IpAssignment>,
    /// The certificates.
    pub certificates: Vec<wire::CertificateSummary>,
}

/// Whether an app exists.
#[derive(Clone, Debug, Default)]
pub enum AppExistence {
    /// The name is not taken.
    #[default]
    NameFree,
    /// The name is taken by an app that this token cannot access.
    NameTaken,
    /// The app exists.
    Exists(wire::AppResponse),
}

/// Reads everything on Fly that concerns the environment.
pub(crate) async fn collect(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<FlySnapshot, CloudError> {
    let named = desired
        .fly_app
        .iter()
        .map(|(key, spec)| collect_app(reader, key, &spec.name));
    let (mut snapshots, org_machines, external_clusters, managed_clusters) = tokio::try_join!(
        try_join_all(named),
        list_org_machines(reader, desired),
        collect_external_clusters(reader, desired),
        collect_managed_clusters(reader, desired)
    )?;
    let mut snapshot = FlySnapshot {
        external_clusters,
        managed_clusters,
        ..FlySnapshot::default()
    };
    match org_machines {
        Some(machines) => {
            let undeclared = find_undeclared_apps(reader, &machines, desired).await?;
            snapshot.warnings.extend(undeclared.warnings);
            let owned = undeclared.owned.iter().map(|(key, name)| collect_app(reader, key, name));
            snapshots.extend(try_join_all(owned).await?);
            let read: BTreeSet<String> = snapshots.iter().map(|(_, app)| app.fly_name.clone()).collect();
            let others = machines.into_iter().filter(|machine| !read.contains(&machine.app_name));
            snapshot.foreign_metadata.extend(others.map(|machine| (machine.app_name, machine.config.metadata)));
        }
        None if !snapshots.iter().any(|(_, snapshot)| matches!(snapshot.existence, AppExistence::Exists(_))) => {
            let operation = format!("list the machines of the organization {}", desired.meta.org);
            let message = "this token cannot, and it sees none of the apps: it is for another organization";
            return Err(CloudError::new(operation, ErrorKind::PermissionDenied, message));
        }
        None => snapshot.warnings.push(format!(
            "this token cannot list the organization `{}`: apps that have left the manifest are not found",
            desired.meta.org
        )),
    }
    snapshot.apps.extend(snapshots);
    snapshot.catalogs = collect_catalogs(reader, desired, &snapshot).await?;
    resolve_personal_org(reader, desired, &mut snapshot).await;
    Ok(snapshot)
}

/// Fly resolves the alias `personal` to the organization of whoever asks. Where an app reports the real slug of that
/// organization, it gets the alias, so that it can be compared with the manifest.
async fn resolve_personal_org(reader: &FlyReader, desired: &Desired, snapshot: &mut FlySnapshot) {
    let organizations = || {
        snapshot
            .apps
            .values()
            .filter_map(|app| match &app.existence {
                AppExistence::Exists(app) => Some(app.organization.slug.as_str()),
                AppExistence::NameFree | AppExistence::NameTaken => None,
            })
    };
    let is_resolved = organizations().all(|slug| slug == PERSONAL_ORG);
    if desired.meta.org != PERSONAL_ORG || is_resolved {
        return;
    }
    // A token that may not read it leaves the apps with their slug. Their comparison then fails and says which slug to write.
    let Ok(real_slug) = reader.get_org_raw_slug(PERSONAL_ORG).await else {
        return;
    };
    for app in snapshot.apps.values_mut() {
        if let AppExistence::Exists(app) = &mut app.existence
            && app.organization.slug == real_slug
        {
            PERSONAL_ORG.clone_into(&mut app.organization.slug);
        }
    }
}

/// The alias under which every user may address the own organization.
const PERSONAL_ORG: &str = "personal";

/// Lists the machines of the organization. `None` if the token may not.
async fn list_org_machines(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<Option<Vec<wire::OrgMachine>>, CloudError> {
    match reader.list_org_machines(&desired.meta.org).await {
        Err(error) if matches!(error.kind, ErrorKind::PermissionDenied) => Ok(None),
        result => result.map(Some),
    }
}

/// Reads the machines of the clusters that databases of the manifest are in and that this environment does not own.
async fn collect_external_clusters(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<BTreeMap<String, Vec<wire::MachineResponse>>, CloudError> {
    let external = desired
        .postgres_database
        .values()
        .filter(|spec| spec.cluster.app.is_none());
    let names: BTreeSet<&str> = external
        .map(|spec| spec.cluster.fly_name.as_str())
        .collect();
    let lists = names
        .iter()
        .map(async |name| match reader.list_machines(name).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            result => result,
        });
    let lists = try_join_all(lists).await?;
    let names = names.into_iter().map(str::to_owned);
    Ok(names.zip(lists).collect())
}

/// Reads the managed clusters of the manifest, which are found by their names.
async fn collect_managed_clusters(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<BTreeMap<Name, ManagedClusterLive>, CloudError> {
    if desired.postgres_managed_cluster.is_empty() {
        return Ok(BTreeMap::new());
    }
    let clusters = reader.list_managed_clusters(&desired.meta.org).await?;
    let mut found = Vec::new();
    for (key, spec) in &desired.postgres_managed_cluster {
        let mut same = clusters.iter().filter(|cluster| cluster.name == spec.name);
        let (first, second) = (same.next(), same.next());
        if let (Some(first), Some(second)) = (first, second) {
            let operation = format!("look up the managed Postgres cluster {}", spec.name);
            let message = format!(
                "there are two of this name, {} and {}: rename or delete one",
                first.id, second.id
            );
            return Err(CloudError::new(operation, ErrorKind::Conflict, message));
        }
        found.extend(first.map(|cluster| (key.clone(), cluster.id.clone())));
    }
    let reads = found.into_iter().map(async |(key, id)| {
        let cluster = reader.get_managed_cluster(&id).await?;
        // Until it is ready, its administration is unavailable, and it has nothing in it.
        let (databases, users) = match cluster.status.as_str() {
            "ready" => tokio::try_join!(
                reader.list_managed_databases(&id),
                reader.list_managed_users(&id)
            )?,
            _ => (Vec::new(), Vec::new()),
        };
        let live = ManagedClusterLive::from_wire(cluster, databases, users);
        Ok::<_, CloudError>((key, live))
    });
    Ok(try_join_all(reads).await?.into_iter().collect())
}

/// Asks the clusters that run and have databases of this environment. One that sleeps is not woken.
async fn collect_catalogs(
    reader: &FlyReader,
    desired: &Desired,
    snapshot: &FlySnapshot,
) -> Result<BTreeMap<String, PostgresCatalog>, CloudError> {
    if !desired.meta.deep {
        return Ok(BTreeMap::new());
    }
    let own = snapshot
        .apps
        .values()
        .map(|app| (&app.fly_name, &app.machines));
    let clusters = own.chain(&snapshot.external_clusters);
    let primaries = clusters.filter_map(|(name, machines)| {
        let has_databases = machines.iter().any(|machine| {
            let mut keys = machine.metadata().into_keys();
            keys.any(|key| key.starts_with(KEY_PREFIX))
        });
        let primary = machines.iter().find(|machine| is_primary(machine));
        primary
            .filter(|_| has_databases)
            .map(|primary| (name, primary))
    });
    let catalogs = primaries.map(async |(name, primary)| {
        let catalog = reader.read_postgres_catalog(name, &primary.id).await?;
        Ok::<_, CloudError>((name.clone(), catalog))
    });
    Ok(try_join_all(catalogs).await?.into_iter().collect())
}

/// Reads an app and everything in it concurrently, without first waiting to know whether the app
/// exists.
pub(super) async fn collect_app(
    reader: &FlyReader,
    key: &Name,
    fly_name: &str,
) -> Result<(Name, AppSnapshot), CloudError> {
    let (app, machines, volumes, secrets, ips, certificates) = tokio::join!(
        reader.get_app(fly_name),
        reader.list_machines(fly_name),
        reader.list_volumes_with_destroyed(fly_name),
        reader.list_secrets(fly_name),
        reader.list_ips(fly_name),
        reader.list_certificates(fly_name),
    );
    let existence = match app {
        Ok(app) => AppExistence::Exists(app),
        Err(error) if error.is_not_found() => AppExistence::NameFree,
        Err(error) if error.status == Some(403) => AppExistence::NameTaken,
        Err(error) => return Err(error),
    };
    let fly_name = fly_name.to_owned();
    let (machines, volumes) = match existence {
        AppExistence::Exists(_) => {
            read_mounted_volumes(reader, &fly_name, machines?, volumes?).await?
        }
        AppExistence::NameFree | AppExistence::NameTaken => Default::default(),
    };
    let snapshot = match existence {
        AppExistence::Exists(_) => AppSnapshot {
            existence,
            destroyed_machines: read_destroyed_machines(reader, &fly_name, &volumes).await?,
            fly_name,
            machines,
            volumes,
            secrets: secrets?,
            ips: ips?,
            certificates: certificates?,
        },
        AppExistence::NameFree | AppExistence::NameTaken => AppSnapshot {
            fly_name,
            existence,
            ..AppSnapshot::default()
        },
    };
    Ok((key.clone(), snapshot))
}

/// How often the machines and volumes of an app are read again when they contradict each other. With pauses of a second that
/// double, this outlasts lists that lag behind by a few seconds.
const MAX_REREADS: u32 = 4;

/// The machines and volumes of an app, read again while a machine mounts a volume that the list of volumes lacks. Such a list is
/// not complete: going by it would put the machine on a new, empty volume.
///
/// # Errors
/// When a list cannot be read, or the contradiction stays.
async fn read_mounted_volumes(
    reader: &FlyReader,
    fly_name: &str,
    mut machines: Vec<wire::MachineResponse>,
    mut volumes: Vec<wire::VolumeResponse>,
) -> Result<(Vec<wire::MachineResponse>, Vec<wire::VolumeResponse>), CloudError> {
    let mut pause = Duration::from_secs(1);
    for _ in 0..MAX_REREADS {
        if unlisted_mount(&machines, &volumes).is_none() {
            break;
        }
        reader.sleep_scaled(pause).await;
        pause *= 2;
        // The machines too: one may have been destroyed in between, together with its volume.
        (machines, volumes) = tokio::try_join!(
            reader.list_machines(fly_name),
            reader.list_volumes_with_destroyed(fly_name)
        )?;
    }
    let Some((machine, volume)) = unlisted_mount(&machines, &volumes) else {
        volumes.retain(|volume| !volume.is_destroyed());
        return Ok((machines, volumes));
    };
    let message = format!(
        "machine {machine} mounts volume {volume}, and the list lacks that volume: the list is not complete; run the same command \
         again; if the volume is really gone, run `fly machine destroy --force {machine} --app {fly_name}` first"
    );
    let operation = format!("list the volumes of {fly_name}");
    Err(CloudError::new(
        operation,
        ErrorKind::InvalidResponse,
        message,
    ))
}

/// The ids of a machine and of a volume that it mounts but that the list of volumes lacks.
fn unlisted_mount<'a>(
    machines: &'a [wire::MachineResponse],
    volumes: &[wire::VolumeResponse],
) -> Option<(&'a str, &'a str)> {
    let listed: BTreeSet<&str> = volumes.iter().map(|volume| volume.id.as_str()).collect();
    machines.iter().find_map(|machine| {
        let mut mounted = machine.mounted_volumes();
        let missing = mounted.find(|volume| !listed.contains(volume))?;
        Some((machine.id.as_str(), missing))
    })
}

/// The destroyed machines of an app in which several volumes of one name and region are not attached. Volumes bear no mark, so only
/// these machines tell which volume was used last.
async fn read_destroyed_machines(
    reader: &FlyReader,
    fly_name: &str,
    volumes: &[wire::VolumeResponse],
) -> Result<Vec<wire::MachineResponse>, CloudError> {
    let mut seen = BTreeSet::new();
    let is_attached = |volume: &wire::VolumeResponse| {
        let machine = volume.attached_machine_id.as_deref();
        machine.is_some_and(|id| !id.is_empty())
    };
    let mut unattached = volumes.iter().filter(|volume| !is_attached(volume));
    if unattached.all(|volume| seen.insert((&volume.name, &volume.region))) {
        return Ok(Vec::new());
    }
    let mut machines = reader.list_machines_with_deleted(fly_name).await?;
    machines.retain(wire::MachineResponse::is_destroyed);
    Ok(machines)
}
