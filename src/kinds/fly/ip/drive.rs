//! The API calls of an address.

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
    /// Reads an address from the API. A shared address has no region.
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

    /// Whether this address satisfies a spec.
    #[must_use]
    pub fn satisfies(&self, spec: &IpSpec) -> bool {
        let kind = self.kind == spec.kind
            || (!spec.declared && spec.kind == IpKind::SharedV4 && self.kind == IpKind::V4);
        let region = spec.region.as_ref().map_or("global", Region::as_str);
        kind && (spec.region.is_none() && self.kind == IpKind::PrivateV6 || self.region == region)
    }
}

/// The addresses that satisfy a spec and did not exist when the run began.
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

/// Releases a newly assigned address if a concurrent run has assigned the same, see
/// [`keep_oldest`]. An app has at most one shared address, so there is no need to check those.
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
    /// After an ambiguous error the address is looked up in the list: an app has one address of
    /// each type and region.
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
