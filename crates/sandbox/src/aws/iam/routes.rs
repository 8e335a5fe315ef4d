//! The table of IAM and STS actions: handlers, and the resources that callers need permission for.

use super::query::{QueryCall, QueryRequest};
use super::{
    instance_profiles, managed_policies, oidc_providers, permissions_boundary, role_policies,
    roles, simulation, tags,
};
use crate::aws::policy::{self, AuthorizationRequest, ResourcePolicy};
use crate::aws::request::AwsRequest;
use crate::aws::request_context::build_global_context;
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::aws::{caller, sts};
use crate::world::SimulatedWorld;

/// The resource that an action is authorized for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActionTarget {
    /// The role with the name `RoleName`.
    Role,
    /// All roles below `PathPrefix`.
    RolePath,
    /// The provider `OpenIDConnectProviderArn`, or the one that will be created for `Url`.
    OidcProvider,
    /// The policy `PolicyArn`, or the one that will be created as `PolicyName`.
    ManagedPolicy,
    /// The instance profile with the name `InstanceProfileName`.
    InstanceProfile,
    /// The user or role `PolicySourceArn`.
    PolicySource,
    /// The handler authorizes the request itself (STS).
    AuthorizedByHandler,
}

type QueryHandler = fn(&mut QueryCall<'_>) -> Result<XmlNode, AwsError>;

use ActionTarget::{AuthorizedByHandler, InstanceProfile, ManagedPolicy, OidcProvider, RolePath};

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
        instance_profiles::list_for_role,
    ),
    (
        "CreateInstanceProfile",
        InstanceProfile,
        instance_profiles::create,
    ),
    (
        "GetInstanceProfile",
        InstanceProfile,
        instance_profiles::get,
    ),
    (
        "DeleteInstanceProfile",
        InstanceProfile,
        instance_profiles::delete,
    ),
    (
        "AddRoleToInstanceProfile",
        InstanceProfile,
        instance_profiles::add_role,
    ),
    (
        "RemoveRoleFromInstanceProfile",
        InstanceProfile,
        instance_profiles::remove_role,
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
    (
        "SimulatePrincipalPolicy",
        ActionTarget::PolicySource,
        simulation::simulate,
    ),
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

/// Authenticates, authorizes and executes an action of IAM or STS.
///
/// # Errors
/// The error response of AWS.
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
    let action = actions.iter().find(|(name, ..)| *name == query.action);
    let is_unsigned = query.is_sts && query.action == "AssumeRoleWithWebIdentity";
    let (caller, signature) = match is_unsigned {
        true => (caller::Caller::Anonymous, None),
        false => caller::authenticate(world, request, if query.is_sts { "sts" } else { "iam" })?,
    };
    if caller == caller::Caller::Anonymous && !is_unsigned {
        let message = "Request is missing Authentication Token";
        return Err(AwsError::new(403, "MissingAuthenticationToken", message));
    }
    // On AWS, IAM accepts only signatures for `us-east-1`. Clients with a custom endpoint sign for the
    // configured region, so every region is accepted.
    let region = signature
        .map(|signature| signature.region)
        .unwrap_or_default();
    let (_, target, run) = action.ok_or_else(|| {
        let message = format!("Could not find operation {} in the sandbox", query.action);
        AwsError::new(400, "InvalidAction", message)
    })?;
    let mut context = build_global_context(world, request, &caller, &region);
    for (key, value) in query.tags() {
        context.add(&format!("aws:RequestTag/{key}"), value);
        context.add("aws:TagKeys", key);
    }
    for key in query.list("TagKeys") {
        context.add("aws:TagKeys", key);
    }
    let account = caller.account().to_owned();
    let mut call = QueryCall {
        world,
        query,
        caller: &caller,
        account,
        context,
    };
    if *target != AuthorizedByHandler {
        authorize_action(&mut call, *target)?;
    }
    run(&mut call)
}

/// The resource that an action is authorized for, with what its condition keys need.
struct TargetResource {
    arn: String,
    /// The tags that the resource has already.
    tags: Vec<(String, String)>,
    /// The value of `iam:PermissionsBoundary`.
    boundary: Option<String>,
}

