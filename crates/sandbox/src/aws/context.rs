//! What policies may ask about any request, whatever it is about.

use super::policy::Context;
use super::request::Request;
use super::who::{Session, Who};
use crate::clock;
use crate::world::World;

/// What is known of every request. Loopback counts as safe, unless a proxy says that it was not.
pub(crate) fn common(world: &World, request: &Request, who: &Who, region: &str) -> Context {
    let mut context = Context::default();
    let plain = request.header("x-forwarded-proto") == Some("http");
    context.add("aws:SecureTransport", (!plain).to_string());
    context.add("aws:SourceIp", "127.0.0.1");
    context.add("aws:CurrentTime", clock::seconds(world.now));
    context.add("aws:EpochTime", world.now.div_euclid(1000).to_string());
    context.add("aws:RequestedRegion", region);
    context.maybe("aws:UserAgent", request.header("user-agent"));
    context.maybe("aws:Referer", request.header("referer"));
    context.add("aws:PrincipalIsAWSService", "false");
    context.add("aws:ViaAWSService", "false");
    match who {
        Who::Anonymous => context.add("aws:PrincipalType", "Anonymous"),
        Who::User { account, name } => {
            context.add("aws:PrincipalType", "User");
            context.add("aws:PrincipalAccount", account);
            context.add("aws:PrincipalArn", who.arn());
            context.add("aws:username", name);
            let user = world
                .aws
                .root
                .accounts
                .get(account)
                .and_then(|account| account.users.get(name));
            context.maybe("aws:userid", user.map(|user| &user.id));
        }
        Who::Session(session) => of_session(world, session, &mut context),
    }
    context
}

fn of_session(world: &World, session: &Session, context: &mut Context) {
    context.add("aws:PrincipalType", "AssumedRole");
    context.add("aws:PrincipalAccount", &session.account);
    context.add("aws:PrincipalArn", session.role_arn());
    context.add(
        "aws:userid",
        format!("{}:{}", session.role_id, session.name),
    );
    context.add("aws:TokenIssueTime", clock::seconds(session.begun_ms));
    context.add("aws:MultiFactorAuthPresent", "false");
    context.maybe("aws:FederatedProvider", session.provider.as_ref());
    let account = world.aws.root.accounts.get(&session.account);
    let role = account
        .and_then(|account| account.role(&session.role))
        .filter(|role| role.id == session.role_id);
    for (key, value) in role.into_iter().flat_map(|role| &role.tags) {
        context.add(&format!("aws:PrincipalTag/{key}"), value);
    }
}
