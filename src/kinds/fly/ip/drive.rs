//! The calls of an address.

use super::{Ip, IpKind, IpLive, IpSpec};
use crate::{
    clouds::{CloudError, ErrorKind, fly::wire},
    kinds::{
        CloudWriters, Drive, NoEdit, World,
        fly::{App, app::fly_app_name, duplicates::keep_oldest},
    },
    model::{Name, Region, ResourceRef},
};

impl IpLive {
    /// An address as Fly reports it. A shared address has no region of its own.
    #[must_use]
    pub fn from_wire(app: &ResourceRef<App>, ip: &wire::IpAssignment) -> Self {
        let region = if ip.region.is_empty() {
            "global"
        } else {
            &ip.region
        };
        Self {
            app: app.clone(),
            address: ip.ip.clone(),
            kind: IpKind::from_address(&ip.ip, ip.shared),
            region: region.to_owned(),
        }
    }

    /// Whether this address is what a spec asks for.
    #[must_use]
    pub fn satisfies(&self, spec: &IpSpec) -> bool {
        let kind = self.kind == spec.kind
            || (!spec.stated && spec.kind == IpKind::SharedV4 && self.kind == IpKind::V4);
        let region = spec.region.as_ref().map_or("global", Region::as_str);
        kind && (spec.region.is_none() && self.kind == IpKind::PrivateV6 || self.region == region)
    }
}

/// The addresses that serve a spec and were not known when the run began.
async fn find_new_ips(
    clouds: &CloudWriters,
    app: &str,
    spec: &IpSpec,
    world: &World,
) -> Result<Vec<wire::IpAssignment>, CloudError> {
    let known = |ip: &wire::IpAssignment| world.fly_ip.values().any(|known| known.address == ip.ip);
    let mut all = clouds.fly.list_ips(app).await?;
    all.retain(|ip| IpLive::from_wire(&spec.app, ip).satisfies(spec) && !known(ip));
    Ok(all)
}

/// Makes sure that an address that was just assigned is the only one, see [`elder`]. An app has one shared address at most,
/// so that one needs no look.
async fn release_if_duplicate(
    clouds: &CloudWriters,
    app: &str,
    spec: &IpSpec,
    made: wire::IpAssignment,
    world: &World,
) -> Result<wire::IpAssignment, CloudError> {
    if made.shared {
        return Ok(made);
    }
    let others = find_new_ips(clouds, app, spec, world).await?;
    let Some(first) = keep_oldest(&made, others, |ip| (&ip.created_at, &ip.ip)) else {
        return Ok(made);
    };
    clouds.fly.release_ip(app, &made.ip).await?;
    Ok(first)
}

impl Drive for Ip {
    /// An assignment whose answer was lost is found again in the list: an app has one of each sort and region.
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &IpSpec,
        world: &World,
    ) -> Result<IpLive, CloudError> {
        let app = fly_app_name(world, &spec.app)?;
        let org = world
            .fly_app
            .get(spec.app.name())
            .map_or("", |app| app.org.as_str());
        let region = spec.region.as_ref().map(Region::as_str);
        match clouds
            .fly
            .assign_ip(app, org, spec.kind.as_str(), region)
            .await
        {
            Ok(ip) if !ip.ip.is_empty() => release_if_duplicate(clouds, app, spec, ip, world)
                .await
                .map(|ip| IpLive::from_wire(&spec.app, &ip)),
            Err(error) if !error.is_ambiguous() => Err(error),
            unclear => match (
                find_new_ips(clouds, app, spec, world).await?.first(),
                unclear,
            ) {
                (Some(made), _) => Ok(IpLive::from_wire(&spec.app, made)),
                (None, Err(error)) => Err(error),
                (None, Ok(_)) => Err(CloudError::new(
                    format!("assign a {} address to {app}", spec.kind),
                    ErrorKind::InvalidResponse,
                    "the answer holds no address",
                )),
            },
        }
    }

    async fn edit(
        _: &CloudWriters,
        _: &IpLive,
        edit: &NoEdit,
        _: &World,
    ) -> Result<IpLive, CloudError> {
        match *edit {}
    }

    async fn delete(clouds: &CloudWriters, live: &IpLive, world: &World) -> Result<(), CloudError> {
        let app = fly_app_name(world, &live.app)?;
        match clouds.fly.release_ip(app, &live.address).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