/// Checks the caller's identity-based policies. IAM resources have no resource-based policy, except
/// trust policies, which only STS uses.
fn authorize_action(call: &mut QueryCall<'_>, target: ActionTarget) -> Result<(), AwsError> {
    let resource = resolve_target(call, target);
    call.context
        .add_optional("iam:PermissionsBoundary", resource.boundary);
    call.context
        .add_optional("iam:PolicyARN", call.query.get("PolicyArn"));
    for (key, value) in resource.tags {
        call.context.add(&format!("aws:ResourceTag/{key}"), &value);
        call.context.add(&format!("iam:ResourceTag/{key}"), value);
    }
    let resource_policy = ResourcePolicy {
        owner_account: call.account.clone(),
        ..ResourcePolicy::default()
    };
    for action in required_actions(call.query) {
        let request = AuthorizationRequest {
            caller: call.caller,
            action: &action,
            resource: &resource.arn,
            context: &call.context,
        };
        policy::authorize(call.world, &request, &resource_policy)?;
    }
    Ok(())
}

fn resolve_target(call: &QueryCall<'_>, target: ActionTarget) -> TargetResource {
    let account = &call.account;
    let parameter = |name: &str| call.query.get(name).unwrap_or_default();
    let path = call.query.get("Path").unwrap_or("/");
    let arn = match target {
        ActionTarget::Role => return resolve_role(call),
        RolePath => format!(
            "arn:aws:iam::{account}:role{}",
            call.query.get("PathPrefix").unwrap_or("/")
        ),
        OidcProvider if !parameter("Url").is_empty() => {
            oidc_providers::provider_arn(account, parameter("Url"))
        }
        OidcProvider if parameter("OpenIDConnectProviderArn").is_empty() => {
            format!("arn:aws:iam::{account}:oidc-provider/*")
        }
        OidcProvider => parameter("OpenIDConnectProviderArn").to_owned(),
        ManagedPolicy if !parameter("PolicyArn").is_empty() => parameter("PolicyArn").to_owned(),
        ManagedPolicy => format!(
            "arn:aws:iam::{account}:policy{path}{}",
            parameter("PolicyName")
        ),
        InstanceProfile => {
            let name = parameter("InstanceProfileName");
            let known = call
                .account_state()
                .and_then(|account| account.instance_profiles.get(&name.to_lowercase()));
            known.map_or_else(
                || format!("arn:aws:iam::{account}:instance-profile{path}{name}"),
                |profile| profile.arn(account),
            )
        }
        ActionTarget::PolicySource => parameter("PolicySourceArn").to_owned(),
        AuthorizedByHandler => "*".to_owned(),
    };
    // A provider that is created for a `Url` has no tags yet, whatever an older one has.
    let is_existing_provider = target == OidcProvider && parameter("Url").is_empty();
    let account_state = call.visible_account().filter(|_| is_existing_provider);
    let provider = account_state.and_then(|account| account.providers.get(&arn).cloned());
    TargetResource {
        arn,
        tags: provider.map(|provider| provider.tags).unwrap_or_default(),
        boundary: call.query.get("PermissionsBoundary").map(str::to_owned),
    }
}

fn resolve_role(call: &QueryCall<'_>) -> TargetResource {
    let name = call.query.get("RoleName").unwrap_or_default();
    let role = call
        .visible_account()
        .and_then(|account| account.find_role(name).cloned());
    // `iam:PermissionsBoundary` is the boundary that these two actions set. For all others it is the
    // one that the role has.
    let sets_boundary = matches!(
        call.query.action.as_str(),
        "CreateRole" | "PutRolePermissionsBoundary"
    );
    let boundary = match sets_boundary {
        true => call.query.get("PermissionsBoundary").map(str::to_owned),
        false => role.as_ref().and_then(|role| role.boundary.clone()),
    };
    let arn = role.as_ref().map_or_else(
        || {
            let path = call.query.get("Path").unwrap_or("/");
            format!("arn:aws:iam::{}:role{path}{name}", call.account)
        },
        |role| role.arn(&call.account),
    );
    TargetResource {
        arn,
        tags: role.map(|role| role.tags).unwrap_or_default(),
        boundary,
    }
}

/// The IAM actions that a request needs permission for.
fn required_actions(query: &QueryRequest) -> Vec<String> {
    let action = query.action.as_str();
    let mut actions = vec![format!("iam:{action}")];
    // Creating a resource with tags, or a role with a boundary, needs the permission to set these too.
    if matches!(action, "CreateRole" | "CreateOpenIDConnectProvider") && !query.tags().is_empty() {
        actions.push(format!("iam:{}", action.replace("Create", "Tag")));
    }
    if action == "CreateRole" && query.get("PermissionsBoundary").is_some() {
        actions.push("iam:PutRolePermissionsBoundary".to_owned());
    }
    actions
}
