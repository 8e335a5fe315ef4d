//! Which action does what, and on which resource it needs a right.

use super::query::{QueryCall, QueryRequest};
use super::{managed_policies, oidc_providers, permissions_boundary, role_policies, roles, tags};
use crate::aws::policy::{self, AuthorizationRequest, ResourcePolicy};
use crate::aws::request::AwsRequest;
use crate::aws::request_context::build_global_context;
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::aws::{caller, sts};
use crate::world::SimulatedWorld;

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActionTarget {
    /// `RoleName`
    Role,
    /// All roles below `PathPrefix`.
    RolePath,
    /// A provider by `OpenIDConnectProviderArn`, or by the `Url` that it will have.
    OidcProvider,
    /// `PolicyArn`, or the name that it will have.
    ManagedPolicy,
    /// STS decides for itself.
    AuthorizedByHandler,
}

type QueryHandler = fn(&mut QueryCall<'_>) -> Result<XmlNode, AwsError>;

use ActionTarget::{AuthorizedByHandler, ManagedPolicy, OidcProvider, RolePath};

const IAM_ACTIONS: &[(&str, ActionTarget, QueryHandler)] = &[
    ("CreateRole", ActionTarget::Role, roles::create),
    ("GetRole", ActionTarget::Role, roles::get),
    ("ListRoles", RolePath, roles::list),
    ("UpdateRole", ActionTarget::Role, roles::update),
    (
        "UpdateAssumeRolePolicy",
        ActionTarget::Role,
        roles::update_trust,
    ),
    ("DeleteRole", ActionTarget::Role, roles::delete),
    (
        "ListInstanceProfilesForRole",
        ActionTarget::Role,
        roles::list_instance_profiles,
    ),
    ("PutRolePolicy", ActionTarget::Role, role_policies::put),
    ("GetRolePolicy", ActionTarget::Role, role_policies::get),
    ("ListRolePolicies", ActionTarget::Role, role_policies::list),
    (
        "DeleteRolePolicy",
        ActionTarget::Role,
        role_policies::delete,
    ),
    (
        "ListAttachedRolePolicies",
        ActionTarget::Role,
        role_policies::list_attached,
    ),
    (
        "AttachRolePolicy",
        ActionTarget::Role,
        role_policies::attach,
    ),
    (
        "DetachRolePolicy",
        ActionTarget::Role,
        role_policies::detach,
    ),
    (
        "PutRolePermissionsBoundary",
        ActionTarget::Role,
        permissions_boundary::put,
    ),
    (
        "DeleteRolePermissionsBoundary",
        ActionTarget::Role,
        permissions_boundary::delete,
    ),
    ("TagRole", ActionTarget::Role, tags::tag_role),
    ("UntagRole", ActionTarget::Role, tags::untag_role),
    ("ListRoleTags", ActionTarget::Role, tags::list_role_tags),
    (
        "CreateOpenIDConnectProvider",
        OidcProvider,
        oidc_providers::create,
    ),
    (
        "GetOpenIDConnectProvider",
        OidcProvider,
        oidc_providers::get,
    ),
    (
        "ListOpenIDConnectProviders",
        OidcProvider,
        oidc_providers::list,
    ),
    (
        "DeleteOpenIDConnectProvider",
        OidcProvider,
        oidc_providers::delete,
    ),
    (
        "AddClientIDToOpenIDConnectProvider",
        OidcProvider,
        oidc_providers::add_client,
    ),
    (
        "RemoveClientIDFromOpenIDConnectProvider",
        OidcProvider,
        oidc_providers::remove_client,
    ),
    (
        "UpdateOpenIDConnectProviderThumbprint",
        OidcProvider,
        oidc_providers::update_thumbprints,
    ),
    ("TagOpenIDConnectProvider", OidcProvider, tags::tag_provider),
    (
        "UntagOpenIDConnectProvider",
        OidcProvider,
        tags::untag_provider,
    ),
    (
        "ListOpenIDConnectProviderTags",
        OidcProvider,
        tags::list_provider_tags,
    ),
    ("CreatePolicy", ManagedPolicy, managed_policies::create),
    ("GetPolicy", ManagedPolicy, managed_policies::get),
    ("DeletePolicy", ManagedPolicy, managed_policies::delete),
];

const STS_ACTIONS: &[(&str, ActionTarget, QueryHandler)] = &[
    (
        "GetCallerIdentity",
        AuthorizedByHandler,
        sts::get_caller_identity,
    ),
    ("AssumeRole", AuthorizedByHandler, sts::assume_role),
    (
        "AssumeRoleWithWebIdentity",
        AuthorizedByHandler,
        sts::assume_role_with_web_identity,
    ),
];

/// Does an action of IAM or STS.
///
/// # Errors
/// What AWS answers instead.
pub(crate) fn dispatch(
    world: &mut SimulatedWorld,
    query: &QueryRequest,
    request: &AwsRequest,
) -> Result<XmlNode, AwsError> {
    let actions = if query.is_sts {
        STS_ACTIONS
    } else {
        IAM_ACTIONS
    };
    let found = actions.iter().find(|(name, ..)| *name == query.action);
    let open = query.is_sts && query.action == "AssumeRoleWithWebIdentity";
    let (who, claim) = match open {
        true => (caller::Caller::Anonymous, None),
        false => caller::authenticate(world, request, if query.is_sts { "sts" } else { "iam" })?,
    };
    if who == caller::Caller::Anonymous && !open {
        let message = "Request is missing Authentication Token";
        return Err(AwsError::new(403, "MissingAuthenticationToken", message));
    }
    // On AWS, IAM only takes `us-east-1`; clients that are given an address sign for the region that they are given.
    let region = claim.map(|claim| claim.region).unwrap_or_default();
    let (_, about, run) = found.ok_or_else(|| {
        let message = format!(
            "Could not find operation {} in this imitation",
            query.action
        );
        AwsError::new(400, "InvalidAction", message)
    })?;
    let mut context = build_global_context(world, request, &who, &region);
    for (key, value) in query.tags() {
        context.add(&format!("aws:RequestTag/{key}"), value);
        context.add("aws:TagKeys", key);
    }
    for key in query.list("TagKeys") {
        context.add("aws:TagKeys", key);
    }
    let account = who.account().to_owned();
    let mut call = QueryCall {
        world,
        query,
        caller: &who,
        account,
        context,
    };
    if *about != AuthorizedByHandler {
        authorize_action(&mut call, *about)?;
    }
    run(&mut call)
}

/// Whether the caller may, by its own policies: nothing in IAM has a policy that opens it to others.
fn authorize_action(call: &mut QueryCall<'_>, about: ActionTarget) -> Result<(), AwsError> {
    let account = call.account.clone();
    let get = |name: &str| call.query.get(name).unwrap_or_default();
    let mut boundary = call.query.get("PermissionsBoundary").map(str::to_owned);
    let mut tags = Vec::new();
    let resource = match about {
        ActionTarget::Role => {
            let name = get("RoleName");
            let there = call
                .visible_account()
                .and_then(|account| account.find_role(name).cloned());
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
        RolePath => format!(
            "arn:aws:iam::{account}:role{}",
            call.query.get("PathPrefix").unwrap_or("/")
        ),
        OidcProvider if !get("Url").is_empty() => {
            oidc_providers::provider_arn(&account, get("Url"))
        }
        OidcProvider if get("OpenIDConnectProviderArn").is_empty() => {
            format!("arn:aws:iam::{account}:oidc-provider/*")
        }
        OidcProvider => {
            let arn = get("OpenIDConnectProviderArn").to_owned();
            let there = call.visible_account();
            let there = there
                .as_ref()
                .and_then(|account| account.providers.get(&arn));
            tags = there
                .map(|provider| provider.tags.clone())
                .unwrap_or_default();
            arn
        }
        ManagedPolicy if !get("PolicyArn").is_empty() => get("PolicyArn").to_owned(),
        ManagedPolicy => format!(
            "arn:aws:iam::{account}:policy{}{}",
            call.query.get("Path").unwrap_or("/"),
            get("PolicyName")
        ),
        AuthorizedByHandler => "*".to_owned(),
    };
    call.context
        .add_optional("iam:PermissionsBoundary", boundary);
    call.context
        .add_optional("iam:PolicyARN", call.query.get("PolicyArn"));
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
    let guard = ResourcePolicy {
        owner_account: account,
        ..ResourcePolicy::default()
    };
    for action in actions {
        let action = format!("iam:{action}");
        let ask = AuthorizationRequest {
            caller: call.caller,
            action: &action,
            resource: &resource,
            context: &call.context,
        };
        policy::authorize(call.world, &ask, &guard)?;
    }
    Ok(())
}
