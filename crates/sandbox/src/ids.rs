//! Identifiers in the shapes that Fly uses, drawn from the seed and a counter instead of chance.
//!
//! The same seed and the same requests give the same identifiers, so recorded sessions stay comparable.

use sha2::{Digest, Sha256};

const CROCKFORD_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Fly's volume and application identifiers leave out the letters that look like digits or like each other.
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

/// The digest that everything named here is cut from.
pub(crate) fn derive_bytes(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        // A separator, so that ("ab", "c") and ("a", "bc") differ.
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Lower-case hexadecimal of as many bytes as asked.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `148e21ea7e46e8`: fourteen hexadecimal digits.
pub(crate) fn machine_id(draw: &[u8; 32]) -> String {
    hex(&draw[..7])
}

/// `vol_340088w293z35lp4`.
pub(crate) fn volume_id(draw: &[u8; 32]) -> String {
    format!("vol_{}", base32_id(draw))
}

/// `vs_…`: a volume snapshot.
pub(crate) fn snapshot_id(draw: &[u8; 32]) -> String {
    format!("vs_{}", base32_id(draw))
}

/// Sixteen characters, as applications and releases have.
pub(crate) fn base32_id(draw: &[u8; 32]) -> String {
    draw.iter()
        .take(16)
        .map(|byte| char::from(FLY_ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// A ULID: 48 bits of time, then 80 bits that are not chance here.
pub(crate) fn ulid(ms: i64, draw: &[u8; 32]) -> String {
    let mut tail = [0u8; 16];
    tail[6..].copy_from_slice(&draw[..10]);
    let mut bits = u128::from_be_bytes(tail) | (u128::from(ms.max(0).cast_unsigned()) << 80);
    let mut text = [b'0'; 26];
    for place in text.iter_mut().rev() {
        *place = CROCKFORD_ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// `aged-thunder-7371`: the name of a machine that was given none.
pub(crate) fn generated_name(draw: &[u8; 32]) -> String {
    let number = u16::from_be_bytes([draw[2], draw[3]]) % 10_000;
    format!(
        "{}-{}-{number:04}",
        ADJECTIVES[usize::from(draw[0] % 16)],
        NOUNS[usize::from(draw[1] % 16)]
    )
}

/// A number that fits a 32 bit integer, which flyctl decodes internal numbers into.
pub(crate) fn to_u31(draw: &[u8; 32]) -> u32 {
    u32::from_be_bytes([draw[0], draw[1], draw[2], draw[3]]) & 0x7fff_ffff
}

/// `fdaa:0:18:a7b:196:e274:9ce1:2`: an address in the private network of an organisation.
pub(crate) fn private_ip(org: u32, draw: &[u8; 32]) -> String {
    let group = |at: usize| u16::from_be_bytes([draw[at], draw[at + 1]]);
    format!(
        "fdaa:{:x}:{:x}:a7b:{:x}:{:x}:{:x}:2",
        org >> 16,
        org & 0xffff,
        group(0),
        group(2),
        group(4)
    )
}
