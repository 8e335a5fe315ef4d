//! `SimulatePrincipalPolicy`: what the policies of a user or a role would say to a request.

use super::query::QueryCall;
use super::xml_views::member_list;
use crate::aws::caller::{Caller, RoleSession};
use crate::aws::policy::{self, AuthorizationRequest, RequestContext, ResourcePolicy};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;

/// `SimulatePrincipalPolicy`, without `PolicyInputList`, `ResourcePolicy` and `ContextEntries`.
pub(super) fn simulate(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let principal = find_principal(call)?;
    let actions = call.query.list("ActionNames");
    if actions.is_empty() {
        // The error for a parameter that is absent.
        call.require("ActionNames")?;
    }
    let resources = match call.query.list("ResourceArns") {
        resources if resources.is_empty() => vec!["*".to_owned()],
        resources => resources,
    };
    let pairs = actions
        .iter()
        .flat_map(|action| resources.iter().map(move |resource| (action, resource)));
    let results = pairs.map(|(action, resource)| {
        let key = format!("{action} {resource}");
        (key, evaluate(call, &principal, action, resource))
    });
    let mut results: Vec<(String, XmlNode)> = results.collect();
    results.sort_by(|a, b| a.0.cmp(&b.0));
    call.paginate("EvaluationResults", results)
}

fn evaluate(call: &QueryCall<'_>, principal: &Caller, action: &str, resource: &str) -> XmlNode {
    let context = RequestContext::default();
    let request = AuthorizationRequest {
        caller: principal,
        action,
        resource,
        context: &context,
    };
    let resource_policy = ResourcePolicy {
        owner_account: call.account.clone(),
        ..ResourcePolicy::default()
    };
    let decision = match policy::authorize(call.world, &request, &resource_policy) {
        Ok(()) => "allowed",
        Err(error) if error.message.contains("explicit deny") => "explicitDeny",
        Err(_) => "implicitDeny",
    };
    let missing = policy::missing_context_keys(call.world, &request);
    let missing = member_list("MissingContextValues", missing);
    // A simulation of certain resources reports what is missing for each of them.
    let specific = XmlNode::new("member")
        .with_text("EvalResourceName", resource)
        .with_text("EvalResourceDecision", decision)
        .with_child(missing);
    XmlNode::new("member")
        .with_text("EvalActionName", action)
        .with_text("EvalResourceName", resource)
        .with_text("EvalDecision", decision)
        .with_child(member_list("MatchedStatements", [""; 0]))
        .with_child(member_list("MissingContextValues", [""; 0]))
        .with_child(XmlNode::new("ResourceSpecificResults").with_child(specific))
}

/// The user or the role of `PolicySourceArn`.
///
/// # Errors
/// `400 ValidationError` or `400 InvalidInput` for what is neither, `404 NoSuchEntity` when it does not exist.
fn find_principal(call: &QueryCall<'_>) -> Result<Caller, AwsError> {
    let arn = call.require("PolicySourceArn")?;
    let account = call.account.clone();
    let state = call.account_state();
    let resource = arn.strip_prefix(&format!("arn:aws:iam::{account}:"));
    let missing = || AwsError::no_such_entity(format!("{arn} does not exist."));
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    match resource.and_then(|resource| resource.split_once('/')) {
        Some(("user", path)) => {
            let name = name(path);
            let exists = state.is_some_and(|state| state.users.contains_key(&name));
            exists
                .then_some(Caller::User { account, name })
                .ok_or_else(missing)
        }
        Some(("role", path)) => {
            let role = state.and_then(|state| state.find_role(&name(path)));
            let role = role.filter(|role| role.arn(&account) == arn);
            let role = role.ok_or_else(missing)?;
            Ok(Caller::AssumedRole(Box::new(RoleSession {
                secret: String::new(),
                token: String::new(),
                role: role.name.clone(),
                role_id: role.id.clone(),
                path: role.path.clone(),
                name: String::new(),
                begun_ms: call.world.now_ms,
                expires_ms: call.world.now_ms,
                provider: None,
                policy: None,
                account,
            })))
        }
        _ => {
            let message =
                format!("Invalid Entity Arn: {arn} does not clearly define entity type and name.");
            Err(AwsError::new(400, "InvalidInput", message))
        }
    }
}
