//! Removes known secrets from text that other programs wrote. A server may repeat the request in
//! its error message, a program may print its environment, and a secret may still be stored in the
//! open where it was before: none of that may reach a log. trimtab's own texts are not filtered:
//! they contain no secrets, and a secret that is an ordinary word must not garble them.
//!
//! The list is global to the process. Secrets come from the manifest, the environment and the
//! clouds, error messages from everywhere; a list that had to be passed along would be missing
//! somewhere.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The replacement for a secret.
const REDACTED: &str = "‹secret›";
/// Minimum length in bytes. Shorter values are words such as `true` or `iad`, which occur in text
/// by chance; redacting them would hide what went wrong.
const MIN_SECRET_LEN: usize = 6;
/// Minimum length in bytes from which a part of a value between commas or spaces counts as a secret
/// too, such as one of the macaroons in a Fly token.
const MIN_PART_LEN: usize = 16;
/// The unreserved characters of RFC 3986, section 2.3, which most encoders leave alone.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// All encodings of all known secrets.
static KNOWN_SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Registers a secret for the rest of the process. Its lines and long parts are registered as well.
pub(crate) fn register_secret(value: &str) {
    let lines = value.lines().filter(|line| !line.starts_with("-----"));
    let parts = value
        .split([',', ' ', '\n'])
        .filter(|part| part.len() >= MIN_PART_LEN);
    let values = [value, value.trim()]
        .into_iter()
        .chain(lines)
        .chain(parts)
        .filter(|v| v.len() >= MIN_SECRET_LEN);
    let encodings: Vec<String> = values.flat_map(encodings).collect();
    KNOWN_SECRETS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(encodings);
}

/// Replaces every known secret in `text`, in any of its encodings.
#[must_use]
pub(crate) fn redact(text: &str) -> String {
    let known = KNOWN_SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut present: Vec<&String> = known
        .iter()
        .filter(|encoding| text.contains(encoding.as_str()))
        .collect();
    // Longest first: a line of a secret is also part of the whole secret.
    present.sort_by_key(|encoding| std::cmp::Reverse(encoding.len()));
    present.into_iter().fold(text.to_owned(), |text, encoding| {
        text.replace(encoding.as_str(), REDACTED)
    })
}

/// Whether `text` contains a known secret, in any of its encodings.
#[must_use]
pub(crate) fn contains_secret(text: &str) -> bool {
    let known = KNOWN_SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .iter()
        .any(|encoding| text.contains(encoding.as_str()))
}

/// The encodings in which a server may return a value: as it is, as JSON (once, and nested in a
/// JSON string), in Rust's debug format, in XML, percent-encoded, as form data, in hexadecimal, and
/// in base64.
fn encodings(value: &str) -> Vec<String> {
    let json = json_escape(value);
    let percent = utf8_percent_encode(value, UNRESERVED).to_string();
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut encodings = vec![
        json_escape(&json),
        value.escape_debug().to_string(),
        xml.replace('"', "&quot;").replace('\'', "&apos;"),
        xml.replace('"', "&quot;").replace('\'', "&#39;"),
        xml,
        percent.replace("%20", "+"),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        hex_encode(value),
        hex_encode(value).to_uppercase(),
        json,
        percent,
        value.to_owned(),
    ];
    // Base64 turns three bytes into four characters, so the encoding of a value depends on its
    // offset in the encoded text, modulo three.
    for offset in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&b"\0\0"[..offset], value.as_bytes()].concat());
        // The first and last characters may include bits of the neighbouring bytes, so leave them
        // out.
        let own_chars = encoded
            .get((offset * 4).div_ceil(3)..(offset + value.len()) * 4 / 3)
            .unwrap_or_default();
        encodings.extend([
            own_chars.to_owned(),
            own_chars.replace('+', "-").replace('/', "_"),
        ]);
    }
    encodings.retain(|encoding| encoding.len() >= MIN_SECRET_LEN);
    encodings
}

fn json_escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted
        .get(1..quoted.len() - 1)
        .unwrap_or_default()
        .to_owned()
}

fn hex_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // a text takes everything
        out
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn redacts_known_secrets_in_every_encoding() {
        let value = "veil \"test\"/v\\1&<é>+\nsecond-line-of-it";
        register_secret(value);
        let written = [
            value.to_owned(),
            "second-line-of-it".to_owned(),
            serde_json::json!({ "said": serde_json::json!({ "v": value }).to_string() })
                .to_string(),
            format!("{value:?}"),
            utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            STANDARD.encode(format!("x:{value}")),
            STANDARD.encode(format!("xy:{value}:z")),
            URL_SAFE.encode(value),
            hex_encode(value),
        ];
        for text in written {
            let redacted = redact(&format!("<{text}>"));
            assert!(
                redacted.contains(REDACTED) && redacted.len() < 40,
                "{text}: {redacted}"
            );
            assert!(contains_secret(&text));
        }
    }

    #[test]
    fn redacts_each_part_of_a_token() {
        register_secret("FlyV1 fm2_veiltestveiltest1,fm2_veiltestveiltest2");
        assert_eq!(redact("got fm2_veiltestveiltest2"), "got ‹secret›");
        assert_eq!(redact("got FlyV1 x"), "got FlyV1 x");
    }

    #[test]
    fn short_secrets_are_not_redacted() {
        register_secret("iad");
        register_secret("");
        assert_eq!(redact("no machine in iad"), "no machine in iad");
    }
}
