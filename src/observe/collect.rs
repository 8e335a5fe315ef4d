//! The reading itself: as few waves of requests as the API allows, and nothing decided yet.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::{
    clouds::{
        CloudError, Trouble,
        fly::{Reader, wire},
    },
    kinds::Desired,
    model::{Mark, Name},
};

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Each app by its key.
    pub apps: BTreeMap<Name, AppShot>,
    /// Facts the user should know about the reading itself.
    pub warnings: Vec<String>,
}

/// One app and everything in it.
#[derive(Clone, Debug, Default)]
pub struct AppShot {
    /// Its name on Fly.
    pub fly_name: String,
    /// Whether it is there.
    pub existence: Existence,
    /// Its machines.
    pub machines: Vec<wire::Machine>,
    /// Its volumes.
    pub volumes: Vec<wire::Volume>,
    /// Its secrets.
    pub secrets: Vec<wire::Secret>,
    /// Its addresses.
    pub ips: Vec<wire::Ip>,
    /// Its certificates.
    pub certificates: Vec<wire::Certificate>,
}

/// Whether an app is there.
#[derive(Clone, Debug, Default)]
pub enum Existence {
    /// The name is free.
    #[default]
    Free,
    /// The name is taken, and this token cannot see the app.
    Taken,
    /// It is there.
    Here(wire::App),
}

/// Reads everything that concerns the environment.
pub(super) async fn collect(reader: &Reader, desired: &Desired) -> Result<Snapshot, CloudError> {
    let named = desired
        .fly_app
        .iter()
        .map(|(key, spec)| app(reader, key, &spec.name));
    let (mut shots, marked) = tokio::try_join!(try_join_all(named), marked(reader, desired))?;
    let mut snapshot = Snapshot::default();
    match marked {
        Some(orphans) => {
            let orphans = orphans.iter().map(|(key, name)| app(reader, key, name));
            shots.extend(try_join_all(orphans).await?);
        }
        None if !shots.iter().any(|(_, shot)| matches!(shot.existence, Existence::Here(_))) => {
            let doing = format!("list the machines of the organization {}", desired.meta.org);
            let what = "this token cannot, and it sees none of the apps: it is for another organization";
            return Err(CloudError::new(doing, Trouble::Denied, what));
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
async fn marked(
    reader: &Reader,
    desired: &Desired,
) -> Result<Option<BTreeMap<Name, String>>, CloudError> {
    let machines = match reader.org_machines(&desired.meta.org).await {
        Err(error) if matches!(error.trouble, Trouble::Denied) => return Ok(None),
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
        if Mark::read(&machine.config.metadata).as_ref() != Some(&desired.meta.mark) {
            continue;
        }
        let key = Mark::name(&machine.config.metadata).map(|name| name.root());
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
async fn app(reader: &Reader, key: &Name, fly_name: &str) -> Result<(Name, AppShot), CloudError> {
    let (app, machines, volumes, secrets, ips, certificates) = tokio::join!(
        reader.app(fly_name),
        reader.machines(fly_name),
        reader.volumes(fly_name),
        reader.secrets(fly_name),
        reader.ips(fly_name),
        reader.certificates(fly_name),
    );
    let existence = match app {
        Ok(app) => Existence::Here(app),
        Err(error) if error.is_not_found() => Existence::Free,
        Err(error) if error.status == Some(403) => Existence::Taken,
        Err(error) => return Err(error),
    };
    let fly_name = fly_name.to_owned();
    let shot = match existence {
        Existence::Here(_) => AppShot {
            fly_name,
            existence,
            machines: machines?,
            volumes: volumes?,
            secrets: secrets?,
            ips: ips?,
            certificates: certificates?,
        },
        Existence::Free | Existence::Taken => AppShot {
            fly_name,
            existence,
            ..AppShot::default()
        },
    };
    Ok((key.clone(), shot))
}
