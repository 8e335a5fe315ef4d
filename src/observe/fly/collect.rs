//! Reads the state of Fly in as few waves of requests as the API allows, without interpreting it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{FlyReader, wire},
    },
    kinds::Desired,
    model::{Name, OwnershipMark},
};

/// The state of Fly that concerns an environment.
#[derive(Clone, Debug, Default)]
pub struct FlySnapshot {
    /// The apps by their key in the manifest.
    pub apps: BTreeMap<Name, AppSnapshot>,
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
    let (mut snapshots, undeclared) =
        tokio::try_join!(try_join_all(named), list_undeclared_apps(reader, desired))?;
    let mut snapshot = FlySnapshot::default();
    match undeclared {
        Some(undeclared_apps) => {
            let undeclared_apps = undeclared_apps.iter().map(|(key, name)| collect_app(reader, key, name));
            snapshots.extend(try_join_all(undeclared_apps).await?);
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

/// Lists the apps that this environment owns but that the manifest no longer has, as key and Fly
/// name. `None` if the token may not list the organization's machines.
async fn list_undeclared_apps(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<Option<BTreeMap<Name, String>>, CloudError> {
    let machines = match reader.list_org_machines(&desired.meta.org).await {
        Err(error) if matches!(error.kind, ErrorKind::PermissionDenied) => return Ok(None),
        result => result?,
    };
    let declared: BTreeSet<&str> = desired
        .fly_app
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    let mut found: BTreeMap<Name, String> = BTreeMap::new();
    for machine in machines
        .iter()
        .filter(|machine| !declared.contains(machine.app_name.as_str()))
    {
        if OwnershipMark::from_metadata(&machine.config.metadata).as_ref()
            != Some(&desired.meta.mark)
        {
            continue;
        }
        let key = OwnershipMark::resource_name(&machine.config.metadata).map(|name| name.root());
        let is_same_app = |key: &Name| found.get(key).is_none_or(|name| *name == machine.app_name);
        let free_key = key.filter(|key| !desired.fly_app.contains_key(key) && is_same_app(key));
        // If the manifest now uses the key for another app, build a key from the Fly name. The dot
        // keeps it distinct from manifest keys, which contain none.
        let generated_key = || Name::parse(&format!("{}.gone", machine.app_name)).ok();
        if let Some(key) = free_key.or_else(generated_key) {
            found.insert(key, machine.app_name.clone());
        }
    }
    Ok(Some(found))
}

/// Reads an app and everything in it concurrently, without first waiting to know whether the app
/// exists.
async fn collect_app(
    reader: &FlyReader,
    key: &Name,
    fly_name: &str,
) -> Result<(Name, AppSnapshot), CloudError> {
    let (app, machines, volumes, secrets, ips, certificates) = tokio::join!(
        reader.get_app(fly_name),
        reader.list_machines(fly_name),
        reader.list_volumes(fly_name),
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
    let volumes = match existence {
        AppExistence::Exists(_) => volumes?,
        AppExistence::NameFree | AppExistence::NameTaken => Vec::new(),
    };
    let snapshot = match existence {
        AppExistence::Exists(_) => AppSnapshot {
            existence,
            destroyed_machines: read_destroyed_machines(reader, &fly_name, &volumes).await?,
            fly_name,
            machines: machines?,
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
