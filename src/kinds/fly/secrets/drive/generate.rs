//! Makes the values of secrets that do not come from the user, at the moment in which they are set.

use std::collections::BTreeMap;

use aws_lc_rs::rand;

use super::{
    super::{SecretGenerator, SetSecret},
    ssh_key::SshKey,
};
use crate::{
    clouds::{CloudError, ErrorKind},
    kinds::{CloudWriters, World, fly::App},
    model::{Fingerprint, ResourceRef, Secret},
};

/// What machines record instead of a fingerprint for a value that was made once: nothing is compared with it.
const GENERATED: &str = "generated";

/// Letters and digits: they need no encoding in a URL, and no quoting anywhere.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Random letters and digits.
///
/// # Errors
/// When the system has no random numbers.
pub(crate) fn generate_password(length: usize) -> Result<Secret, CloudError> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        rand::fill(&mut bytes).map_err(|_| no_randomness())?;
        // Beyond the last multiple of 62 the first letters would be more likely than the others.
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let letters = usable.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(letters.take(length - text.len()));
    }
    Ok(Secret::new(text))
}

fn no_randomness() -> CloudError {
    CloudError::new(
        "make a secret",
        ErrorKind::Rejected,
        "the system gives no random numbers; check that /dev/urandom is readable",
    )
}

/// Makes the values of all secrets of a batch that have a generator. `fly_name` is the app's name on Fly.
///
/// # Errors
/// When Fly does not give what the value is made of, or a database of this run has no URL.
pub(in super::super) async fn generate_values(
    clouds: &CloudWriters,
    app: &ResourceRef<App>,
    fly_name: &str,
    set: &BTreeMap<String, SetSecret>,
    world: &World,
) -> Result<BTreeMap<String, (Secret, Fingerprint)>, CloudError> {
    let mut values = BTreeMap::new();
    let mut ssh_key = None;
    for (name, secret) in set {
        let Some(generator) = &secret.generator else {
            continue;
        };
        let value = match generator {
            SecretGenerator::Random(length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                (generate_password(length)?, GENERATED.to_owned())
            }
            SecretGenerator::Consul => {
                let url = clouds.fly.enable_postgres_consul(fly_name).await?;
                (url, GENERATED.to_owned())
            }
            SecretGenerator::SshKey | SecretGenerator::SshCertificate => {
                let key = match &mut ssh_key {
                    Some(key) => key,
                    none => none.insert(generate_ssh_key()?),
                };
                let value = if *generator == SecretGenerator::SshKey {
                    key.private.clone()
                } else {
                    let org = &world
                        .fly_app
                        .get(app.name())
                        .map(|app| app.org.clone())
                        .unwrap_or_default();
                    let issued = clouds.fly.issue_ssh_certificate(fly_name, org, &key.public);
                    issued.await?
                };
                (value, GENERATED.to_owned())
            }
            SecretGenerator::Database(database) => {
                let live = world.postgres_database.get(database.name());
                let delivered =
                    live.and_then(|live| Some((live.url.clone()?, live.verifier_hash.clone())));
                delivered.ok_or_else(|| {
                    let operation = format!("set the secret {name} of {fly_name}");
                    let message = format!("{} gave no URL in this run", database.address());
                    CloudError::new(operation, ErrorKind::Rejected, message)
                })?
            }
        };
        values.insert(name.clone(), (value.0, Fingerprint::from_stored(value.1)));
    }
    Ok(values)
}

fn generate_ssh_key() -> Result<SshKey, CloudError> {
    SshKey::generate("postgres inter-machine ssh").map_err(|_| no_randomness())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_has_letters_and_digits_only() {
        let password = generate_password(200).unwrap();
        assert_eq!(password.expose().len(), 200);
        assert!(password.expose().chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(password.expose(), generate_password(200).unwrap().expose());
    }
}
