//! Signature Version 4: parses the signature of a request and verifies it.
//!
//! The signing time is not checked. The client uses the system clock and the sandbox a simulated one,
//! so the difference says nothing about clock skew.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::request::{AwsRequest, percent_encode};
use super::response::AwsError;
use crate::ids::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A signature as the client sent it, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestSignature {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) session_token: Option<String>,
    date: String,
    timestamp: String,
    signed_headers: String,
    signature: String,
    /// Whether the signature came in the query string, as in a presigned URL.
    presigned: bool,
}

/// Parses the signature of a request. `None` means that the request is anonymous.
///
/// # Errors
/// `400` if the signature is malformed or uses another algorithm.
pub(crate) fn parse_signature(request: &AwsRequest) -> Result<Option<RequestSignature>, AwsError> {
    let malformed = || {
        let message =
            "The authorization header is malformed; the authorization component is malformed.";
        AwsError::new(400, "AuthorizationHeaderMalformed", message)
    };
    if request.query_parameter("X-Amz-Signature").is_some() {
        return parse_presigned_query(request)
            .ok_or_else(malformed)
            .map(Some);
    }
    let Some(header) = request.header("authorization") else {
        return Ok(None);
    };
    let rest = header.strip_prefix(ALGORITHM).ok_or_else(|| {
        AwsError::invalid_request(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    })?;
    parse_authorization_header(request, rest)
        .ok_or_else(malformed)
        .map(Some)
}

fn parse_authorization_header(request: &AwsRequest, header: &str) -> Option<RequestSignature> {
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
    RequestSignature {
        timestamp: time,
        signed_headers: headers,
        signature,
        session_token: token,
        ..parse_credential_scope(&credential)?
    }
    .into()
}

fn parse_presigned_query(request: &AwsRequest) -> Option<RequestSignature> {
    let part = |name: &str| request.query_parameter(name).map(str::to_owned);
    let signature = RequestSignature {
        timestamp: part("X-Amz-Date")?,
        signed_headers: part("X-Amz-SignedHeaders")?,
        signature: part("X-Amz-Signature")?,
        session_token: part("X-Amz-Security-Token"),
        presigned: true,
        ..parse_credential_scope(request.query_parameter("X-Amz-Credential")?)?
    };
    Some(signature)
}

/// Parses a credential scope such as `AKIA…/20260101/eu-central-1/s3/aws4_request`. All other fields
/// of the result are empty.
fn parse_credential_scope(credential: &str) -> Option<RequestSignature> {
    let [key, day, region, service, "aws4_request"] = credential.split('/').collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let owned = str::to_owned;
    Some(RequestSignature {
        access_key_id: owned(key),
        region: owned(region),
        service: owned(service),
        date: owned(day),
        session_token: None,
        timestamp: String::new(),
        signed_headers: String::new(),
        signature: String::new(),
        presigned: false,
    })
}

impl RequestSignature {
    /// Whether the signature was computed over this request with this secret access key.
    pub(crate) fn is_signed_with(&self, request: &AwsRequest, secret: &str) -> bool {
        let scope = format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        );
        let canonical = Sha256::digest(self.canonical_request(request));
        let text = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            self.timestamp,
            hex(&canonical)
        );
        // The signing key is derived in four steps, so that it is valid for one date, region and service.
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.date, &self.region, &self.service, "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        hex(&hmac_sha256(&key, text.as_bytes())) == self.signature
    }

    /// The headers that have to be signed (`host` and `x-amz-*`) and are not.
    pub(crate) fn unsigned_headers(&self, request: &AwsRequest) -> Vec<String> {
        let signed: Vec<&str> = self.signed_headers.split(';').collect();
        let must_be_signed = |name: &&str| *name == "host" || name.starts_with("x-amz-");
        let names = request
            .headers
            .keys()
            .map(axum::http::HeaderName::as_str)
            .filter(must_be_signed);
        names
            .filter(|name| !signed.contains(name))
            .map(str::to_owned)
            .collect()
    }

    fn canonical_request(&self, request: &AwsRequest) -> String {
        let mut query: Vec<(String, String)> = request.query_pairs.clone();
        // The signature of a presigned URL cannot cover itself.
        query.retain(|(name, _)| name != "X-Amz-Signature");
        let mut query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
            .collect();
        query.sort();
        let headers: String = self
            .signed_headers
            .split(';')
            .map(|name| canonical_header(request, name))
            .collect();
        let payload = match request.header("x-amz-content-sha256") {
            Some(declared) => declared.to_owned(),
            // The body is not known yet when a URL is presigned.
            None if self.presigned => "UNSIGNED-PAYLOAD".to_owned(),
            None => hex(&Sha256::digest(&request.body)),
        };
        let query = query.join("&");
        let (method, path, signed) = (&request.method, &request.path, &self.signed_headers);
        format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}")
    }
}

/// The line `name:value` of the canonical request. Repeated headers are joined with commas.
fn canonical_header(request: &AwsRequest, name: &str) -> String {
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

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Compares the body with the SHA-256 digest in `x-amz-content-sha256`, if that header has one.
///
/// # Errors
/// `400 XAmzContentSHA256Mismatch`.
pub(crate) fn verify_payload_hash(request: &AwsRequest) -> Result<(), AwsError> {
    let declared = request.header("x-amz-content-sha256").unwrap_or_default();
    // Other values, such as `UNSIGNED-PAYLOAD`, are not digests.
    if declared.len() == 64 && declared != hex(&Sha256::digest(&request.body)) {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(AwsError::new(400, "XAmzContentSHA256Mismatch", message));
    }
    Ok(())
}
