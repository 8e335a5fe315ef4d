//! Authentication: maps the access key of a signed request to a user or a role session.

use serde::{Deserialize, Serialize};

use super::request::AwsRequest;
use super::response::AwsError;
use super::sigv4::{self, RequestSignature};
use crate::world::SimulatedWorld;

/// The access key of an IAM user, stored by access key id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAccessKey {
    pub(crate) secret: String,
    pub(crate) account: String,
    pub(crate) user: String,
}

/// A session that began when a role was assumed, stored by its temporary access key id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleSession {
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) account: String,
    /// The name of the role. A role that is created later with the same name has another `role_id`,
    /// and the session does not get its permissions.
    pub(crate) role: String,
    pub(crate) role_id: String,
    pub(crate) path: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) begun_ms: i64,
    pub(crate) expires_ms: i64,
    /// The ARN of the OIDC provider whose token began the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The session policy, which can only narrow the permissions of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
}

impl RoleSession {
    /// The ARN of the assumed role.
    pub(crate) fn role_arn(&self) -> String {
        format!(
            "arn:aws:iam::{}:role{}{}",
            self.account, self.path, self.role
        )
    }
}

/// The caller of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The request has no signature.
    Anonymous,
    /// An IAM user.
    User {
        /// The 12-digit account id.
        account: String,
        /// The user name.
        name: String,
    },
    /// A session of a role.
    AssumedRole(Box<RoleSession>),
}

impl Caller {
    /// The account id of the caller; empty for anonymous requests.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::User { account, .. } => account,
            Self::AssumedRole(session) => &session.account,
        }
    }

    /// The caller's ARN as policies and messages show it.
    pub(crate) fn arn(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User { account, name } => format!("arn:aws:iam::{account}:user/{name}"),
            Self::AssumedRole(session) => {
                let RoleSession {
                    account,
                    role,
                    name,
                    ..
                } = &**session;
                format!("arn:aws:sts::{account}:assumed-role/{role}/{name}")
            }
        }
    }
}

/// Verifies the signature of a request to `service` (`s3`, `iam` or `sts`). Returns the caller and the
/// signature; anonymous requests have none.
///
/// # Errors
/// The errors of S3 or of the Query protocol for an unknown key, a wrong signature or an expired token.
pub(crate) fn authenticate(
    world: &SimulatedWorld,
    request: &AwsRequest,
    service: &str,
) -> Result<(Caller, Option<RequestSignature>), AwsError> {
    let Some(signature) = sigv4::parse_signature(request)? else {
        return Ok((Caller::Anonymous, None));
    };
    let s3 = service == "s3";
    check_scope(&signature, request, service)?;
    // As on AWS, an unknown key is reported before a wrong signature.
    let (caller, secret) = match find_credentials(world, &signature, s3)? {
        Some(credentials) => credentials,
        None if s3 => {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            let error = AwsError::new(403, "InvalidAccessKeyId", message);
            return Err(error.with_element("AWSAccessKeyId", &signature.access_key_id));
        }
        None => return Err(invalid_token_error(s3)),
    };
    if !signature.is_signed_with(request, &secret) {
        let message = match s3 {
            true => {
                "The request signature we calculated does not match the signature you provided. Check your key and signing method."
            }
            false => {
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
            }
        };
        return Err(AwsError::new(403, "SignatureDoesNotMatch", message));
    }
    sigv4::verify_payload_hash(request)?;
    Ok((caller, Some(signature)))
}

/// Checks that the signature is for this service and covers all headers that have to be signed.
fn check_scope(
    signature: &RequestSignature,
    request: &AwsRequest,
    service: &str,
) -> Result<(), AwsError> {
    let s3 = service == "s3";
    if signature.service != service {
        return Err(match s3 {
            true => {
                let signed_service = &signature.service;
                let message = format!(
                    "The authorization header is malformed; incorrect service \"{signed_service}\". This endpoint belongs to \"s3\"."
                );
                AwsError::new(400, "AuthorizationHeaderMalformed", message)
            }
            false => {
                let message =
                    format!("Credential should be scoped to correct service: '{service}'. ");
                AwsError::new(403, "SignatureDoesNotMatch", message)
            }
        });
    }
    let unsigned = signature.unsigned_headers(request);
    if s3 && !unsigned.is_empty() {
        let message = "There were headers present in the request which were not signed";
        return Err(
            AwsError::access_denied(message).with_element("HeadersNotSigned", unsigned.join(", "))
        );
    }
    Ok(())
}

fn invalid_token_error(s3: bool) -> AwsError {
    match s3 {
        true => AwsError::new(
            400,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ),
        false => {
            let message = "The security token included in the request is invalid.";
            AwsError::new(403, "InvalidClientTokenId", message)
        }
    }
}

/// The caller that an access key belongs to, and the secret of the key.
fn find_credentials(
    world: &SimulatedWorld,
    signature: &RequestSignature,
    s3: bool,
) -> Result<Option<(Caller, String)>, AwsError> {
    let root = &world.aws.global;
    if let Some(key) = root.keys.get(&signature.access_key_id) {
        // Long-term keys have no session token.
        if signature.session_token.is_some() {
            return Err(invalid_token_error(s3));
        }
        let caller = Caller::User {
            account: key.account.clone(),
            name: key.user.clone(),
        };
        return Ok(Some((caller, key.secret.clone())));
    }
    let Some(session) = root.sessions.get(&signature.access_key_id) else {
        return Ok(None);
    };
    if signature.session_token.as_ref() != Some(&session.token) {
        return Err(invalid_token_error(s3));
    }
    if session.expires_ms <= world.now_ms {
        return Err(match s3 {
            true => AwsError::new(400, "ExpiredToken", "The provided token has expired."),
            false => AwsError::new(
                403,
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
        });
    }
    Ok(Some((
        Caller::AssumedRole(Box::new(session.clone())),
        session.secret.clone(),
    )))
}
