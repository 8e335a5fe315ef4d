//! Everything in one app that no manifest names yet, in the kinds' own types.

use super::{assemble, collect};
use crate::{
    clouds::{CloudError, fly::FlyReader},
    kinds::fly::{App, app::AppLive, ip::IpLive, volume::VolumeLive, workload::WorkloadLive},
    model::{Name, OwnershipMark, ResourceRef},
    observe::AppExistence,
};

/// An app and everything in it.
#[derive(Clone, Debug)]
pub struct AppInventory {
    /// The app.
    pub app: AppLive,
    /// Its machines, without temporary ones.
    pub machines: Vec<WorkloadLive>,
    /// Its volumes.
    pub volumes: Vec<VolumeLive>,
    /// The names of its secrets.
    pub secrets: Vec<String>,
    /// Its addresses for incoming connections.
    pub ips: Vec<IpLive>,
    /// The host names of its certificates.
    pub certificates: Vec<String>,
}

/// Reads an app. `None` when there is none of this name, or none that the token may see.
///
/// # Errors
/// When a list cannot be read to its end.
pub async fn take_inventory(
    reader: &FlyReader,
    key: &Name,
    fly_name: &str,
    mark: &OwnershipMark,
) -> Result<Option<AppInventory>, CloudError> {
    let (_, snapshot) = collect::collect_app(reader, key, fly_name).await?;
    let AppExistence::Exists(app) = &snapshot.existence else {
        return Ok(None);
    };
    let reference: ResourceRef<App> = ResourceRef::new(key.clone());
    let (labels, secrets) = snapshot
        .secrets
        .iter()
        .map(|secret| secret.name.clone())
        .partition(|name| OwnershipMark::is_label(name));
    let app = AppLive::from_wire(app, labels);
    let machines = snapshot
        .machines
        .iter()
        .map(|machine| WorkloadLive::from_wire(&reference, machine, mark))
        .collect::<Result<Vec<_>, _>>()?;
    let (machines, _) = assemble::separate_unmanaged(key, machines);
    let is_protected = app.is_protected();
    let volumes = snapshot.volumes.iter();
    let ips = snapshot.ips.iter().filter(|ip| !ip.egress);
    let certificates = snapshot.certificates.iter();
    Ok(Some(AppInventory {
        machines,
        volumes: volumes
            .map(|volume| VolumeLive::from_wire(&reference, volume, is_protected))
            .collect(),
        secrets,
        ips: ips.map(|ip| IpLive::from_wire(&reference, ip)).collect(),
        certificates: certificates
            .map(|certificate| certificate.hostname.clone())
            .collect(),
        app,
    }))
}
