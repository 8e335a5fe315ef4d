//! An Ed25519 key in the formats of OpenSSH, by which the nodes of a Postgres cluster reach each other (OpenSSH, `PROTOCOL.key`).

use aws_lc_rs::{
    encoding::AsBigEndian as _,
    error::Unspecified,
    rand,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::model::Secret;

const ALGORITHM: &str = "ssh-ed25519";
/// The first bytes of a private key.
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// What a key without a passphrase is padded to.
const BLOCK_BYTES: usize = 8;
/// The length of a line of base64 in a private key, as `ssh-keygen` writes it.
const LINE_CHARS: usize = 70;

/// A key pair.
pub(super) struct SshKey {
    /// The private key, in PEM.
    pub(super) private: Secret,
    /// The public key, as a line of `authorized_keys`.
    pub(super) public: String,
}

impl SshKey {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn generate(comment: &str) -> Result<Self, Unspecified> {
        let pair = Ed25519KeyPair::generate()?;
        let seed = pair.seed()?.as_be_bytes()?;
        // Whoever decrypts a key knows by two equal numbers that the passphrase was right.
        let mut check = [0; 4];
        rand::fill(&mut check)?;
        let (seed, public) = (seed.as_ref(), pair.public_key().as_ref());
        Ok(Self {
            private: Secret::new(encode_private(seed, public, check, comment)),
            public: format!("{ALGORITHM} {}", STANDARD.encode(encode_public(public))),
        })
    }
}

/// Appends a string with its length.
fn push_string(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
}

fn encode_public(public: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    push_string(&mut key, ALGORITHM.as_bytes());
    push_string(&mut key, public);
    key
}

fn encode_private(seed: &[u8], public: &[u8], check: [u8; 4], comment: &str) -> String {
    let mut inner = Vec::new();
    inner.extend_from_slice(&check);
    inner.extend_from_slice(&check);
    push_string(&mut inner, ALGORITHM.as_bytes());
    push_string(&mut inner, public);
    push_string(&mut inner, &[seed, public].concat());
    push_string(&mut inner, comment.as_bytes());
    let padding = (BLOCK_BYTES - inner.len() % BLOCK_BYTES) % BLOCK_BYTES;
    inner.extend((1..=padding).filter_map(|byte| u8::try_from(byte).ok()));

    let mut key = MAGIC.to_vec();
    push_string(&mut key, b"none"); // cipher
    push_string(&mut key, b"none"); // key derivation
    push_string(&mut key, b"");
    key.extend_from_slice(&1_u32.to_be_bytes()); // number of keys
    push_string(&mut key, &encode_public(public));
    push_string(&mut key, &inner);

    let text = STANDARD.encode(key);
    let mut pem = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(LINE_CHARS) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key that `ssh-keygen -t ed25519` writes for this seed.
    #[test]
    fn private_key_has_the_format_of_openssh() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let pem = encode_private(&[7; 32], pair.public_key().as_ref(), [1, 2, 3, 4], "nodes");
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = STANDARD.decode(base64).unwrap();
        assert!(key.starts_with(b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01"));
        // The encrypted part fills whole blocks.
        let public = encode_public(pair.public_key().as_ref());
        let head = MAGIC.len() + 8 + 8 + 4 + 4 + 4 + public.len();
        let length = u32::from_be_bytes(key[head..head + 4].try_into().unwrap());
        assert_eq!(length % 8, 0);
        assert_eq!(key.len(), head + 4 + length as usize);
    }
}
