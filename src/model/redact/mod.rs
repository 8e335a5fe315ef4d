//! Removes known secrets from text. A server may repeat the request in its error message, a program may print its
//! environment, a manifest may hold a secret where none belongs, and an option may be given one: none of that may reach
//! output, whichever line it is on. So everything passes here on its way out, and no renderer has to know which of its
//! values could be a secret.
//!
//! A text passes twice. Values are redacted before they are shortened, wrapped or escaped, because half a secret would no
//! longer be recognized. Whole outputs are redacted as they leave, in case a value took another way. There, ordinary words
//! are left alone: a secret may be `postgres`, and so may be a word of ours.
//!
//! The list is global to the process. Secrets come from the manifest, the environment and the clouds, text from
//! everywhere; a list that had to be passed along would be missing somewhere.

use std::{
    borrow::Cow,
    ops::Range,
    sync::{PoisonError, RwLock},
};

use serde_json::Value;

mod byte_lists;
mod decode;
mod entities;
mod registry;

use registry::{Registry, TextKind};

/// The replacement for a secret.
const REDACTED: &str = "‹secret›";

static KNOWN: RwLock<Registry> = RwLock::new(Registry::new());

/// Registers a secret for the rest of the process. Its lines and long parts are registered as well.
pub(crate) fn register_secret(value: &str) {
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .add(value);
}

/// Declares the name of a resource as public. A secret of the same text, such as an environment's name, is not hidden.
pub(crate) fn register_public_name(name: &str) {
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .add_public_name(name);
}

/// Replaces every known secret in a value, or in text that another program wrote, however it is encoded.
#[must_use]
pub(crate) fn redact(text: &str) -> String {
    redact_text(text, TextKind::Value).into_owned()
}

/// Replaces every known secret in a whole output.
#[must_use]
pub(crate) fn redact_output(text: &str) -> Cow<'_, str> {
    redact_text(text, TextKind::Output)
}

/// Replaces every known secret in the strings and keys of a JSON document, so that the document stays valid.
#[must_use]
pub(crate) fn redact_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(match redact_output(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(redacted) => redacted,
        }),
        Value::Array(items) => items.into_iter().map(redact_json).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (redact_output(&key).into_owned(), redact_json(value)))
            .collect(),
        other => other,
    }
}

/// Whether a redacted value was a secret as a whole.
#[must_use]
pub(crate) fn is_redacted(text: &str) -> bool {
    text == REDACTED
}

/// Whether a value contains a known secret, however it is encoded.
#[must_use]
pub(crate) fn contains_secret(text: &str) -> bool {
    !find(text, TextKind::Value).is_empty()
}

/// Where known secrets are in a value, in whole characters.
#[must_use]
pub(crate) fn secret_spans(text: &str) -> Vec<Range<usize>> {
    let whole = |part: decode::Origin| {
        text.floor_char_boundary(part.start)..text.ceil_char_boundary(part.end)
    };
    find(text, TextKind::Value).into_iter().map(whole).collect()
}

fn find(text: &str, kind: TextKind) -> Vec<decode::Origin> {
    KNOWN
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .find(text, kind)
}

