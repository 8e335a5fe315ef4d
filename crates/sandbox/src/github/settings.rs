//! What people set up for a repository: environments, names of secrets, variables, the subject of
//! identity tokens, what Actions may do, and the rules of branches. And who the caller is.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::access::{GithubCaller, inaccessible, requires_authentication};
use super::call::{GithubCall, PAGES, VARIABLE_PAGES, node_id, time};
use super::response::{GithubError, GithubResponse, GithubResult};
use super::state::{
    GithubEnvironment, GithubFile, GithubRepository, GithubVariable, OidcSubject, SecretName,
};
use super::views::{WEB, extend, full_repository, user};

/// `GET /repos/{owner}/{repo}`
pub(crate) fn repository(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let mut view = full_repository(call, repository);
    if let GithubCaller::Token(token) = &call.caller {
        let is_for = token.repositories.contains(&repository.id);
        let is_admin = is_for && token.permissions.contains_key("administration");
        let can_push = is_for && token.can_push;
        view["permissions"] = json!({
            "admin": is_admin, "maintain": is_admin, "push": can_push, "triage": can_push, "pull": true,
        });
    }
    Ok(GithubResponse::ok(view))
}

/// `GET /user`
pub(crate) fn current_user(_: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let token = match &call.caller {
        GithubCaller::Anonymous => return Err(requires_authentication()),
        GithubCaller::Token(token) => token,
    };
    if call.caller.is_actions() {
        return Err(inaccessible(token.kind, &[]));
    }
    let mut view = user(call, &token.login);
    let created = "2015-01-01T00:00:00Z";
    extend(
        &mut view,
        json!({
            "name": token.login, "company": null, "blog": "", "location": null, "email": null,
            "hireable": null, "bio": null, "twitter_username": null, "notification_email": null,
            "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
            "created_at": created, "updated_at": created,
        }),
    );
    Ok(GithubResponse::ok(view))
}

/// `GET /repos/{owner}/{repo}/environments`
pub(crate) fn list_environments(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let environments: Vec<&GithubEnvironment> = repository.environments.values().collect();
    let view = |environment: &&GithubEnvironment| environment_view(call, repository, environment);
    Ok(call.page(
        &environments,
        PAGES,
        view,
        |total, shown| json!({ "total_count": total, "environments": shown }),
    ))
}

/// `GET /repos/{owner}/{repo}/environments/{environment_name}`
pub(crate) fn get_environment(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let environment = find_environment(repository, call)?;
    Ok(GithubResponse::ok(environment_view(
        call,
        repository,
        environment,
    )))
}

/// `DELETE /repos/{owner}/{repo}/environments/{environment_name}`
pub(crate) fn delete_environment(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let key = find_environment(call.repo(file)?, call)?
        .name
        .to_lowercase();
    call.repo_mut(file)?.environments.remove(&key);
    Ok(GithubResponse::no_content())
}

/// `GET /repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies`
pub(crate) fn list_branch_policies(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let environment = find_environment(repository, call)?;
    let patterns: Vec<(u64, &(String, String))> = (environment.id + 1..)
        .zip(&environment.branch_patterns)
        .collect();
    let view = |(id, (kind, name)): &(u64, &(String, String))| json!({ "id": id, "node_id": node_id("EBP", *id), "name": name, "type": kind });
    Ok(call.page(
        &patterns,
        PAGES,
        view,
        |total, shown| json!({ "total_count": total, "branch_policies": shown }),
    ))
}

/// Names of environments ignore case.
fn find_environment<'r>(
    repository: &'r GithubRepository,
    call: &GithubCall,
) -> Result<&'r GithubEnvironment, GithubError> {
    let key = call.param("environment_name").to_lowercase();
    let found = repository.environments.get(&key);
    found.ok_or_else(GithubError::not_found)
}

/// Makes an environment without rules, unless it exists. Deployments do so.
///
/// # Errors
/// `404` when the repository is gone.
pub(crate) fn ensure_environment(
    file: &mut GithubFile,
    call: &GithubCall,
    name: &str,
) -> Result<(), GithubError> {
    let key = name.to_lowercase();
    if call.repo(file)?.environments.contains_key(&key) {
        return Ok(());
    }
    let environment = GithubEnvironment {
        id: file.next_id(),
        name: name.to_owned(),
        created_ms: call.now_ms,
        ..GithubEnvironment::default()
    };
    call.repo_mut(file)?.environments.insert(key, environment);
    Ok(())
}

fn environment_view(
    call: &GithubCall,
    repository: &GithubRepository,
    environment: &GithubEnvironment,
) -> Value {
    let path = utf8_percent_encode(&environment.name, NON_ALPHANUMERIC);
    let mut rules = environment.protection_rules.clone();
    if !environment.branch_policy.is_null() {
        let id = environment.id;
        rules.push(json!({ "id": id, "node_id": node_id("GA", id), "type": "branch_policy" }));
    }
    json!({
        "id": environment.id,
        "node_id": node_id("EN", environment.id),
        "name": environment.name,
        "url": call.api_url(repository, &format!("/environments/{path}")),
        "html_url": format!(
            "{WEB}/{}/deployments/activity_log?environments_filter={path}",
            repository.full_name()
        ),
        "created_at": time(environment.created_ms),
        "updated_at": time(environment.created_ms),
        "protection_rules": rules,
        "deployment_branch_policy": environment.branch_policy,
    })
}

