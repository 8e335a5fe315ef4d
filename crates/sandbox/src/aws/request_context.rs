//! What policies may ask about any request, whatever it is about.

use super::caller::{Caller, RoleSession};
use super::policy::RequestContext;
use super::request::AwsRequest;
use crate::clock;
use crate::world::SimulatedWorld;

/// What is known of every request. Loopback counts as safe, unless a proxy says that it was not.
pub(crate) fn build_global_context(
    world: &SimulatedWorld,
    request: &AwsRequest,
    who: &Caller,
    region: &str,
) -> RequestContext {
    let mut context = RequestContext::default();
    let plain = request.header("x-forwarded-proto") == Some("http");
    context.add("aws:SecureTransport", (!plain).to_string());
    context.add("aws:SourceIp", "127.0.0.1");
    context.add("aws:CurrentTime", clock::format_seconds(world.now_ms));
    context.add("aws:EpochTime", world.now_ms.div_euclid(1000).to_string());
    context.add("aws:RequestedRegion", region);
    context.add_optional("aws:UserAgent", request.header("user-agent"));
    context.add_optional("aws:Referer", request.header("referer"));
    context.add("aws:PrincipalIsAWSService", "false");
    context.add("aws:ViaAWSService", "false");
    match who {
        Caller::Anonymous => context.add("aws:PrincipalType", "Anonymous"),
        Caller::User { account, name } => {
            context.add("aws:PrincipalType", "User");
            context.add("aws:PrincipalAccount", account);
            context.add("aws:PrincipalArn", who.arn());
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