fn redact_text(text: &str, kind: TextKind) -> Cow<'_, str> {
    let found = find(text, kind);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut shown_until = 0;
    for part in found {
        // An escape is a whole, and so is a character.
        out.push_str(&text[shown_until..text.floor_char_boundary(part.start).max(shown_until)]);
        out.push_str(REDACTED);
        shown_until = text.ceil_char_boundary(part.end);
    }
    out.push_str(&text[shown_until..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const VALUE: &str = "veil \"test\"/v\\1&<é>'+\nsecond-line-of-it";

    fn escape(text: &str, is_plain: fn(char) -> bool, write: fn(char) -> String) -> String {
        let one = |c: char| if is_plain(c) { c.to_string() } else { write(c) };
        text.chars().map(one).collect()
    }

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A list of bytes as a debugger prints it.
    fn bytes(text: &str, separator: &str, write: fn(u8) -> String) -> String {
        let written: Vec<String> = text.bytes().map(write).collect();
        format!("[{}]", written.join(separator))
    }

    #[test]
    fn a_known_secret_is_found_however_it_is_written() {
        register_secret(VALUE);
        let json = serde_json::json!({ "v": VALUE }).to_string();
        let go = json.replace('&', "\\u0026").replace('<', "\\u003c");
        let ascii = escape(
            VALUE,
            |c| c.is_ascii(),
            |c| format!("\\u{:04x}", u32::from(c)),
        );
        let html = VALUE.replace('&', "&amp;").replace('"', "&quot;");
        let html = html.replace('<', "&lt;").replace('\'', "&#39;");
        let percent = utf8_percent_encode(VALUE, NON_ALPHANUMERIC).to_string();
        let only_specials = VALUE
            .replace('%', "%25")
            .replace('&', "%26")
            .replace(' ', "%20");
        let written = [
            VALUE.to_owned(),
            "second-line-of-it".to_owned(),
            serde_json::json!({ "said": serde_json::json!({ "said": json }).to_string() })
                .to_string(),
            go,
            ascii.replace('\n', "\\n"),
            VALUE.replace('é', "\\xe9"),
            VALUE.replace('é', "\\xc3\\xa9"),
            VALUE.replace('é', "\\303\\251"),
            html.replace('é', "&eacute;"),
            html.replace('é', "&#xe9;").replace('\'', "&apos;"),
            format!("{VALUE:?}"),
            percent.to_lowercase(),
            percent.replace('%', "%25"),
            only_specials,
            percent.replace("%20", "+"),
            percent,
            format!("'{}'", VALUE.replace('\'', "'\\''")),
            VALUE.replace(' ', "\n    "),
            STANDARD.encode(format!("x:{VALUE}")),
            STANDARD.encode(format!("xy:{VALUE}:z")),
            STANDARD.encode(STANDARD.encode(VALUE)),
            STANDARD
                .encode(VALUE)
                .replace('/', "\\/")
                .replace('+', "%2B"),
            URL_SAFE_NO_PAD.encode(VALUE),
            hex(VALUE),
            hex(VALUE).to_uppercase(),
            bytes(VALUE, ", ", |byte| byte.to_string()),
            bytes(VALUE, " ", |byte| byte.to_string()),
            bytes(VALUE, ",\n      ", |byte| byte.to_string()),
            bytes(VALUE, ", ", |byte| format!("{byte:#04x}")),
            bytes(VALUE, ":", |byte| format!("{byte:02x}")),
            bytes(VALUE, " ", |byte| format!("{byte:02X}")),
        ];
        for text in written {
            let redacted = redact(&format!("<{text}>"));
            assert!(
                redacted.contains(REDACTED) && redacted.len() < 80 && redacted.starts_with('<'),
                "{text}: {redacted}"
            );
            assert!(contains_secret(&text));
            assert_eq!(redact_output(&text), redact(&text));
        }
    }

    #[test]
    fn text_around_a_secret_stays() {
        register_secret("veilOfText9/7");
        assert_eq!(
            redact("{\"a\":\"1\",\"k\":\"x veilOfText9\\/7 y\"} 100%"),
            "{\"a\":\"1\",\"k\":\"x ‹secret› y\"} 100%"
        );
        assert_eq!(redact("é\\veilOfText9/7é"), "é\\‹secret›é");
        assert_eq!(redact("veilOfText9/7veilOfText9/7"), REDACTED);
    }

    #[test]
    fn each_part_of_a_token_is_one() {
        register_secret("FlyV1 fm2_veiltestveiltest1,fm2_veiltestveiltest2");
        assert_eq!(redact("got fm2_veiltestveiltest2"), "got ‹secret›");
        assert_eq!(redact("got FlyV1 x"), "got FlyV1 x");
    }

    #[test]
    fn the_password_of_an_address_is_one() {
        register_secret("postgres://app:veil%2Fpw@db.internal/app");
        assert_eq!(redact("login failed: veil/pw"), "login failed: ‹secret›");
    }

    #[test]
    fn short_values_are_hidden_as_words_and_shorter_ones_stay() {
        for value in ["", "iad", "true", "8080", "veil7x", "veilword"] {
            register_secret(value);
        }
        assert_eq!(redact("true: iad on 8080"), "true: iad on 8080");
        assert_eq!(redact("key=veil7x, veil7xy"), "key=‹secret›, veil7xy");
        assert_eq!(redact_output("key=veil7x"), "key=‹secret›");
        // An ordinary word is hidden in values, and not in sentences of ours.
        assert_eq!(redact("veilword, veilwords"), "‹secret›, veilwords");
        assert_eq!(redact_output("the veilword"), "the veilword");
    }

    /// The last letter of a colour is no part of the word that is coloured.
    #[test]
    fn a_colored_secret_is_found() {
        register_secret("veil8x");
        for text in ["veil8x", "ghp_0123456789abcdef"] {
            let colored = format!("k \u{1b}[33m{text}\u{1b}[0m");
            assert_eq!(redact_output(&colored), "k \u{1b}[33m‹secret›\u{1b}[0m");
        }
    }

    #[test]
    fn an_issued_key_is_one_without_being_known() {
        assert_eq!(
            redact_output("path /x/sk_live_9aXbcdefQ7vZ, ghp_short"),
            "path /x/‹secret›, ghp_short"
        );
    }

    #[test]
    fn a_public_name_stays() {
        register_secret("veil-project-1");
        assert_eq!(redact("veil-project-1"), REDACTED);
        register_public_name("veil-project-1");
        assert_eq!(redact("veil-project-1"), "veil-project-1");
    }

    #[test]
    fn a_document_stays_valid() {
        register_secret("veil\",\"json");
        let value = serde_json::json!({ "a": ["veil\",\"json"], "veil": "json" });
        assert_eq!(
            redact_json(value),
            serde_json::json!({ "a": [REDACTED], "veil": "json" })
        );
    }
}
