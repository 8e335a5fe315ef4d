//! Which action does what, and on which resource it needs a right.

use super::query::{Call, Query};
use super::{boundaries, managed, providers, role_policies, roles, tags};
use crate::aws::answer::Problem;
use crate::aws::context::common;
use crate::aws::policy::{self, Ask, Guard};
use crate::aws::request::Request;
use crate::aws::xml::Node;
use crate::aws::{sts, who};
use crate::world::World;

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// `RoleName`
    Role,
    /// All roles below `PathPrefix`.
    Roles,
    /// A provider by `OpenIDConnectProviderArn`, or by the `Url` that it will have.
    Provider,
    /// `PolicyArn`, or the name that it will have.
    Policy,
    /// STS decides for itself.
    Nothing,
}

type Run = fn(&mut Call<'_>) -> Result<Node, Problem>;

use About::{Nothing, Policy, Provider, Roles};

const IAM: &[(&str, About, Run)] = &[
    ("CreateRole", About::Role, roles::create),
    ("GetRole", About::Role, roles::get),
    ("ListRoles", Roles, roles::list),
    ("UpdateRole", About::Role, roles::update),
    ("UpdateAssumeRolePolicy", About::Role, roles::update_trust),
    ("DeleteRole", About::Role, roles::delete),
    (
        "ListInstanceProfilesForRole",
        About::Role,
        roles::instance_profiles,
    ),
    ("PutRolePolicy", About::Role, role_policies::put),
    ("GetRolePolicy", About::Role, role_policies::get),
    ("ListRolePolicies", About::Role, role_policies::list),
    ("DeleteRolePolicy", About::Role, role_policies::delete),
    (
        "ListAttachedRolePolicies",
        About::Role,
        role_policies::attached,
    ),
    ("AttachRolePolicy", About::Role, role_policies::attach),
    ("DetachRolePolicy", About::Role, role_policies::detach),
    ("PutRolePermissionsBoundary", About::Role, boundaries::put),
    (
        "DeleteRolePermissionsBoundary",
        About::Role,
        boundaries::delete,
    ),
    ("TagRole", About::Role, tags::tag_role),
    ("UntagRole", About::Role, tags::untag_role),
    ("ListRoleTags", About::Role, tags::of_role),
    ("CreateOpenIDConnectProvider", Provider, providers::create),
    ("GetOpenIDConnectProvider", Provider, providers::get),
    ("ListOpenIDConnectProviders", Provider, providers::list),
    ("DeleteOpenIDConnectProvider", Provider, providers::delete),
    (
        "AddClientIDToOpenIDConnectProvider",
        Provider,
        providers::add_client,
    ),
    (
        "RemoveClientIDFromOpenIDConnectProvider",
        Provider,
        providers::remove_client,
    ),
    (
        "UpdateOpenIDConnectProviderThumbprint",
        Provider,
        providers::update_thumbprints,
    ),
    ("TagOpenIDConnectProvider", Provider, tags::tag_provider),
    ("UntagOpenIDConnectProvider", Provider, tags::untag_provider),
    ("ListOpenIDConnectProviderTags", Provider, tags::of_provider),
    ("CreatePolicy", Policy, managed::create),
    ("GetPolicy", Policy, managed::get),
    ("DeletePolicy", Policy, managed::delete),
];

const STS: &[(&str, About, Run)] = &[
    ("GetCallerIdentity", Nothing, sts::caller),
    ("AssumeRole", Nothing, sts::assume),
    ("AssumeRoleWithWebIdentity", Nothing, sts::assume_with_token),
];

/// Does an action of IAM or STS.
///
/// # Errors
/// What AWS answers instead.
pub(crate) fn run(world: &mut World, query: &Query, request: &Request) -> Result<Node, Problem> {
    let actions = if query.sts { STS } else { IAM };
    let found = actions.iter().find(|(name, ..)| *name == query.action);
    let open = query.sts && query.action == "AssumeRoleWithWebIdentity";
    let (who, claim) = match open {
        true => (who::Who::Anonymous, None),
        false => who::authenticate(world, request, if query.sts { "sts" } else { "iam" })?,
    };
    if who == who::Who::Anonymous && !open {
        let message = "Request is missing Authentication Token";
        return Err(Problem::new(403, "MissingAuthenticationToken", message));
    }
    // On AWS, IAM only takes `us-east-1`; clients that are given an address sign for the region that they are given.
    let region = claim.map(|claim| claim.region).unwrap_or_default();
    let (_, about, run) = found.ok_or_else(|| {
        let message = format!(
            "Could not find operation {} in this imitation",
            query.action
        );
        Problem::new(400, "InvalidAction", message)
    })?;
    let mut context = common(world, request, &who, &region);
    for (key, value) in query.tags() {
        context.add(&format!("aws:RequestTag/{key}"), value);
        context.add("aws:TagKeys", key);
    }
    for key in query.list("TagKeys") {
        context.add("aws:TagKeys", key);
    }
    let account = who.account().to_owned();
    let mut call = Call {
        world,
        query,
        who: &who,
        account,
        context,
    };
    if *about != Nothing {
        allow(&mut call, *about)?;
    }
    run(&mut call)
}

/// Whether the caller may, by its own policies: nothing in IAM has a policy that opens it to others.
fn allow(call: &mut Call<'_>, about: About) -> Result<(), Problem> {
    let account = call.account.clone();
    let get = |name: &str| call.query.get(name).unwrap_or_default();
    let mut boundary = call.query.get("PermissionsBoundary").map(str::to_owned);
    let mut tags = Vec::new();
    let resource = match about {
        About::Role => {
            let name = get("RoleName");
            let there = call.seen().and_then(|account| account.role(name).cloned());
            if call.query.action != "CreateRole"
                && call.query.action != "PutRolePermissionsBoundary"
            {
                boundary = there.as_ref().and_then(|role| role.boundary.clone());
            }
            tags = there
                .as_ref()
                .map(|role| role.tags.clone())
                .unwrap_or_default();
            let path = call.query.get("Path").unwrap_or("/");
            there.map_or_else(
                || format!("arn:aws:iam::{account}:role{path}{name}"),
                |role| role.arn(&account),
            )
        }
        Roles => format!(
            "arn:aws:iam::{account}:role{}",
            call.query.get("PathPrefix").unwrap_or("/")
        ),
        Provider if !get("Url").is_empty() => providers::arn(&account, get("Url")),
        Provider if get("OpenIDConnectProviderArn").is_empty() => {
            format!("arn:aws:iam::{account}:oidc-provider/*")
        }
        Provider => {
            let arn = get("OpenIDConnectProviderArn").to_owned();
            let there = call.seen();
            let there = there
                .as_ref()
                .and_then(|account| account.providers.get(&arn));
            tags = there
                .map(|provider| provider.tags.clone())
                .unwrap_or_default();
            arn
        }
        Policy if !get("PolicyArn").is_empty() => get("PolicyArn").to_owned(),
        Policy => format!(
            "arn:aws:iam::{account}:policy{}{}",
            call.query.get("Path").unwrap_or("/"),
            get("PolicyName")
        ),
        Nothing => "*".to_owned(),
    };
    call.context.maybe("iam:PermissionsBoundary", boundary);
    call.context
        .maybe("iam:PolicyARN", call.query.get("PolicyArn"));
    for (key, value) in tags {
        call.context.add(&format!("aws:ResourceTag/{key}"), &value);
        call.context.add(&format!("iam:ResourceTag/{key}"), value);
    }
    let mut actions = vec![call.query.action.clone()];
    if matches!(
        actions[0].as_str(),
        "CreateRole" | "CreateOpenIDConnectProvider"
    ) && !call.query.tags().is_empty()
    {
        // Whatever is made with tags is also tagged.
        actions.push(actions[0].replace("Create", "Tag"));
    }
    if actions[0] == "CreateRole" && call.query.get("PermissionsBoundary").is_some() {
        actions.push("PutRolePermissionsBoundary".to_owned());
    }
    let guard = Guard {
        account,
        ..Guard::default()
    };
    for action in actions {
        let action = format!("iam:{action}");
        let ask = Ask {
            who: call.who,
            action: &action,
            resource: &resource,
            context: &call.context,
        };
        policy::decide(call.world, &ask, &guard)?;
    }
    Ok(())
}