fn secret_page(call: &GithubCall, secrets: &BTreeMap<String, SecretName>) -> GithubResponse {
    let secrets: Vec<(&String, &SecretName)> = secrets.iter().collect();
    let view = |(name, secret): &(&String, &SecretName)| {
        json!({
            "name": name, "created_at": time(secret.created_ms), "updated_at": time(secret.updated_ms),
        })
    };
    call.page(
        &secrets,
        PAGES,
        view,
        |total, shown| json!({ "total_count": total, "secrets": shown }),
    )
}

fn variable_page(
    call: &GithubCall,
    variables: &BTreeMap<String, GithubVariable>,
) -> GithubResponse {
    let variables: Vec<(&String, &GithubVariable)> = variables.iter().collect();
    let view = |(name, variable): &(&String, &GithubVariable)| {
        json!({
            "name": name, "value": variable.value,
            "created_at": time(variable.created_ms), "updated_at": time(variable.updated_ms),
        })
    };
    call.page(
        &variables,
        VARIABLE_PAGES,
        view,
        |total, shown| json!({ "total_count": total, "variables": shown }),
    )
}

/// `GET /repos/{owner}/{repo}/environments/{environment_name}/secrets`
pub(crate) fn environment_secrets(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let environment = find_environment(call.repo(file)?, call)?;
    Ok(secret_page(call, &environment.secrets))
}

/// `GET /repos/{owner}/{repo}/environments/{environment_name}/variables`
pub(crate) fn environment_variables(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let environment = find_environment(call.repo(file)?, call)?;
    Ok(variable_page(call, &environment.variables))
}

/// `GET /repos/{owner}/{repo}/actions/secrets`
pub(crate) fn secrets(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    Ok(secret_page(call, &call.repo(file)?.secrets))
}

/// `GET /repos/{owner}/{repo}/actions/organization-secrets`
pub(crate) fn organization_secrets(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    Ok(secret_page(call, &call.repo(file)?.organization_secrets))
}

/// `GET /repos/{owner}/{repo}/actions/variables`
pub(crate) fn variables(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    Ok(variable_page(call, &call.repo(file)?.variables))
}

/// `GET /repos/{owner}/{repo}/actions/organization-variables`
pub(crate) fn organization_variables(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    Ok(variable_page(
        call,
        &call.repo(file)?.organization_variables,
    ))
}

/// `GET /repos/{owner}/{repo}/actions/oidc/customization/sub`
pub(crate) fn oidc_subject(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let subject = &repository.oidc_subject;
    let mut view = json!({
        "use_default": subject.use_default,
        "use_immutable_subject": subject.use_immutable_subject,
        "sub_claim_prefix": repository.subject_prefix(),
    });
    if !subject.use_default {
        view["include_claim_keys"] = json!(subject.include_claim_keys);
    }
    Ok(GithubResponse::ok(view))
}

/// `PUT /repos/{owner}/{repo}/actions/oidc/customization/sub`
pub(crate) fn set_oidc_subject(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let use_default = call.flag("use_default")?;
    let use_default =
        use_default.ok_or_else(|| GithubError::malformed("\"use_default\" wasn't supplied."))?;
    let immutable = call.flag("use_immutable_subject")?;
    let keys = call.body["include_claim_keys"].as_array();
    let keys = keys.cloned().unwrap_or_default();
    let keys: Vec<String> = keys
        .iter()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    let is_name = |key: &String| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !key.is_empty() && key.bytes().all(fine)
    };
    if !keys.iter().all(is_name) {
        let message = "Claim keys can only contain alphanumeric characters and underscores.";
        return Err(GithubError::new(422, message));
    }
    let repository = call.repo_mut(file)?;
    let before = repository.oidc_subject.use_immutable_subject;
    repository.oidc_subject = OidcSubject {
        use_default,
        include_claim_keys: keys,
        use_immutable_subject: immutable.unwrap_or(before),
    };
    Ok(GithubResponse::json(201, json!({})))
}

/// `GET /repos/{owner}/{repo}/actions/permissions`
pub(crate) fn actions_permissions(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let settings = &repository.actions;
    let mut view = json!({ "enabled": settings.enabled });
    if settings.enabled {
        view["allowed_actions"] = json!(settings.allowed_actions);
        view["sha_pinning_required"] = json!(settings.sha_pinning_required);
    }
    if settings.enabled && settings.allowed_actions == "selected" {
        let url = call.api_url(repository, "/actions/permissions/selected-actions");
        view["selected_actions_url"] = url.into();
    }
    Ok(GithubResponse::ok(view))
}

/// `GET /repos/{owner}/{repo}/actions/permissions/selected-actions`: a conflict where not only selected ones are allowed.
pub(crate) fn selected_actions(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let settings = &call.repo(file)?.actions;
    if settings.allowed_actions != "selected" {
        return Err(GithubError::new(409, "Conflict"));
    }
    Ok(GithubResponse::ok(json!({
        "github_owned_allowed": settings.github_owned_allowed,
        "verified_allowed": settings.verified_allowed,
        "patterns_allowed": settings.patterns_allowed,
    })))
}

/// `GET /repos/{owner}/{repo}/actions/permissions/workflow`
pub(crate) fn workflow_permissions(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let settings = &call.repo(file)?.actions;
    Ok(GithubResponse::ok(json!({
        "default_workflow_permissions": settings.default_workflow_permissions,
        "can_approve_pull_request_reviews": settings.can_approve_pull_request_reviews,
    })))
}

/// `GET /repos/{owner}/{repo}/rules/branches/{branch}`; a branch need not exist to have rules.
pub(crate) fn branch_rules(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let rules = repository.rules.get(call.param("branch"));
    let rules: &[Value] = rules.map_or(&[], Vec::as_slice);
    Ok(call.list(rules, Value::clone))
}
