//! STS: who somebody is, and sessions of roles for those whom their trust policies let in.

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
/// A session that a session began lives no longer, whatever its role allows.
const CHAINED_SESSION_MAX_S: i64 = 3600;
/// Sessions are forgotten so long after their end; until then they are known to have ended.
const EXPIRED_SESSION_RETENTION_MS: i64 = 86_400_000;

/// `GetCallerIdentity`: everybody may know who they are.
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

/// What every way to assume a role asks for.
struct AssumeRoleRequest {
    account: String,
    role: Option<IamRole>,
    role_arn: String,
    session_name: String,
    duration_s: i64,
    session_policy: Option<String>,
}

fn parse_assume_role_request(call: &QueryCall<'_>) -> Result<AssumeRoleRequest, AwsError> {
    let arn = call.require("RoleArn")?;
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws", "iam", "", account, path] = parts[..] else {
        return Err(AwsError::validation_error(format!("{arn} is invalid")));
    };
    let name = call.require("RoleSessionName")?;
    validation::check_session_name(&name)?;
    let seconds = call
        .optional_number("DurationSeconds", SESSION_MIN_S, SESSION_MAX_S)?
        .unwrap_or(SESSION_DEFAULT_S);
    let policy = call.query.get("Policy").map(str::to_owned);
    if let Some(text) = &policy {
        validation::check_session_policy(text)?;
        policy::parse_identity_policy(text)
            .map_err(|message| AwsError::new(400, "MalformedPolicyDocument", message))?;
    }
    let there = call.world.aws.global.accounts.get(account);
    let role = there.and_then(|there| there.find_role(path.rsplit('/').next()?));
    let role = role.filter(|role| role.arn(account) == arn).cloned();
    let account = account.to_owned();
    Ok(AssumeRoleRequest {
        account,
        role,
        role_arn: arn,
        session_name: name,
        duration_s: seconds,
        session_policy: policy,
    })
}

/// `AssumeRole`
pub(crate) fn assume_role(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let wanted = parse_assume_role_request(call)?;
    let action = "sts:AssumeRole";
    call.context
        .add("sts:RoleSessionName", &wanted.session_name);
    call.context
        .add_optional("sts:ExternalId", call.query.get("ExternalId"));
    let ask = AuthorizationRequest {
        caller: call.caller,
        action,
        resource: &wanted.role_arn,
        context: &call.context,
    };
    let refused = || {
        let who = call.caller.arn();
        let message = format!(
            "User: {who} is not authorized to perform: {action} on resource: {}",
            wanted.role_arn
        );
        AwsError::access_denied(message)
    };
    let role = wanted.role.clone().ok_or_else(refused)?;
    let trust = policy::parse_trust_policy(&role.trust, |_| true).ok();
    let trust = trust
        .filter(|document| policy::trust_policy_allows(document, &ask, None))
        .ok_or_else(refused)?;
    // The role lets the caller in; whether that is enough, the caller's own policies and limits say as well.
    let guard = ResourcePolicy {
        owner_account: wanted.account.clone(),
        document: Some(trust),
        ..ResourcePolicy::default()
    };
    let foreign = call.caller.account() != wanted.account;
    policy::authorize(call.world, &ask, &guard)
        .map_err(|problem| if foreign { refused() } else { problem })?;
    if matches!(call.caller, Caller::AssumedRole(_)) && wanted.duration_s > CHAINED_SESSION_MAX_S {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(AwsError::validation_error(message));
    }
    create_session(call, &wanted, &role, None)
}

/// `AssumeRoleWithWebIdentity`: no caller, but a token.
pub(crate) fn assume_role_with_web_identity(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let wanted = parse_assume_role_request(call)?;
    let token = call.require("WebIdentityToken")?;
    let account = call.world.aws.global.accounts.get(&wanted.account);
    let provider = |issuer: &str| {
        account?
            .providers
            .get(&provider_arn(&wanted.account, issuer))
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
    let arn = provider_arn(&wanted.account, &claims.iss);
    let key = claims.iss.strip_prefix("https://").unwrap_or(&claims.iss);
    call.context.add(&format!("{key}:aud"), &audience);
    call.context.add(&format!("{key}:sub"), &claims.sub);
    call.context.add("aws:FederatedProvider", &arn);
    call.context
        .add("sts:RoleSessionName", &wanted.session_name);
    let action = "sts:AssumeRoleWithWebIdentity";
    let ask = AuthorizationRequest {
        caller: call.caller,
        action,
        resource: &wanted.role_arn,
        context: &call.context,
    };
    // Who may not learns nothing, not even whether there is such a role.
    let refused = || AwsError::access_denied(format!("Not authorized to perform {action}"));
    let role = wanted.role.clone().ok_or_else(refused)?;
    let trust = policy::parse_trust_policy(&role.trust, |_| true).ok();
    trust
        .filter(|document| policy::trust_policy_allows(document, &ask, Some(&arn)))
        .ok_or_else(refused)?;
    let node = create_session(call, &wanted, &role, Some(arn.clone()))?;
    let node = node
        .with_text("SubjectFromWebIdentityToken", &claims.sub)
        .with_text("Provider", arn);
    Ok(node.with_text("Audience", audience))
}

/// Begins a session.
fn create_session(
    call: &mut QueryCall<'_>,
    wanted: &AssumeRoleRequest,
    role: &IamRole,
    provider: Option<String>,
) -> Result<XmlNode, AwsError> {
    if wanted.duration_s > role.max_session_s && call.query.get("DurationSeconds").is_some() {
        let message =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(AwsError::validation_error(message));
    }
    let now = call.world.now_ms;
    let session = RoleSession {
        secret: access_keys::generate_secret(call.world),
        token: access_keys::generate_session_token(call.world),
        account: wanted.account.clone(),
        role: role.name.clone(),
        role_id: role.id.clone(),
        path: role.path.clone(),
        name: wanted.session_name.clone(),
        begun_ms: now,
        expires_ms: now + wanted.duration_s * 1000,
        provider,
        policy: wanted.session_policy.clone(),
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
        format!("{}:{}", role.id, wanted.session_name),
    );
    let user = user.with_text("Arn", Caller::AssumedRole(Box::new(session.clone())).arn());
    let root = &mut call.world.aws.global;
    root.sessions
        .retain(|_, session| session.expires_ms + EXPIRED_SESSION_RETENTION_MS > now);
    root.sessions.insert(key, session);
    let roles = &mut call.world.aws.account_mut(&wanted.account).roles;
    if let Some(role) = roles.get_mut(&role.name.to_lowercase()) {
        role.used_ms = Some(now);
    }
    Ok(XmlNode::new("").with_child(credentials).with_child(user))
}
