//! STS: `GetCallerIdentity`, `AssumeRole` and `AssumeRoleWithWebIdentity`.

use super::access_keys;
use super::caller::{Caller, RoleSession};
use super::iam::{IamRole, QueryCall, provider_arn, validation};
use super::policy::{self, AuthorizationRequest, ResourcePolicy};
use super::response::AwsError;
use super::{identity, xml::XmlNode};
use crate::clock;

const SESSION_MIN_S: i64 = 900;
const SESSION_MAX_S: i64 = 43_200;
const SESSION_DEFAULT_S: i64 = 3600;
/// The longest session under role chaining, whatever the role's maximum is.
const CHAINED_SESSION_MAX_S: i64 = 3600;
/// How long expired sessions are kept. Until then their keys get `ExpiredToken` instead of an unknown
/// key error.
const EXPIRED_SESSION_RETENTION_MS: i64 = 86_400_000;

/// `GetCallerIdentity`, which needs no permission.
pub(crate) fn get_caller_identity(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let id = match call.caller {
        Caller::AssumedRole(session) => format!("{}:{}", session.role_id, session.name),
        Caller::User { name, .. } => {
            let user = call
                .account_state()
                .and_then(|account| account.users.get(name));
            user.map(|user| user.id.clone()).unwrap_or_default()
        }
        Caller::Anonymous => String::new(),
    };
    Ok(XmlNode::new("")
        .with_text("Arn", call.caller.arn())
        .with_text("UserId", id)
        .with_text("Account", call.caller.account()))
}

/// The parameters that all ways to assume a role have in common.
struct AssumeRoleRequest {
    account: String,
    role: Option<IamRole>,
    role_arn: String,
    session_name: String,
    duration_s: i64,
    session_policy: Option<String>,
}

fn parse_assume_role_request(call: &QueryCall<'_>) -> Result<AssumeRoleRequest, AwsError> {
    let role_arn = call.require("RoleArn")?;
    let parts: Vec<&str> = role_arn.splitn(6, ':').collect();
    let ["arn", "aws", "iam", "", account, path] = parts[..] else {
        return Err(AwsError::validation_error(format!("{role_arn} is invalid")));
    };
    let session_name = call.require("RoleSessionName")?;
    validation::check_session_name(&session_name)?;
    let duration_s = call
        .optional_number("DurationSeconds", SESSION_MIN_S, SESSION_MAX_S)?
        .unwrap_or(SESSION_DEFAULT_S);
    let session_policy = call.query.get("Policy").map(str::to_owned);
    if let Some(text) = &session_policy {
        validation::check_session_policy(text)?;
        policy::parse_identity_policy(text).map_err(AwsError::malformed_policy_document)?;
    }
    let account_state = call.world.aws.global.accounts.get(account);
    let role =
        account_state.and_then(|account_state| account_state.find_role(path.rsplit('/').next()?));
    // The path belongs to the ARN: a role found by name can still be another one.
    let role = role.filter(|role| role.arn(account) == role_arn).cloned();
    let account = account.to_owned();
    Ok(AssumeRoleRequest {
        account,
        role,
        role_arn,
        session_name,
        duration_s,
        session_policy,
    })
}

/// `AssumeRole`
pub(crate) fn assume_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let parameters = parse_assume_role_request(call)?;
    let action = "sts:AssumeRole";
    call.context
        .add("sts:RoleSessionName", &parameters.session_name);
    call.context
        .add_optional("sts:ExternalId", call.query.get("ExternalId"));
    let request = AuthorizationRequest {
        caller: call.caller,
        action,
        resource: &parameters.role_arn,
        context: &call.context,
    };
    let access_denied = || {
        let caller_arn = call.caller.arn();
        let message = format!(
            "User: {caller_arn} is not authorized to perform: {action} on resource: {}",
            parameters.role_arn
        );
        AwsError::access_denied(message)
    };
    let role = parameters.role.clone().ok_or_else(access_denied)?;
    let trust_document = policy::parse_trust_policy(&role.trust, |_| true).ok();
    let trust_document = trust_document
        .filter(|document| policy::trust_policy_allows(document, &request, None))
        .ok_or_else(access_denied)?;
    // The trust policy is the resource-based policy of a role. Whether it suffices depends on the
    // caller's own policies, boundary and session policy too, exactly as for a bucket policy.
    let resource_policy = ResourcePolicy {
        owner_account: parameters.account.clone(),
        document: Some(trust_document),
        ..ResourcePolicy::default()
    };
    let is_cross_account = call.caller.account() != parameters.account;
    // Across accounts the error does not reveal which policy denied the request.
    policy::authorize(call.world, &request, &resource_policy).map_err(|error| {
        if is_cross_account {
            access_denied()
        } else {
            error
        }
    })?;
    if matches!(call.caller, Caller::AssumedRole(_))
        && parameters.duration_s > CHAINED_SESSION_MAX_S
    {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(AwsError::validation_error(message));
    }
    create_session(call, &parameters, &role, None)
}

