//! STS: who somebody is, and sessions of roles for those whom their trust policies let in.

use super::answer::Problem;
use super::iam::{Call, Role, provider_arn, texts};
use super::keys;
use super::policy::{self, Ask, Guard};
use super::who::{Session, Who};
use super::{identity, xml::Node};
use crate::clock;

const SESSION_MIN_S: i64 = 900;
const SESSION_MAX_S: i64 = 43_200;
const SESSION_DEFAULT_S: i64 = 3600;
/// A session that a session began lives no longer, whatever its role allows.
const CHAINED_MAX_S: i64 = 3600;
/// Sessions are forgotten so long after their end; until then they are known to have ended.
const REMEMBERED_MS: i64 = 86_400_000;

/// `GetCallerIdentity`: everybody may know who they are.
pub(crate) fn caller(call: &mut Call<'_>) -> Result<Node, Problem> {
    let id = match call.who {
        Who::Session(session) => format!("{}:{}", session.role_id, session.name),
        Who::User { name, .. } => {
            let user = call.look().and_then(|account| account.users.get(name));
            user.map(|user| user.id.clone()).unwrap_or_default()
        }
        Who::Anonymous => String::new(),
    };
    Ok(Node::new("")
        .text("Arn", call.who.arn())
        .text("UserId", id)
        .text("Account", call.who.account()))
}

/// What every way to assume a role asks for.
struct Wanted {
    account: String,
    role: Option<Role>,
    arn: String,
    name: String,
    seconds: i64,
    policy: Option<String>,
}

fn wanted(call: &Call<'_>) -> Result<Wanted, Problem> {
    let arn = call.need("RoleArn")?;
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws", "iam", "", account, path] = parts[..] else {
        return Err(Problem::validation(format!("{arn} is invalid")));
    };
    let name = call.need("RoleSessionName")?;
    texts::session_name(&name)?;
    let seconds = call
        .number("DurationSeconds", SESSION_MIN_S, SESSION_MAX_S)?
        .unwrap_or(SESSION_DEFAULT_S);
    let policy = call.query.get("Policy").map(str::to_owned);
    if let Some(text) = &policy {
        texts::session_policy(text)?;
        policy::identity(text)
            .map_err(|message| Problem::new(400, "MalformedPolicyDocument", message))?;
    }
    let there = call.world.aws.root.accounts.get(account);
    let role = there.and_then(|there| there.role(path.rsplit('/').next()?));
    let role = role.filter(|role| role.arn(account) == arn).cloned();
    let account = account.to_owned();
    Ok(Wanted {
        account,
        role,
        arn,
        name,
        seconds,
        policy,
    })
}

/// `AssumeRole`
pub(crate) fn assume(call: &mut Call<'_>) -> Result<Node, Problem> {
    let wanted = wanted(call)?;
    let action = "sts:AssumeRole";
    call.context.add("sts:RoleSessionName", &wanted.name);
    call.context
        .maybe("sts:ExternalId", call.query.get("ExternalId"));
    let ask = Ask {
        who: call.who,
        action,
        resource: &wanted.arn,
        context: &call.context,
    };
    let refused = || {
        let who = call.who.arn();
        let message = format!(
            "User: {who} is not authorized to perform: {action} on resource: {}",
            wanted.arn
        );
        Problem::denied(message)
    };
    let role = wanted.role.clone().ok_or_else(refused)?;
    let trust = policy::trust(&role.trust, |_| true).ok();
    let trust = trust
        .filter(|document| policy::trusts(document, &ask, None))
        .ok_or_else(refused)?;
    // The role lets the caller in; whether that is enough, the caller's own policies and limits say as well.
    let guard = Guard {
        account: wanted.account.clone(),
        policy: Some(trust),
        ..Guard::default()
    };
    let foreign = call.who.account() != wanted.account;
    policy::decide(call.world, &ask, &guard)
        .map_err(|problem| if foreign { refused() } else { problem })?;
    if matches!(call.who, Who::Session(_)) && wanted.seconds > CHAINED_MAX_S {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(Problem::validation(message));
    }
    begin(call, &wanted, &role, None)
}

