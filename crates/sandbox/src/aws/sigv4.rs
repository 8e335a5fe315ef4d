//! Signature Version 4: reads who claims to have signed a request, and checks it.
//!
//! The signed time is not compared with the clock. The client signs by its own clock, the sandbox lives by another, and
//! what that tells about skew would only be noise.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::answer::Problem;
use super::request::{Request, encode};
use crate::ids::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A claim to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) key: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) token: Option<String>,
    day: String,
    time: String,
    headers: String,
    signature: String,
    /// Whether it stands in the query, as in a link that was signed beforehand.
    presigned: bool,
}

/// Reads the claim; none when the request is anonymous.
///
/// # Errors
/// `400` when there is one that cannot be read.
pub(crate) fn claim(request: &Request) -> Result<Option<Claim>, Problem> {
    let malformed = || {
        let message =
            "The authorization header is malformed; the authorization component is malformed.";
        Problem::new(400, "AuthorizationHeaderMalformed", message)
    };
    if request.query("X-Amz-Signature").is_some() {
        return presigned(request).ok_or_else(malformed).map(Some);
    }
    let Some(header) = request.header("authorization") else {
        return Ok(None);
    };
    let rest = header.strip_prefix(ALGORITHM).ok_or_else(|| {
        Problem::request(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    })?;
    signed(request, rest).ok_or_else(malformed).map(Some)
}

fn signed(request: &Request, header: &str) -> Option<Claim> {
    let part = |name: &str| {
        let mut parts = header.split(',').map(str::trim);
        parts
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let (credential, headers, signature) = (
        part("Credential")?,
        part("SignedHeaders")?,
        part("Signature")?,
    );
    let time = request.header("x-amz-date")?.to_owned();
    let token = request.header("x-amz-security-token").map(str::to_owned);
    Claim {
        time,
        headers,
        signature,
        token,
        ..scope(&credential)?
    }
    .into()
}

fn presigned(request: &Request) -> Option<Claim> {
    let part = |name: &str| request.query(name).map(str::to_owned);
    let claim = Claim {
        time: part("X-Amz-Date")?,
        headers: part("X-Amz-SignedHeaders")?,
        signature: part("X-Amz-Signature")?,
        token: part("X-Amz-Security-Token"),
        presigned: true,
        ..scope(request.query("X-Amz-Credential")?)?
    };
    Some(claim)
}

/// `AKIA…/20260101/eu-central-1/s3/aws4_request`
fn scope(credential: &str) -> Option<Claim> {
    let [key, day, region, service, "aws4_request"] = credential.split('/').collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let own = str::to_owned;
    Some(Claim {
        key: own(key),
        region: own(region),
        service: own(service),
        day: own(day),
        token: None,
        time: String::new(),
        headers: String::new(),
        signature: String::new(),
        presigned: false,
    })
}

impl Claim {
    /// Whether the holder of this secret signed this request.
    pub(crate) fn holds(&self, request: &Request, secret: &str) -> bool {
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let canonical = Sha256::digest(self.canonical(request));
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{}", self.time, hex(&canonical));
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.day, &self.region, &self.service, "aws4_request"] {
            key = sign(&key, part.as_bytes());
        }
        hex(&sign(&key, text.as_bytes())) == self.signature
    }

    /// The headers that must be signed and are not.
    pub(crate) fn unsigned(&self, request: &Request) -> Vec<String> {
        let signed: Vec<&str> = self.headers.split(';').collect();
        let must = |name: &&str| *name == "host" || name.starts_with("x-amz-");
        let names = request
            .headers
            .keys()
            .map(axum::http::HeaderName::as_str)
            .filter(must);
        names
            .filter(|name| !signed.contains(name))
            .map(str::to_owned)
            .collect()
    }

    fn canonical(&self, request: &Request) -> String {
        let mut query: Vec<(String, String)> = request.query.clone();
        query.retain(|(name, _)| name != "X-Amz-Signature");
        let mut query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        query.sort();
        let headers: String = self
            .headers
            .split(';')
            .map(|name| header(request, name))
            .collect();
        let payload = match request.header("x-amz-content-sha256") {
            Some(said) => said.to_owned(),
            None if self.presigned => "UNSIGNED-PAYLOAD".to_owned(),
            None => hex(&Sha256::digest(&request.body)),
        };
        let query = query.join("&");
        let (method, path, signed) = (&request.method, &request.path, &self.headers);
        format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}")
    }
}

/// `name:value` in the canonical form, with the end of its line.
fn header(request: &Request, name: &str) -> String {
    let values = request
        .headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let trimmed: Vec<String> = values
        .map(|value| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    format!("{name}:{}\n", trimmed.join(","))
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Holds a body to the digest that was signed for it.
///
/// # Errors
/// `400` when they differ.
pub(crate) fn check_payload(request: &Request) -> Result<(), Problem> {
    let said = request.header("x-amz-content-sha256").unwrap_or_default();
    if said.len() == 64 && said != hex(&Sha256::digest(&request.body)) {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(Problem::new(400, "XAmzContentSHA256Mismatch", message));
    }
    Ok(())
}
