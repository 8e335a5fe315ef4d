//! The calls of an app.

use super::{App, AppLive, AppSpec};
use crate::{
    clouds::{CloudError, Clouds, Trouble, fly::wire},
    kinds::{Drive, Never, World},
    model::{Name, Ref},
};

impl AppLive {
    /// An app as Fly reports it.
    #[must_use]
    pub fn read(app: &wire::App, protected: bool) -> Self {
        let wire::App { id, name, status: _, network, organization } = app;
        let network = if network.is_empty() { "default" } else { network };
        Self {
            name: name.clone(),
            id: id.clone(),
            org: organization.slug.clone(),
            network: network.to_owned(),
            protected,
        }
    }
}

/// The name on Fly of the app that something belongs to.
///
/// # Errors
/// When the app is not there: its own step must come first.
pub(crate) fn fly_name<'w>(world: &'w World, app: &Ref<App>) -> Result<&'w str, CloudError> {
    let live = world.fly_app.get(app.name()).ok_or_else(|| {
        CloudError::new(format!("look up app {}", app.name()), Trouble::NotFound, "it does not exist yet")
    })?;
    Ok(&live.name)
}

impl Drive for App {
    /// A creation whose answer was lost is found again by its name, which is unique over all of Fly.
    async fn create(clouds: &Clouds, _: &Name, spec: &AppSpec, _: &World) -> Result<AppLive, CloudError> {
        let AppSpec { name, org, network } = spec;
        match clouds.fly.create_app(name, org, network.as_deref()).await {
            Err(error) if !(error.is_ambiguous() || error.status == Some(422)) => return Err(error),
            Err(error) => match clouds.fly.app(name).await {
                Ok(app) => return Ok(AppLive::read(&app, false)),
                Err(_) => return Err(error),
            },
            Ok(()) => {}
        }
        // A new app may not be readable at once; the answers until then are 401 and 404 (fly-go, WaitForApp).
        let mut last = clouds.fly.app(name).await;
        for _ in 0..NEW_APP_LOOKS {
            match last {
                Err(error) if matches!(error.trouble, Trouble::NotFound | Trouble::Denied) => {
                    clouds.fly.rest(std::time::Duration::from_secs(1)).await;
                    last = clouds.fly.app(name).await;
                }
                other => return other.map(|app| AppLive::read(&app, false)),
            }
        }
        last.map(|app| AppLive::read(&app, false))
    }

    async fn edit(_: &Clouds, _: &AppLive, edit: &Never, _: &World) -> Result<AppLive, CloudError> {
        match *edit {}
    }

    async fn delete(clouds: &Clouds, live: &AppLive, _: &World) -> Result<(), CloudError> {
        match clouds.fly.delete_app(&live.name).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// How often a new app is looked for, once a second: flyctl gives it a minute.
const NEW_APP_LOOKS: u32 = 60;