/// `AssumeRoleWithWebIdentity`: no caller, but a token.
pub(crate) fn assume_with_token(call: &mut Call<'_>) -> Result<Node, Problem> {
    let wanted = wanted(call)?;
    let token = call.need("WebIdentityToken")?;
    let account = call.world.aws.root.accounts.get(&wanted.account);
    let provider = |issuer: &str| {
        account?
            .providers
            .get(&provider_arn(&wanted.account, issuer))
    };
    let claims = identity::check(call.world, &token, |issuer| provider(issuer).is_some())?;
    let clients = provider(&claims.iss)
        .map(|provider| provider.clients.clone())
        .unwrap_or_default();
    let audience = claims
        .audiences()
        .into_iter()
        .find(|aud| clients.iter().any(|client| client == aud));
    let audience = audience
        .ok_or_else(|| Problem::new(400, "InvalidIdentityToken", "Incorrect token audience"))?
        .to_owned();
    let arn = provider_arn(&wanted.account, &claims.iss);
    let key = claims.iss.strip_prefix("https://").unwrap_or(&claims.iss);
    call.context.add(&format!("{key}:aud"), &audience);
    call.context.add(&format!("{key}:sub"), &claims.sub);
    call.context.add("aws:FederatedProvider", &arn);
    call.context.add("sts:RoleSessionName", &wanted.name);
    let action = "sts:AssumeRoleWithWebIdentity";
    let ask = Ask {
        who: call.who,
        action,
        resource: &wanted.arn,
        context: &call.context,
    };
    // Who may not learns nothing, not even whether there is such a role.
    let refused = || Problem::denied(format!("Not authorized to perform {action}"));
    let role = wanted.role.clone().ok_or_else(refused)?;
    let trust = policy::trust(&role.trust, |_| true).ok();
    trust
        .filter(|document| policy::trusts(document, &ask, Some(&arn)))
        .ok_or_else(refused)?;
    let node = begin(call, &wanted, &role, Some(arn.clone()))?;
    let node = node
        .text("SubjectFromWebIdentityToken", &claims.sub)
        .text("Provider", arn);
    Ok(node.text("Audience", audience))
}

/// Begins a session.
fn begin(
    call: &mut Call<'_>,
    wanted: &Wanted,
    role: &Role,
    provider: Option<String>,
) -> Result<Node, Problem> {
    if wanted.seconds > role.max_session_s && call.query.get("DurationSeconds").is_some() {
        let message =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Problem::validation(message));
    }
    let now = call.world.now;
    let session = Session {
        secret: keys::secret(call.world),
        token: keys::token(call.world),
        account: wanted.account.clone(),
        role: role.name.clone(),
        role_id: role.id.clone(),
        path: role.path.clone(),
        name: wanted.name.clone(),
        begun_ms: now,
        expires_ms: now + wanted.seconds * 1000,
        provider,
        policy: wanted.policy.clone(),
    };
    let key = keys::unique(call.world, "ASIA");
    let credentials = Node::new("Credentials")
        .text("AccessKeyId", &key)
        .text("SecretAccessKey", &session.secret);
    let credentials = credentials.text("SessionToken", &session.token);
    let credentials = credentials.text("Expiration", clock::seconds(session.expires_ms));
    let user =
        Node::new("AssumedRoleUser").text("AssumedRoleId", format!("{}:{}", role.id, wanted.name));
    let user = user.text("Arn", Who::Session(Box::new(session.clone())).arn());
    let root = &mut call.world.aws.root;
    root.sessions
        .retain(|_, session| session.expires_ms + REMEMBERED_MS > now);
    root.sessions.insert(key, session);
    let roles = &mut call.world.aws.account(&wanted.account).roles;
    if let Some(role) = roles.get_mut(&role.name.to_lowercase()) {
        role.used_ms = Some(now);
    }
    Ok(Node::new("").with(credentials).with(user))
}
