//! The API calls of an app's secrets: all changes in one batch.

use std::collections::BTreeMap;

use super::{SecretLive, Secrets, SecretsEdit, SecretsLive, SecretsSpec, SetSecret};
use crate::{
    clouds::{CloudError, ErrorKind},
    kinds::{CloudWriters, Drive, World, fly::app::fly_app_name},
    model::{Fingerprint, Name, Secret},
};

/// The changes: a value and its fingerprint, or `None` to unset.
type Batch<'a> = BTreeMap<&'a str, Option<(&'a Secret, &'a Fingerprint)>>;

/// Sends the batch, and records Fly's digests together with our fingerprints.
async fn send_batch(
    clouds: &CloudWriters,
    live: &SecretsLive,
    batch: Batch<'_>,
    world: &World,
) -> Result<SecretsLive, CloudError> {
    let app = fly_app_name(world, &live.app)?;
    let values = batch
        .iter()
        .map(|(name, value)| (*name, value.map(|(secret, _)| secret)))
        .collect();
    let answer = clouds.fly.set_secrets(app, &values).await?;
    let mut after = live.clone();
    after.version = answer.version.or(after.version);
    // If the response does not list all names, read the list again rather than guess.
    let mut digests: BTreeMap<_, _> = answer
        .secrets
        .into_iter()
        .map(|secret| (secret.name, secret.digest))
        .collect();
    if batch
        .iter()
        .any(|(name, value)| value.is_some() && !digests.contains_key(*name))
    {
        let all = clouds.fly.list_secrets(app).await?;
        digests = all
            .into_iter()
            .map(|secret| (secret.name, secret.digest))
            .collect();
    }
    for (name, value) in batch {
        match value {
            None => drop(after.present.remove(name)),
            Some((_, fingerprint)) => {
                let digest = digests.get(name).cloned().ok_or_else(|| {
                    let operation = format!("set secrets of {app}");
                    CloudError::new(
                        operation,
                        ErrorKind::InvalidResponse,
                        format!("{name} was accepted and is not listed"),
                    )
                })?;
                let fingerprint = Some(fingerprint.clone());
                after.present.insert(
                    name.to_owned(),
                    SecretLive {
                        digest,
                        fingerprint,
                        known: true,
                    },
                );
            }
        }
    }
    Ok(after)
}

fn value_and_fingerprint(secret: &SetSecret) -> Option<(&Secret, &Fingerprint)> {
    secret.value.as_ref().map(|(value, print)| (value, print))
}

impl Drive for Secrets {
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &SecretsSpec,
        world: &World,
    ) -> Result<SecretsLive, CloudError> {
        let none = SecretsLive {
            app: spec.app.clone(),
            present: BTreeMap::new(),
            version: None,
            has_machines: false,
        };
        let value =
            |spec: &'_ super::SecretSpec| spec.value.is_some() && spec.fingerprint.is_some();
        let batch = spec.values.iter().filter(|(_, spec)| value(spec));
        let batch = batch
            .map(|(name, spec)| {
                (
                    name.as_str(),
                    spec.value.as_ref().zip(spec.fingerprint.as_ref()),
                )
            })
            .collect();
        send_batch(clouds, &none, batch, world).await
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &SecretsLive,
        edit: &SecretsEdit,
        world: &World,
    ) -> Result<SecretsLive, CloudError> {
        let SecretsEdit { set, unset } = edit;
        if let Some((name, _)) = set.iter().find(|(_, secret)| secret.value.is_none()) {
            let operation = format!("set secrets of {}", live.app.name());
            return Err(CloudError::new(
                operation,
                ErrorKind::Rejected,
                format!("this run has no value for {name}"),
            ));
        }
        let set = set
            .iter()
            .map(|(name, secret)| (name.as_str(), value_and_fingerprint(secret)));
        let batch = set
            .chain(unset.iter().map(|name| (name.as_str(), None)))
            .collect();
        send_batch(clouds, live, batch, world).await
    }

    /// Unsets the secrets that trimtab has set; other secrets stay.
    async fn delete(
        clouds: &CloudWriters,
        live: &SecretsLive,
        world: &World,
    ) -> Result<(), CloudError> {
        let ours = live.present.iter().filter(|(_, secret)| secret.known);
        let batch: Batch<'_> = ours.map(|(name, _)| (name.as_str(), None)).collect();
        if batch.is_empty() {
            return Ok(());
        }
        send_batch(clouds, live, batch, world).await.map(drop)
    }
}
