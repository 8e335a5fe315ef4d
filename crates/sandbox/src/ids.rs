//! Ids in Fly's formats, derived from the seed and a counter instead of randomness.
//!
//! The same seed and the same requests give the same ids, so recorded sessions stay comparable.

use sha2::{Digest, Sha256};

const CROCKFORD_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The alphabet of Fly's volume and app ids: lower-case letters and digits without look-alikes.
const FLY_ALPHABET: &[u8; 32] = b"0123456789acdefghjklmnopqrstvwxy";
const ADJECTIVES: [&str; 16] = [
    "aged",
    "billowing",
    "broken",
    "cold",
    "damp",
    "dark",
    "empty",
    "falling",
    "green",
    "little",
    "misty",
    "quiet",
    "red",
    "shy",
    "wild",
    "young",
];
const NOUNS: [&str; 16] = [
    "bird",
    "brook",
    "butterfly",
    "cloud",
    "dew",
    "dust",
    "field",
    "fire",
    "flower",
    "fog",
    "forest",
    "frost",
    "glade",
    "meadow",
    "thunder",
    "wind",
];

/// A SHA-256 digest of the parts, from which ids and names are cut.
pub(crate) fn derive_bytes(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        // A separator, so that ("ab", "c") and ("a", "bc") differ.
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A machine id such as `148e21ea7e46e8`: fourteen hexadecimal digits.
pub(crate) fn machine_id(bytes: &[u8; 32]) -> String {
    hex(&bytes[..7])
}

/// A volume id such as `vol_340088w293z35lp4`.
pub(crate) fn volume_id(bytes: &[u8; 32]) -> String {
    format!("vol_{}", base32_id(bytes))
}

/// The id of a volume snapshot: `vs_…`.
pub(crate) fn snapshot_id(bytes: &[u8; 32]) -> String {
    format!("vs_{}", base32_id(bytes))
}

/// Sixteen characters of Fly's alphabet, the format of app and release ids.
pub(crate) fn base32_id(bytes: &[u8; 32]) -> String {
    bytes
        .iter()
        .take(16)
        .map(|byte| char::from(FLY_ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// A ULID: 48 bits of time in milliseconds, then 80 bits that would be random in a real one.
pub(crate) fn ulid(ms: i64, bytes: &[u8; 32]) -> String {
    // 128 bits are 26 digits of five bits each, the highest of which is never more than 7.
    let mut tail = [0u8; 16];
    tail[6..].copy_from_slice(&bytes[..10]);
    let mut bits = u128::from_be_bytes(tail) | (u128::from(ms.max(0).cast_unsigned()) << 80);
    let mut text = [b'0'; 26];
    for character in text.iter_mut().rev() {
        *character = CROCKFORD_ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// A ULID that sorts after those of the same millisecond with a lower `position`.
pub(crate) fn ordered_ulid(ms: i64, position: usize, parts: &[&str]) -> String {
    let mut bytes = derive_bytes(parts);
    bytes[0] = u8::try_from(position).unwrap_or(u8::MAX);
    ulid(ms, &bytes)
}

/// A name such as `aged-thunder-7371`, for a machine or app created without one.
pub(crate) fn generated_name(bytes: &[u8; 32]) -> String {
    let number = u16::from_be_bytes([bytes[2], bytes[3]]) % 10_000;
    format!(
        "{}-{}-{number:04}",
        ADJECTIVES[usize::from(bytes[0] % 16)],
        NOUNS[usize::from(bytes[1] % 16)]
    )
}

/// A number below 2^31. flyctl decodes internal numeric ids into 32-bit signed integers.
pub(crate) fn to_u31(bytes: &[u8; 32]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7fff_ffff
}

/// An address such as `fdaa:0:18:a7b:196:e274:9ce1:2` in a private network.
pub(crate) fn private_ip(network: u32, bytes: &[u8; 32]) -> String {
    let group = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    format!(
        "fdaa:{:x}:{:x}:a7b:{:x}:{:x}:{:x}:2",
        network >> 16,
        network & 0xffff,
        group(0),
        group(2),
        group(4)
    )
}
