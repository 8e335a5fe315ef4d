//! Who is asking: access keys of users, and the sessions of roles.

use serde::{Deserialize, Serialize};

use super::request::AwsRequest;
use super::response::AwsError;
use super::sigv4::{self, RequestSignature};
use crate::world::SimulatedWorld;

/// A user's access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAccessKey {
    pub(crate) secret: String,
    pub(crate) account: String,
    pub(crate) user: String,
}

/// What a role was assumed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleSession {
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) account: String,
    /// The role's name as the account keeps it, and its identifier: a role of the same name made later is another.
    pub(crate) role: String,
    pub(crate) role_id: String,
    pub(crate) path: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) begun_ms: i64,
    pub(crate) expires_ms: i64,
    /// Whose token it was begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// What was passed when it was assumed; it can only narrow the role's rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
}

impl RoleSession {
    /// The role behind it.
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
    /// Nobody signed.
    Anonymous,
    /// A user.
    User {
        /// Its account.
        account: String,
        /// Its name.
        name: String,
    },
    /// Somebody who assumed a role.
    AssumedRole(Box<RoleSession>),
}

impl Caller {
    /// The caller's account; strangers have none.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::User { account, .. } => account,
            Self::AssumedRole(session) => &session.account,
        }
    }

    /// How the caller is called in policies and messages.
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

/// Finds out who asks, and where the request was signed for.
///
/// # Errors
/// As S3 and the query protocol each word them, when the signature does not hold.
pub(crate) fn authenticate(
    world: &SimulatedWorld,
    request: &AwsRequest,
    service: &str,
) -> Result<(Caller, Option<RequestSignature>), AwsError> {
    let Some(claim) = sigv4::parse_signature(request)? else {
        return Ok((Caller::Anonymous, None));
    };
    let s3 = service == "s3";
    check_scope(&claim, request, service)?;
    let (who, secret) = match find_credentials(world, &claim, s3)? {
        Some(found) => found,
        None if s3 => {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            let problem = AwsError::new(403, "InvalidAccessKeyId", message);
            return Err(problem.with_element("AWSAccessKeyId", &claim.access_key_id));
        }
        None => return Err(invalid_token_error(s3)),
    };
    if !claim.is_signed_with(request, &secret) {
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
    Ok((who, Some(claim)))
}

/// Holds a claim to the service that it is for, and to what it must cover.
fn check_scope(
    claim: &RequestSignature,
    request: &AwsRequest,
    service: &str,
) -> Result<(), AwsError> {
    let s3 = service == "s3";
    if claim.service != service {
        return Err(match s3 {
            true => {
                let said = &claim.service;
                let message = format!(
                    "The authorization header is malformed; incorrect service \"{said}\". This endpoint belongs to \"s3\"."
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
    let loose = claim.unsigned_headers(request);
    if s3 && !loose.is_empty() {
        let message = "There were headers present in the request which were not signed";
        return Err(
            AwsError::access_denied(message).with_element("HeadersNotSigned", loose.join(", "))
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

/// The holder of a key and its secret.
fn find_credentials(
    world: &SimulatedWorld,
    claim: &RequestSignature,
    s3: bool,
) -> Result<Option<(Caller, String)>, AwsError> {
    let root = &world.aws.global;
    if let Some(key) = root.keys.get(&claim.access_key_id) {
        if claim.session_token.is_some() {
            return Err(invalid_token_error(s3));
        }
        let who = Caller::User {
            account: key.account.clone(),
            name: key.user.clone(),
        };
        return Ok(Some((who, key.secret.clone())));
    }
    let Some(session) = root.sessions.get(&claim.access_key_id) else {
        return Ok(None);
    };
    if claim.session_token.as_ref() != Some(&session.token) {
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
