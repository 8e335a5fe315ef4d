//! The API calls of an app.

use std::collections::BTreeMap;

use super::{App, AppEdit, AppLive, AppSpec};
use crate::{
    clouds::{CloudError, ErrorKind, fly::wire},
    kinds::{CloudWriters, Drive, DriveRollout, World},
    model::{Name, OwnershipMark, ResourceRef, Secret, resources_in_app},
};

impl AppLive {
    /// Reads an app from the API.
    #[must_use]
    pub fn from_wire(app: &wire::AppResponse, labels: Vec<String>) -> Self {
        let wire::AppResponse {
            id,
            name,
            status: _,
            network,
            organization,
        } = app;
        let network = if network.is_empty() {
            "default"
        } else {
            network
        };
        Self {
            name: name.clone(),
            id: id.clone(),
            org: organization.slug.clone(),
            network: network.to_owned(),
            labels,
        }
    }
}

/// The Fly name of an app in the world.
///
/// # Errors
/// When the app does not exist. Its own step must run first.
pub(crate) fn fly_app_name<'w>(
    world: &'w World,
    app: &ResourceRef<App>,
) -> Result<&'w str, CloudError> {
    let live = world.fly_app.get(app.name()).ok_or_else(|| {
        CloudError::new(
            format!("look up app {}", app.name()),
            ErrorKind::NotFound,
            "it does not exist yet",
        )
    })?;
    Ok(&live.name)
}

/// Creates an app, or finds the one that an ambiguous attempt created.
async fn create_or_find_app(
    clouds: &CloudWriters,
    spec: &AppSpec,
) -> Result<wire::AppResponse, CloudError> {
    let AppSpec {
        name,
        org,
        network,
        role,
        mark: _,
        protected: _,
        ips_stated: _,
        verify: _,
    } = spec;
    let created = clouds.fly.create_app(name, org, network.as_deref(), *role);
    match created.await {
        Err(error) if !(error.is_ambiguous() || error.status == Some(422)) => return Err(error),
        Err(error) => return clouds.fly.get_app(name).await.map_err(|_| error),
        Ok(()) => {}
    }
    // A new app may not be readable at once; until then reads return 401 or 404 (fly-go,
    // `WaitForApp`).
    let mut last = clouds.fly.get_app(name).await;
    for _ in 0..NEW_APP_READ_ATTEMPTS {
        match last {
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                clouds
                    .fly
                    .sleep_scaled(std::time::Duration::from_secs(1))
                    .await;
                last = clouds.fly.get_app(name).await;
            }
            other => return other,
        }
    }
    last
}

/// Adds and removes labels.
async fn set_labels(clouds: &CloudWriters, app: &str, edit: &AppEdit) -> Result<(), CloudError> {
    let AppEdit { owner, protect } = edit;
    let word = Secret::new("set by trimtab; only the name means something");
    let name = owner.as_ref().map(OwnershipMark::app_label);
    let mut values: BTreeMap<&str, Option<&Secret>> = BTreeMap::new();
    values.extend(name.as_deref().map(|name| (name, Some(&word))));
    values
        .extend(protect.map(|protect| (OwnershipMark::PROTECTED_LABEL, protect.then_some(&word))));
    clouds.fly.set_secrets(app, &values).await.map(drop)
}

impl Drive for App {
    /// After an ambiguous error the app is found by its name, which is unique on Fly. An app that
    /// was created but not yet labelled is empty, and so still counts as ours.
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &AppSpec,
        _: &World,
    ) -> Result<AppLive, CloudError> {
        let app = create_or_find_app(clouds, spec).await?;
        let edit = AppEdit {
            owner: Some(spec.mark.clone()),
            protect: spec.protected.then_some(true),
        };
        set_labels(clouds, &spec.name, &edit).await?;
        let protected = spec
            .protected
            .then(|| OwnershipMark::PROTECTED_LABEL.to_owned());
        Ok(AppLive::from_wire(
            &app,
            [spec.mark.app_label()]
                .into_iter()
                .chain(protected)
                .collect(),
        ))
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &AppLive,
        edit: &AppEdit,
        _: &World,
    ) -> Result<AppLive, CloudError> {
        set_labels(clouds, &live.name, edit).await?;
        let mut after = live.clone();
        after
            .labels
            .extend(edit.owner.as_ref().map(OwnershipMark::app_label));
        if let Some(protect) = edit.protect {
            after
                .labels
                .retain(|label| label != OwnershipMark::PROTECTED_LABEL);
            after
                .labels
                .extend(protect.then(|| OwnershipMark::PROTECTED_LABEL.to_owned()));
        }
        Ok(after)
    }

    async fn delete(clouds: &CloudWriters, live: &AppLive, _: &World) -> Result<(), CloudError> {
        match clouds.fly.delete_app(&live.name).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

impl DriveRollout for App {
    /// Sends the manifest's verification request until the response is right or no attempts are
    /// left. Until then a machine is marked as unverified, so that a later run does not take the
    /// rollout for complete.
    async fn verify(
        clouds: &CloudWriters,
        name: &Name,
        spec: &AppSpec,
        world: &World,
    ) -> Result<(), CloudError> {
        let Some(verify) = &spec.verify else {
            return Ok(());
        };
        let machines = || {
            let all = resources_in_app(&world.fly_machine, name);
            all.map(|(_, live)| live)
                .filter(|live| live.workload.health.host_ok)
        };
        let witness = machines().find(|live| !live.retired);
        let note = async |id: &str, value: &str| {
            let label =
                BTreeMap::from([(OwnershipMark::UNVERIFIED_KEY.to_owned(), value.to_owned())]);
            match clouds.fly.set_metadata(&spec.name, id, &label).await {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(()),
            }
        };
        let witness = witness.map(|live| live.workload.id.as_str());
        if let Some(id) = witness {
            note(id, "true").await?;
        }
        let host = verify.host(&spec.name);
        let mut left = verify.retries;
        loop {
            let why = match clouds.fly.probe(&host, &verify.path).await {
                Ok(probe) => verify.check_response(probe.status, &probe.body),
                Err(error) => Some(error.message),
            };
            let Some(why) = why else {
                let noted = machines().filter(|live| {
                    live.workload
                        .metadata
                        .contains_key(OwnershipMark::UNVERIFIED_KEY)
                });
                for id in witness
                    .into_iter()
                    .chain(noted.map(|live| live.workload.id.as_str()))
                {
                    note(id, "").await?;
                }
                return Ok(());
            };
            if left == 0 {
                let operation = format!("verify https://{host}{}", verify.path);
                return Err(CloudError::new(operation, ErrorKind::Failed, why));
            }
            left -= 1;
            clouds
                .fly
                .sleep_scaled(std::time::Duration::from_millis(
                    verify.interval.as_millis(),
                ))
                .await;
        }
    }
}

/// How many times a new app is read, once per second: flyctl waits up to a minute.
const NEW_APP_READ_ATTEMPTS: u32 = 60;
