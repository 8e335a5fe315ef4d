//! The global condition keys (`aws:…`), which every request has whatever service it is for.

use super::caller::{Caller, RoleSession};
use super::policy::RequestContext;
use super::request::AwsRequest;
use crate::clock;
use crate::world::SimulatedWorld;

/// The values of the global condition keys.
///
/// The sandbox listens on loopback without TLS. Policies that require `aws:SecureTransport` would deny
/// everything, so requests count as secure unless `x-forwarded-proto` says `http`.
pub(crate) fn build_global_context(
    world: &SimulatedWorld,
    request: &AwsRequest,
    caller: &Caller,
    region: &str,
) -> RequestContext {
    let mut context = RequestContext::default();
    let is_plain_http = request.header("x-forwarded-proto") == Some("http");
    context.add("aws:SecureTransport", (!is_plain_http).to_string());
    context.add("aws:SourceIp", "127.0.0.1");
    context.add("aws:CurrentTime", clock::format_seconds(world.now_ms));
    context.add("aws:EpochTime", world.now_ms.div_euclid(1000).to_string());
    context.add("aws:RequestedRegion", region);
    context.add_optional("aws:UserAgent", request.header("user-agent"));
    context.add_optional("aws:Referer", request.header("referer"));
    context.add("aws:PrincipalIsAWSService", "false");
    context.add("aws:ViaAWSService", "false");
    match caller {
        Caller::Anonymous => context.add("aws:PrincipalType", "Anonymous"),
        Caller::User { account, name } => {
            context.add("aws:PrincipalType", "User");
            context.add("aws:PrincipalAccount", account);
            context.add("aws:PrincipalArn", caller.arn());
            context.add("aws:username", name);
            let user = world
                .aws
                .global
                .accounts
                .get(account)
                .and_then(|account| account.users.get(name));
            context.add_optional("aws:userid", user.map(|user| &user.id));
        }
        Caller::AssumedRole(session) => add_session_keys(world, session, &mut context),
    }
    context
}

fn add_session_keys(world: &SimulatedWorld, session: &RoleSession, context: &mut RequestContext) {
    context.add("aws:PrincipalType", "AssumedRole");
    context.add("aws:PrincipalAccount", &session.account);
    context.add("aws:PrincipalArn", session.role_arn());
    context.add(
        "aws:userid",
        format!("{}:{}", session.role_id, session.name),
    );
    context.add(
        "aws:TokenIssueTime",
        clock::format_seconds(session.begun_ms),
    );
    context.add("aws:MultiFactorAuthPresent", "false");
    context.add_optional("aws:FederatedProvider", session.provider.as_ref());
    let account = world.aws.global.accounts.get(&session.account);
    let role = account
        .and_then(|account| account.find_role(&session.role))
        .filter(|role| role.id == session.role_id);
    for (key, value) in role.into_iter().flat_map(|role| &role.tags) {
        context.add(&format!("aws:PrincipalTag/{key}"), value);
    }
}
