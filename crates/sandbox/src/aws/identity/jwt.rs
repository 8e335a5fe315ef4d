//! Signs and verifies JSON Web Tokens.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::aws::response::AwsError;
use crate::ids;
use crate::world::SimulatedWorld;

/// An issuer's signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenIssuer {
    /// The key id in the header of its tokens.
    kid: String,
    /// The RSA private key as PEM. It has no use outside this sandbox.
    key: String,
}

/// The claims that STS reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct TokenClaims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    /// A string or a list of strings.
    aud: Value,
    pub(crate) exp: i64,
}

impl TokenClaims {
    /// The audiences of the token.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        let single = std::slice::from_ref(&self.aud);
        self.aud
            .as_array()
            .map_or(single, Vec::as_slice)
            .iter()
            .filter_map(Value::as_str)
            .collect()
    }
}

impl TokenIssuer {
    fn generate() -> Option<Self> {
        let key_pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let der: Pkcs8V1Der<'_> = key_pair.as_der().ok()?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .collect();
        let key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        let kid = ids::hex(&ids::derive_bytes(&["kid", &text])[..16]);
        Some(Self { kid, key })
    }

    /// Returns the issuer with this URL and creates it if it is missing. `None` if the system cannot
    /// generate a key.
    pub(super) fn get_or_create<'a>(world: &'a mut SimulatedWorld, name: &str) -> Option<&'a Self> {
        if !world.aws.global.issuers.contains_key(name) {
            let issuer = Self::generate()?;
            world.aws.global.issuers.insert(name.to_owned(), issuer);
            world.aws.global_dirty = true;
        }
        world.aws.global.issuers.get(name)
    }

    fn signing_key(&self) -> Option<EncodingKey> {
        EncodingKey::from_rsa_pem(self.key.as_bytes()).ok()
    }

    /// Signs claims with RS256.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::RS256)
        };
        jsonwebtoken::encode(&header, claims, &self.signing_key()?).ok()
    }

    fn public_key(&self) -> Option<Jwk> {
        Jwk::from_encoding_key(&self.signing_key()?, Algorithm::RS256).ok()
    }

    /// The public keys as a JSON Web Key Set.
    pub(super) fn jwks(&self) -> Option<Value> {
        let mut key = serde_json::to_value(self.public_key()?).ok()?;
        key["kid"] = json!(self.kid);
        key["use"] = json!("sig");
        Some(json!({ "keys": [key] }))
    }
}

/// Verifies the signature and the expiry of a token. `registered` tells whether the account has a
/// provider for an issuer. The caller checks the audience.
///
/// # Errors
/// `400 InvalidIdentityToken` or `400 ExpiredTokenException`.
pub(crate) fn verify_token(
    world: &SimulatedWorld,
    token: &str,
    registered: impl Fn(&str) -> bool,
) -> Result<TokenClaims, AwsError> {
    let invalid = |message: &str| AwsError::new(400, "InvalidIdentityToken", message);
    let unreadable = || {
        invalid(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        )
    };
    let header = jsonwebtoken::decode_header(token).map_err(|_| unreadable())?;
    let claimed = jsonwebtoken::dangerous::insecure_decode::<TokenClaims>(token)
        .map_err(|_| unreadable())?
        .claims;
    if !registered(&claimed.iss) {
        return Err(invalid(&format!(
            "No OpenIDConnect provider found in your account for {}",
            claimed.iss
        )));
    }
    let no_key = || {
        invalid(
            "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
        )
    };
    let issuer = world
        .aws
        .global
        .issuers
        .get(&claimed.iss)
        .ok_or_else(no_key)?;
    if header.alg != Algorithm::RS256 || header.kid.as_ref() != Some(&issuer.kid) {
        return Err(no_key());
    }
    let key = issuer
        .public_key()
        .and_then(|key| DecodingKey::from_jwk(&key).ok())
        .ok_or_else(no_key)?;
    let mut validation = Validation::new(Algorithm::RS256);
    // The expiry is compared with the simulated clock below, and the audience with the provider's client
    // ids by the caller.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<TokenClaims>(token, &key, &validation);
    let claims = claims
        .map_err(|_| invalid("Token signature is invalid"))?
        .claims;
    let now = world.now_ms.div_euclid(1000);
    if claims.exp <= now {
        let message = format!(
            "Token expired: current date/time {now} must be before the expiration date/time {}",
            claims.exp
        );
        return Err(AwsError::new(400, "ExpiredTokenException", message));
    }
    Ok(claims)
}
