//! SCRAM-SHA-256 verifiers, the form in which PostgreSQL stores passwords (RFC 5802, RFC 7677), and the
//! older MD5 hashes.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use crate::ids;

const METHOD: &str = "SCRAM-SHA-256";
const ITERATIONS: u32 = 4_096;
const SALT_BYTES: usize = 16;

/// The keys of a verifier.
struct ScramKeys {
    stored: Vec<u8>,
    server: Vec<u8>,
}

fn derive_keys(password: &str, salt: &[u8], iterations: NonZeroU32) -> ScramKeys {
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client = hmac::sign(&key, b"Client Key");
    ScramKeys {
        stored: digest::digest(&digest::SHA256, client.as_ref())
            .as_ref()
            .to_vec(),
        server: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
    }
}

/// The verifier of a password, with a salt derived from the parts.
pub(super) fn make_verifier(password: &str, salt_parts: &[&str]) -> String {
    let salt = ids::derive_bytes(salt_parts);
    let salt = &salt[..SALT_BYTES];
    let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
    let keys = derive_keys(password, salt, iterations);
    let (salt, stored, server) = (
        STANDARD.encode(salt),
        STANDARD.encode(keys.stored),
        STANDARD.encode(keys.server),
    );
    format!("{METHOD}${ITERATIONS}:{salt}${stored}:{server}")
}

/// Iterations, salt, stored key and server key of a verifier; `None` for any other text, which
/// PostgreSQL takes for a plain password.
fn parse_verifier(text: &str) -> Option<(NonZeroU32, Vec<u8>, ScramKeys)> {
    let (method, rest) = text.split_once('$')?;
    let (parameters, keys) = rest.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let keys = ScramKeys {
        stored: STANDARD.decode(stored).ok()?,
        server: STANDARD.decode(server).ok()?,
    };
    let is_key = |key: &[u8]| key.len() == digest::SHA256_OUTPUT_LEN;
    (method == METHOD && is_key(&keys.stored) && is_key(&keys.server)).then_some((
        iterations.parse().ok()?,
        STANDARD.decode(salt).ok()?,
        keys,
    ))
}

/// Whether PostgreSQL stores the text as it is in place of hashing it.
pub(super) fn is_hashed(text: &str) -> bool {
    let is_md5 = text
        .strip_prefix("md5")
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    is_md5 || parse_verifier(text).is_some()
}

/// Whether a client with this password can log in with what is stored of it.
pub(crate) fn matches_password(stored: &str, role: &str, password: &str) -> bool {
    match parse_verifier(stored) {
        Some((iterations, salt, keys)) => {
            let candidate = derive_keys(password, &salt, iterations);
            candidate.stored == keys.stored && candidate.server == keys.server
        }
        None => {
            let hash = md5::Md5::digest(format!("{password}{role}"));
            stored == format!("md5{}", ids::hex(&hash))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn verifier_of_the_rfc_matches_its_password() {
        let verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert!(is_hashed(verifier));
        assert!(matches_password(verifier, "user", "pencil"));
        assert!(!matches_password(verifier, "user", "pencils"));
        assert!(!is_hashed(
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$c2hvcnQ=:c2hvcnQ="
        ));
    }

    #[test]
    fn made_verifier_matches_its_password() {
        let verifier = make_verifier("secret", &["1", "web"]);
        assert!(matches_password(&verifier, "web", "secret"));
        assert!(!matches_password(&verifier, "web", "Secret"));
    }
}