/// `AssumeRoleWithWebIdentity`: the request is unsigned, the token proves the identity.
pub(crate) fn assume_role_with_web_identity(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let parameters = parse_assume_role_request(call)?;
    let token = call.require("WebIdentityToken")?;
    let account = call.world.aws.global.accounts.get(&parameters.account);
    let provider = |issuer: &str| {
        account?
            .providers
            .get(&provider_arn(&parameters.account, issuer))
    };
    let claims = identity::verify_token(call.world, &token, |issuer| provider(issuer).is_some())?;
    let clients = provider(&claims.iss)
        .map(|provider| provider.clients.clone())
        .unwrap_or_default();
    let audience = claims
        .audiences()
        .into_iter()
        .find(|aud| clients.iter().any(|client| client == aud));
    let audience = audience
        .ok_or_else(|| AwsError::new(400, "InvalidIdentityToken", "Incorrect token audience"))?
        .to_owned();
    let provider_arn = provider_arn(&parameters.account, &claims.iss);
    // The condition keys of a provider begin with its URL, as in `oidc.fly.io/acme:sub`.
    let issuer = claims.iss.strip_prefix("https://").unwrap_or(&claims.iss);
    call.context.add(&format!("{issuer}:aud"), &audience);
    call.context.add(&format!("{issuer}:sub"), &claims.sub);
    call.context.add("aws:FederatedProvider", &provider_arn);
    call.context
        .add("sts:RoleSessionName", &parameters.session_name);
    let action = "sts:AssumeRoleWithWebIdentity";
    let request = AuthorizationRequest {
        caller: call.caller,
        action,
        resource: &parameters.role_arn,
        context: &call.context,
    };
    // The error does not reveal whether the role exists.
    let access_denied = || AwsError::access_denied(format!("Not authorized to perform {action}"));
    let role = parameters.role.clone().ok_or_else(access_denied)?;
    let trust_document = policy::parse_trust_policy(&role.trust, |_| true).ok();
    trust_document
        .filter(|document| policy::trust_policy_allows(document, &request, Some(&provider_arn)))
        .ok_or_else(access_denied)?;
    let node = create_session(call, &parameters, &role, Some(provider_arn.clone()))?;
    let node = node
        .with_text("SubjectFromWebIdentityToken", &claims.sub)
        .with_text("Provider", provider_arn);
    Ok(node.with_text("Audience", audience))
}

/// Creates a session of `role` and returns the elements of the response that all ways share.
fn create_session(
    call: &mut QueryCall<'_>,
    parameters: &AssumeRoleRequest,
    role: &IamRole,
    provider: Option<String>,
) -> Result<XmlNode, AwsError> {
    if parameters.duration_s > role.max_session_s && call.query.get("DurationSeconds").is_some() {
        let message =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(AwsError::validation_error(message));
    }
    let now = call.world.now_ms;
    let session = RoleSession {
        secret: access_keys::generate_secret(call.world),
        token: access_keys::generate_session_token(call.world),
        account: parameters.account.clone(),
        role: role.name.clone(),
        role_id: role.id.clone(),
        path: role.path.clone(),
        name: parameters.session_name.clone(),
        begun_ms: now,
        expires_ms: now + parameters.duration_s * 1000,
        provider,
        policy: parameters.session_policy.clone(),
    };
    let key = access_keys::generate_unique_id(call.world, "ASIA");
    let credentials = XmlNode::new("Credentials")
        .with_text("AccessKeyId", &key)
        .with_text("SecretAccessKey", &session.secret);
    let credentials = credentials.with_text("SessionToken", &session.token);
    let credentials =
        credentials.with_text("Expiration", clock::format_seconds(session.expires_ms));
    let user = XmlNode::new("AssumedRoleUser").with_text(
        "AssumedRoleId",
        format!("{}:{}", role.id, parameters.session_name),
    );
    let user = user.with_text("Arn", Caller::AssumedRole(Box::new(session.clone())).arn());
    let root = &mut call.world.aws.global;
    root.sessions
        .retain(|_, session| session.expires_ms + EXPIRED_SESSION_RETENTION_MS > now);
    root.sessions.insert(key, session);
    let roles = &mut call.world.aws.account_mut(&parameters.account).roles;
    if let Some(role) = roles.get_mut(&role.name.to_lowercase()) {
        role.used_ms = Some(now);
    }
    Ok(XmlNode::new("").with_child(credentials).with_child(user))
}
