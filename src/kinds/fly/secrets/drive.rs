//! The API calls of an app's secrets: all changes in one batch.

use std::collections::{BTreeMap, BTreeSet};

pub(super) mod generate;
mod ssh_key;

use self::generate::generate_values;
use super::{SecretLive, Secrets, SecretsEdit, SecretsLive, SecretsSpec, SetReason, SetSecret};
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

/// Makes what is to be generated, and sends all changes in one batch.
async fn set_and_unset(
    clouds: &CloudWriters,
    live: &SecretsLive,
    edit: &SecretsEdit,
    world: &World,
) -> Result<SecretsLive, CloudError> {
    let SecretsEdit { set, unset } = edit;
    let fly_name = fly_app_name(world, &live.app)?;
    let generated = generate_values(clouds, &live.app, fly_name, set, world).await?;
    let given = set
        .iter()
        .filter_map(|(name, secret)| Some((name, secret.value.as_ref()?)));
    let values = given.chain(&generated);
    let batch = values
        .map(|(name, (value, fingerprint))| (name.as_str(), Some((value, fingerprint))))
        .chain(unset.iter().map(|name| (name.as_str(), None)))
        .collect();
    send_batch(clouds, live, batch, world).await
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
        let set = spec.values.iter().filter_map(|(name, spec)| {
            let value = spec.value.clone().zip(spec.fingerprint.clone());
            let generator = spec.generator.clone();
            (value.is_some() || generator.is_some()).then(|| {
                let secret = SetSecret {
                    value,
                    generator,
                    reason: SetReason::Missing,
                };
                (name.clone(), secret)
            })
        });
        let edit = SecretsEdit {
            set: set.collect(),
            unset: BTreeSet::new(),
        };
        set_and_unset(clouds, &none, &edit, world).await
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &SecretsLive,
        edit: &SecretsEdit,
        world: &World,
    ) -> Result<SecretsLive, CloudError> {
        let has_no_value =
            |secret: &SetSecret| secret.value.is_none() && secret.generator.is_none();
        if let Some((name, _)) = edit.set.iter().find(|(_, secret)| has_no_value(secret)) {
            let operation = format!("set secrets of {}", live.app.name());
            return Err(CloudError::new(
                operation,
                ErrorKind::Rejected,
                format!("this run has no value for {name}"),
            ));
        }
        set_and_unset(clouds, live, edit, world).await
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
