//! `issueCertificate`: OpenSSH certificates with which a user logs into the machines of an
//! organization. No machine of the sandbox can be logged into, but clients store the certificates as
//! secrets and read their fields, so they are real ones.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{GraphqlError, queries, string_argument};
use crate::api::ApiCall;
use crate::ids;
use crate::json;
use crate::world::{JsonObject, SimulatedWorld};

const KEY_TYPE: &str = "ssh-ed25519";
const CERTIFICATE_TYPE: &str = "ssh-ed25519-cert-v01@openssh.com";
const KEY_LENGTH: usize = 32;
/// The certificate type of a user; 2 would be a host.
const USER_CERTIFICATE: u32 = 1;
const DEFAULT_VALID_HOURS: i64 = 24;
const MS_PER_HOUR: i64 = 3_600_000;

/// A part of a key or certificate in the wire format of SSH (RFC 4251, section 5).
#[derive(Debug, Default)]
struct SshBuffer(Vec<u8>);

impl SshBuffer {
    fn string(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        // No part of a certificate comes near four gigabytes.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(bytes);
        self
    }

    fn uint32(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn uint64(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }
}

/// Issues a certificate for the public key in `publicKey`.
///
/// # Errors
/// For an unknown organization or app, and without an Ed25519 key.
pub(super) fn issue_certificate(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let org = queries::find_org(world, call, string_argument(input, "organizationId"))?;
    let (org_id, org_slug) = (org.id.clone(), org.slug.clone());
    for app in strings(input, "appNames") {
        queries::find_app(world, call, app)?;
    }
    let key = parse_public_key(string_argument(input, "publicKey")).ok_or_else(|| {
        GraphqlError::new(
            "publicKey must be an Ed25519 key in the format of OpenSSH",
            "UNPROCESSABLE",
        )
    })?;
    // The same authority signs all certificates of an organization.
    let seed = ids::derive_bytes(&["ssh authority", &world.global.seed.to_string(), &org_id]);
    let authority = Ed25519KeyPair::from_seed_unchecked(&seed)
        .map_err(|_| GraphqlError::new("no certificate could be signed", "SERVER_ERROR"))?;
    let nonce = world.next_id_bytes("ssh certificate");
    let hours = input.get("validHours").and_then(Value::as_i64);
    let until_ms = hours
        .filter(|hours| *hours > 0)
        .unwrap_or(DEFAULT_VALID_HOURS)
        .saturating_mul(MS_PER_HOUR)
        .saturating_add(world.now_ms);
    let seconds = |ms: i64| u64::try_from(ms / 1000).unwrap_or(0);
    let principals = strings(input, "principals");
    let principals = principals.fold(SshBuffer::default(), SshBuffer::string);
    let authority_key = public_key_blob(authority.public_key().as_ref());
    let mut certificate = SshBuffer::default()
        .string(CERTIFICATE_TYPE)
        .string(nonce)
        .string(key)
        .uint64(world.global.drawn)
        .uint32(USER_CERTIFICATE)
        .string(format!("{org_slug}@fly.io"))
        .string(principals.0)
        .uint64(seconds(world.now_ms))
        .uint64(seconds(until_ms))
        // No critical options; the extensions come in pairs of a name and an empty value.
        .string("")
        .string(SshBuffer::default().string("permit-pty").string("").0)
        .string("")
        .string(authority_key);
    let signature = authority.sign(&certificate.0);
    let signature = SshBuffer::default()
        .string(KEY_TYPE)
        .string(signature.as_ref());
    certificate = certificate.string(signature.0);
    let text = format!("{CERTIFICATE_TYPE} {}", STANDARD.encode(certificate.0));
    Ok(json!({ "certificate": text, "key": null }))
}

fn strings<'a>(input: &'a JsonObject, name: &str) -> impl Iterator<Item = &'a str> {
    json::items(input.get(name))
        .iter()
        .filter_map(Value::as_str)
}

fn public_key_blob(key: &[u8]) -> Vec<u8> {
    SshBuffer::default().string(KEY_TYPE).string(key).0
}

/// The key in a line such as `ssh-ed25519 AAAA… comment`.
fn parse_public_key(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_whitespace();
    let encoded = words
        .next()
        .filter(|word| *word == KEY_TYPE)
        .and(words.next())?;
    let blob = STANDARD.decode(encoded).ok()?;
    let key = blob.get(blob.len().checked_sub(KEY_LENGTH)?..)?;
    (blob == public_key_blob(key)).then(|| key.to_vec())
}
