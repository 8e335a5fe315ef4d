//! Unique secret values, and the search for them in every encoding.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

pub(super) struct Canary {
    /// Where the program gets the value from.
    pub(super) source: &'static str,
    pub(super) value: String,
    forms: Vec<(&'static str, String)>,
}

impl Canary {
    fn new(source: &'static str, value: &str) -> Self {
        Self {
            source,
            value: value.to_owned(),
            forms: encoded_forms(value),
        }
    }
}

/// All canaries. Characters that encodings change are in the middle, so that no encoding leaves a
/// long part unchanged.
pub(super) struct Canaries(pub(super) Vec<Canary>);

/// The canary that can stand anywhere in a manifest, also in the tag of an image.
pub(super) const MISPLACED: &str = "VAULT_MISPLACED";

/// Its first line is the same as in any private key, so it is not searched for.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMrkPem7QzV4hT9sLx2Kd\nMrkPem8WnR5jY3uGp6Fb\n-----END PRIVATE KEY-----";

impl Canaries {
    pub(super) fn new() -> Self {
        Self(vec![
            Canary::new("VAULT_ENV", "MrkEnv4kW8\"q<7&'xR2\\tZ/+v9Yb"),
            Canary::new("key.pem", PRIVATE_KEY),
            Canary::new("own.env", "MrkOwn6dH3 nB5#vL0%pS8=qJ1"),
            Canary::new("all.env", "MrkAll2fG9cX4mT7wK5é8rE1"),
            Canary::new(
                "FLY_API_TOKEN",
                "FlyV1 fm2_MrkTokenA3zN8bQ6,fm2_MrkTokenB5yD1hV9",
            ),
            Canary::new(MISPLACED, "MrkMis7wQ2zK9.fT4_hV6-nB1"),
            Canary::new("AWS_SECRET_ACCESS_KEY", "MrkAwsKey9+tP4/sM7wU2jC6xL8"),
            Canary::new("AWS_SESSION_TOKEN", "MrkSession5//gR1==oF3kA8nE6"),
            Canary::new(
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
                "MrkActions7.vB2.hW9qI4zO6",
            ),
            Canary::new("GITHUB_OIDC", "MrkIdentity3.eS8.yT5lU1rK7"),
        ])
    }

    pub(super) fn value(&self, source: &str) -> &str {
        &self
            .0
            .iter()
            .find(|canary| canary.source == source)
            .unwrap()
            .value
    }

    /// The first canary in a text and its encoding, such as `own.env in base64`.
    pub(super) fn find_in(&self, text: &str) -> Option<String> {
        let forms = self
            .0
            .iter()
            .flat_map(|canary| canary.forms.iter().map(move |form| (canary, form)));
        let mut found = forms.filter(|(_, (_, text_of_it))| text.contains(text_of_it.as_str()));
        found
            .next()
            .map(|(canary, (form, _))| format!("{} {form}", canary.source))
    }
}

/// A value, its lines and its parts, each in every encoding.
fn encoded_forms(value: &str) -> Vec<(&'static str, String)> {
    let lines = value.lines().filter(|line| !line.starts_with("-----"));
    let parts = value
        .split(',')
        .flat_map(|part| part.split(' '))
        .filter(|part| part.len() > 12);
    let mut forms = Vec::new();
    for value in [value].into_iter().chain(lines).chain(parts) {
        forms.extend(encodings(value));
    }
    forms.sort_by_key(|(_, text)| text.len());
    // A form that contains another one need not be searched for.
    let mut few: Vec<(&'static str, String)> = Vec::new();
    for form in forms {
        if !few.iter().any(|(_, text)| form.1.contains(text.as_str())) {
            few.push(form);
        }
    }
    few
}

fn encodings(value: &str) -> Vec<(&'static str, String)> {
    let json = serde_json::to_string(value).unwrap();
    let percent = |keep: &str| {
        value.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
                out.push(char::from(byte));
            } else {
                write!(out, "%{byte:02X}").unwrap();
            }
            out
        })
    };
    let hex = value.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    });
    let mut forms = vec![
        ("as it is", value.to_owned()),
        ("in JSON", json.trim_matches('"').to_owned()),
        ("in an address", percent("")),
        ("in an address", percent("-_.~")),
        ("in a form", percent("-_.~").replace("%20", "+")),
        ("in hex", hex.to_uppercase()),
        ("in hex", hex),
        ("backwards", value.chars().rev().collect()),
    ];
    // In base64 the preceding bytes shift the value, and its first and last characters hold bits of
    // their neighbors.
    for before in ["", "\0", "\0\0"] {
        let text = format!("{before}{value}");
        let from = (before.len() * 4).div_ceil(3);
        let to = text.len() * 4 / 3;
        forms.push((
            "in base64",
            STANDARD_NO_PAD.encode(&text)[from..to].to_owned(),
        ));
        forms.push((
            "in base64",
            URL_SAFE_NO_PAD.encode(&text)[from..to].to_owned(),
        ));
    }
    forms
}

/// Tests the search itself: a canary is found in every encoding and with any text around it.
#[test]
fn planted_canary_is_found_in_every_encoding() {
    let canaries = Canaries::new();
    for canary in &canaries.0 {
        let Canary { source, value, .. } = canary;
        let base64 = base64::engine::general_purpose::STANDARD;
        let mut planted = vec![
            format!("error: {value}!"),
            serde_json::json!({ "message": format!("got {value}") }).to_string(),
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
                .to_string(),
            base64.encode(format!("x:{value}")),
            base64.encode(format!("xy:{value} and more")),
            base64.encode(value),
            value.bytes().map(|byte| format!("{byte:02x}")).collect(),
            value.chars().rev().collect(),
        ];
        planted.extend(
            value
                .lines()
                .filter(|line| !line.starts_with("---"))
                .map(str::to_owned),
        );
        for text in planted {
            let found = canaries
                .find_in(&format!("before{text}after"))
                .unwrap_or_default();
            assert!(found.starts_with(source), "{source} in {text}: {found:?}");
        }
    }
    assert_eq!(
        canaries.find_in("FlyV1 -----BEGIN PRIVATE KEY----- ‹secret› (sensitive)"),
        None
    );
}
