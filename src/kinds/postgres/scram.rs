//! SCRAM-SHA-256 verifiers of passwords (RFC 5802, RFC 7677), in the form in which Postgres stores them.
//!
//! Postgres takes a verifier in place of a password. So the password itself is in the secret of the app that uses it, and nowhere else:
//! not in a statement, not in the log of the server.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::model::Secret;

/// The number of iterations that Postgres uses by default (`scram_iterations`).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// The verifier of a password with a random salt. The password must be ASCII: other characters would have to be normalised first.
///
/// # Errors
/// When the system has no random numbers.
pub(crate) fn new_verifier(password: &Secret) -> Result<Secret, aws_lc_rs::error::Unspecified> {
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt)?;
    Ok(verifier(password, &salt))
}

fn verifier(password: &Secret, salt: &[u8]) -> Secret {
    let mut salted = [0; KEY_BYTES];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(
        algorithm,
        ITERATIONS,
        salt,
        password.expose().as_bytes(),
        &mut salted,
    );
    let sign = |message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), message);
    let client_key = sign(b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = sign(b"Server Key");
    Secret::new(format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3. Its proof and its signature follow from these keys.
    #[test]
    fn verifier_is_that_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let expected = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(verifier(&Secret::new("pencil"), &salt).expose(), expected);
    }

    #[test]
    fn salt_is_random() {
        let password = Secret::new("correct-horse-battery-staple");
        let verifiers = [
            new_verifier(&password).unwrap(),
            new_verifier(&password).unwrap(),
        ];
        assert_ne!(verifiers[0].expose(), verifiers[1].expose());
    }
}
