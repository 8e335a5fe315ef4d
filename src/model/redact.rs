//! What this process knows to be secret, taken out of texts that others wrote. A server may repeat in its refusal what it
//! was sent, a program may print its environment, and a secret may still stand in the open where it was before: none of
//! that is for a log. Texts of our own are not touched: nothing secret gets into them, and a secret that is an ordinary
//! word shall not mutilate them.
//!
//! There is one list for the process. Secrets come from the manifest, the environment and the clouds themselves, errors
//! from everywhere, and one that was not handed down would be one that is printed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands where a secret stood.
const REDACTED: &str = "‹secret›";
/// Shorter values are words such as `true` or `iad`: they stand in a text by chance, and what failed would be hidden.
const MIN_SECRET_LEN: usize = 6;
/// From this length on, a part of a value between commas or spaces is a secret as well: a token of several.
const MIN_PART_LEN: usize = 16;
/// What stays as it is in most encoders' addresses (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Every form of every known secret.
static KNOWN_SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Remembers a value for as long as the process lives.
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
    let forms: Vec<String> = values.flat_map(encodings).collect();
    KNOWN_SECRETS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(forms);
}

/// The text with every known secret veiled, however it is written.
#[must_use]
pub(crate) fn redact(text: &str) -> String {
    let known = KNOWN_SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<&String> = known
        .iter()
        .filter(|form| text.contains(form.as_str()))
        .collect();
    // A line of a secret is a part of the whole.
    found.sort_by_key(|form| std::cmp::Reverse(form.len()));
    found.into_iter().fold(text.to_owned(), |text, form| {
        text.replace(form.as_str(), REDACTED)
    })
}

/// Whether a known secret stands in a text.
#[must_use]
pub(crate) fn contains_secret(text: &str) -> bool {
    let known = KNOWN_SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().any(|form| text.contains(form.as_str()))
}

/// How a value may be written in an answer: as it is, in JSON (once, and in a text within it), as Rust's errors quote it,
/// in XML, in an address or a form, in hexadecimal digits, and in base64.
fn encodings(value: &str) -> Vec<String> {
    let json = json_escape(value);
    let percent = utf8_percent_encode(value, UNRESERVED).to_string();
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut forms = vec![
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
    // Three bytes make four characters, so what stands before a value moves its characters.
    for before in 0..3 {
        let whole = STANDARD_NO_PAD.encode([&b"\0\0"[..before], value.as_bytes()].concat());
        // The first and the last character may hold bits of what stands beside it.
        let own = whole
            .get((before * 4).div_ceil(3)..(before + value.len()) * 4 / 3)
            .unwrap_or_default();
        forms.extend([own.to_owned(), own.replace('+', "-").replace('/', "_")]);
    }
    forms.retain(|form| form.len() >= MIN_SECRET_LEN);
    forms
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
    fn a_known_secret_is_found_however_it_is_written() {
        let value = "veil \"test\"/v\\1&<é>+\nsecond-line-of-it";
        register_secret(value);
        let told = [
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
        for text in told {
            let shown = redact(&format!("<{text}>"));
            assert!(
                shown.contains(REDACTED) && shown.len() < 40,
                "{text}: {shown}"
            );
            assert!(contains_secret(&text));
        }
    }

    #[test]
    fn each_part_of_a_token_is_one() {
        register_secret("FlyV1 fm2_veiltestveiltest1,fm2_veiltestveiltest2");
        assert_eq!(redact("got fm2_veiltestveiltest2"), "got ‹secret›");
        assert_eq!(redact("got FlyV1 x"), "got FlyV1 x");
    }

    #[test]
    fn words_stay() {
        register_secret("iad");
        register_secret("");
        assert_eq!(redact("no machine in iad"), "no machine in iad");
    }
}
