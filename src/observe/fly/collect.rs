//! The reading itself: as few waves of requests as the API allows, and nothing decided yet.

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

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct FlySnapshot {
    /// Each app by its key.
    pub apps: BTreeMap<Name, AppSnapshot>,
    /// Facts the user should know about the reading itself.
    pub warnings: Vec<String>,
}

/// One app and everything in it.
#[derive(Clone, Debug, Default)]
pub struct AppSnapshot {
    /// Its name on Fly.
    pub fly_name: String,
    /// Whether it is there.
    pub existence: AppExistence,
    /// Its machines.
    pub machines: Vec<wire::MachineResponse>,
    /// Its volumes.
    pub volumes: Vec<wire::VolumeResponse>,
    /// Its secrets.
    pub secrets: Vec<wire::AppSecret>,
    /// Its addresses.
    pub ips: Vec<wire::IpAssignment>,
    /// Its certificates.
    pub certificates: Vec<wire::CertificateSummary>,
}

/// Whether an app is there.
#[derive(Clone, Debug, Default)]
pub enum AppExistence {
    /// The name is free.
    #[default]
    NameFree,
    /// The name is taken, and this token cannot see the app.
    NameTaken,
    /// It is there.
    Exists(wire::AppResponse),
}

/// Reads everything that concerns the environment.
pub(crate) async fn collect(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<FlySnapshot, CloudError> {
    let named = desired
        .fly_app
        .iter()
        .map(|(key, spec)| collect_app(reader, key, &spec.name));
    let (mut shots, marked) =
        tokio::try_join!(try_join_all(named), list_undeclared_apps(reader, desired))?;
    let mut snapshot = FlySnapshot::default();
    match marked {
        Some(orphans) => {
            let orphans = orphans.iter().map(|(key, name)| collect_app(reader, key, name));
            shots.extend(try_join_all(orphans).await?);
        }
        None if !shots.iter().any(|(_, shot)| matches!(shot.existence, AppExistence::Exists(_))) => {
            let doing = format!("list the machines of the organization {}", desired.meta.org);
            let what = "this token cannot, and it sees none of the apps: it is for another organization";
            return Err(CloudError::new(doing, ErrorKind::PermissionDenied, what));
        }
        None => snapshot.warnings.push(format!(
            "this token cannot list the organization `{}`: apps that have left the manifest are not found",
            desired.meta.org
        )),
    }
    snapshot.apps.extend(shots);
    Ok(snapshot)
}

/// Apps that bear our mark and are not in the manifest, by key and name. `None` when the token cannot tell.
async fn list_undeclared_apps(
    reader: &FlyReader,
    desired: &Desired,
) -> Result<Option<BTreeMap<Name, String>>, CloudError> {
    let machines = match reader.list_org_machines(&desired.meta.org).await {
        Err(error) if matches!(error.kind, ErrorKind::PermissionDenied) => return Ok(None),
        other => other?,
    };
    let known: BTreeSet<&str> = desired
        .fly_app
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    let mut found: BTreeMap<Name, String> = BTreeMap::new();
    for machine in machines
        .iter()
        .filter(|machine| !known.contains(machine.app_name.as_str()))
    {
        if OwnershipMark::from_metadata(&machine.config.metadata).as_ref()
            != Some(&desired.meta.mark)
        {
            continue;
        }
        let key = OwnershipMark::resource_name(&machine.config.metadata).map(|name| name.root());
        let mine = |key: &Name| found.get(key).is_none_or(|name| *name == machine.app_name);
        let free = key.filter(|key| !desired.fly_app.contains_key(key) && mine(key));
        // An app whose key now means another app is known by its name on Fly, which is no key: keys have no dots.
        let own = || Name::parse(&format!("{}.gone", machine.app_name)).ok();
        if let Some(key) = free.or_else(own) {
            found.insert(key, machine.app_name.clone());
        }
    }
    Ok(Some(found))
}

/// Everything of one app at once. Nothing waits for the answer whether the app exists at all.
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
    let shot = match existence {
        AppExistence::Exists(_) => AppSnapshot {
            fly_name,
            existence,
            machines: machines?,
            volumes: volumes?,
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
    Ok((key.clone(), shot))
}
