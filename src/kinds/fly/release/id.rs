//! The id of a release: a hash over everything that an app's machines are started with.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    kinds::{
        Desired, World,
        fly::workload::{MachineConfig, running_app_image},
    },
    model::{Image, Name},
};

/// The id of a release, such as `3f2a91c0-77aa`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Release {
    /// Of image and configuration: 8 hexadecimal digits.
    config: String,
    /// Of the secrets' values: 4 digits. Unknown to a command that has no values.
    secrets: Option<String>,
}

impl Release {
    /// Whether this text, read from a machine, names the same release. What this command does not know of its secrets, it
    /// takes to be the same.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match (&self.secrets, text.split_once('-')) {
            (Some(secrets), Some((config, recorded))) => {
                *config == self.config && recorded == secrets
            }
            (_, split) => split.map_or(text, |(config, _)| config) == self.config,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.config)?;
        match &self.secrets {
            Some(secrets) => write!(f, "-{secrets}"),
            None => Ok(()),
        }
    }
}

/// The release of each app that a manifest asks for. How many machines there are, and where, is no part of it, and
/// neither are cron machines.
#[must_use]
pub fn desired_releases(desired: &Desired, world: &World) -> BTreeMap<Name, Release> {
    let mut groups: BTreeMap<Name, BTreeMap<&str, &MachineConfig>> = BTreeMap::new();
    for (name, machine) in &desired.fly_machine {
        if machine.workload.standby_for.is_some() {
            continue;
        }
        let group = groups.entry(name.root()).or_default();
        group
            .entry(&machine.group)
            .or_insert(&machine.workload.config);
    }
    let release = |app: &Name, groups: &BTreeMap<&str, &MachineConfig>| {
        let running = running_app_image(world, app);
        let resolved = |config: &MachineConfig| with_resolved_image(config, running.as_ref());
        let groups: BTreeMap<&str, MachineConfig> = groups
            .iter()
            .map(|(group, config)| (*group, resolved(config)))
            .collect();
        let command = desired
            .fly_release
            .get(app)
            .map(|command| resolved(&command.workload.config));
        Release {
            config: hex_hash(&(groups, command), 4),
            secrets: hash_secrets(desired, app),
        }
    };
    groups
        .iter()
        .map(|(app, groups)| (app.clone(), release(app, groups)))
        .collect()
}

/// A configuration with the image that it comes to, by digest where there is one: under which tag it was found makes no
/// other release.
fn with_resolved_image(config: &MachineConfig, running: Option<&Image>) -> MachineConfig {
    let image = config.image.as_ref().or(running);
    let image = image.map(|image| image.digest().map_or_else(|| image.clone(), Image::new));
    MachineConfig {
        image,
        ..config.clone()
    }
}

/// A hash over the fingerprints of all secrets; none when one has no value here.
fn hash_secrets(desired: &Desired, app: &Name) -> Option<String> {
    let spec = desired.fly_secrets.get(app);
    let values = spec.into_iter().flat_map(|spec| &spec.values);
    let fingerprints: Option<BTreeMap<&str, &str>> = values
        .map(|(name, value)| Some((name.as_str(), value.fingerprint.as_ref()?.as_str())))
        .collect();
    fingerprints.map(|fingerprints| hex_hash(&fingerprints, 2))
}

fn hex_hash(value: &impl Serialize, bytes: usize) -> String {
    let hash = Sha256::digest(serde_json::to_vec(value).unwrap_or_default());
    hash.iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_matches_with_and_without_secret_values() {
        let known = Release {
            config: "3f2a91c0".into(),
            secrets: Some("77aa".into()),
        };
        let unknown = Release {
            secrets: None,
            ..known.clone()
        };
        assert_eq!(known.to_string(), "3f2a91c0-77aa");
        assert!(
            known.matches("3f2a91c0-77aa")
                && unknown.matches("3f2a91c0-77aa")
                && known.matches("3f2a91c0")
        );
        assert!(
            !known.matches("3f2a91c0-77ab")
                && !known.matches("00000000-77aa")
                && !unknown.matches("00000000")
        );
    }
}
