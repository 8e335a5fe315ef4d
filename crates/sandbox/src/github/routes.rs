//! The endpoints: method, path, what a token needs, and the page of the documentation.

use std::collections::BTreeMap;

use super::access::{GithubLevel, Requirement};
use super::call::{GithubCall, decode};
use super::response::GithubResult;
use super::state::GithubFile;
use super::{comments, commits, deployments, issues, pulls, settings, workflows};

type Handler = fn(&mut GithubFile, &GithubCall) -> GithubResult;

/// An endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GithubRoute {
    pub(crate) method: &'static str,
    /// The path; below a repository it begins with `R`.
    pub(crate) path: &'static str,
    pub(crate) requirement: Requirement,
    /// Whether everybody may use it on a public repository.
    pub(crate) is_public: bool,
    /// Whether it counts towards the limit on new content.
    pub(crate) is_content: bool,
    /// Where the documentation of the endpoint is, below `https://docs.github.com/rest/`.
    pub(crate) page: &'static str,
    pub(crate) handler: Handler,
}

use GithubLevel::{Read, Write};

const METADATA: Requirement = &[("metadata", Read)];
const ISSUES_READ: Requirement = &[("issues", Read), ("pull_requests", Read)];
const ISSUES_WRITE: Requirement = &[("issues", Write), ("pull_requests", Write)];
const PULLS: Requirement = &[("pull_requests", Read)];
const CONTENTS: Requirement = &[("contents", Read)];
const STATUSES: Requirement = &[("statuses", Write)];
const CHECKS_READ: Requirement = &[("checks", Read)];
const CHECKS_WRITE: Requirement = &[("checks", Write)];
const DEPLOYMENTS_READ: Requirement = &[("deployments", Read)];
const DEPLOYMENTS_WRITE: Requirement = &[("deployments", Write)];
const ACTIONS_READ: Requirement = &[("actions", Read)];
const ACTIONS_WRITE: Requirement = &[("actions", Write)];
const SECRETS: Requirement = &[("secrets", Read)];
const VARIABLES: Requirement = &[("actions_variables", Read)];
const ENVIRONMENTS: Requirement = &[("environments", Read)];
const ADMINISTRATION_READ: Requirement = &[("administration", Read)];
const ADMINISTRATION_WRITE: Requirement = &[("administration", Write)];

/// An endpoint that reads what is public on a public repository.
const fn read(
    path: &'static str,
    requirement: Requirement,
    page: &'static str,
    handler: Handler,
) -> GithubRoute {
    GithubRoute {
        method: "GET",
        path,
        requirement,
        is_public: true,
        is_content: false,
        page,
        handler,
    }
}

/// An endpoint that reads what only collaborators see.
const fn read_private(
    path: &'static str,
    requirement: Requirement,
    page: &'static str,
    handler: Handler,
) -> GithubRoute {
    GithubRoute {
        is_public: false,
        ..read(path, requirement, page, handler)
    }
}

/// An endpoint that writes.
const fn write(
    method: &'static str,
    path: &'static str,
    requirement: Requirement,
    page: &'static str,
    handler: Handler,
) -> GithubRoute {
    GithubRoute {
        method,
        is_public: false,
        ..read(path, requirement, page, handler)
    }
}

/// An endpoint whose writes people are notified of.
const fn content(
    path: &'static str,
    requirement: Requirement,
    page: &'static str,
    handler: Handler,
) -> GithubRoute {
    GithubRoute {
        is_content: true,
        ..write("POST", path, requirement, page, handler)
    }
}

/// All endpoints.
#[rustfmt::skip]
const ROUTES: &[GithubRoute] = &[
    read("/user", &[], "users/users#get-the-authenticated-user", settings::current_user),
    read("R", METADATA, "repos/repos#get-a-repository", settings::repository),
    read("R/issues/{issue_number}/comments", ISSUES_READ, "issues/comments#list-issue-comments", comments::list),
    content("R/issues/{issue_number}/comments", ISSUES_WRITE, "issues/comments#create-an-issue-comment", comments::create),
    read("R/issues/comments/{comment_id}", ISSUES_READ, "issues/comments#get-an-issue-comment", comments::get),
    write("PATCH", "R/issues/comments/{comment_id}", ISSUES_WRITE, "issues/comments#update-an-issue-comment", comments::update),
    write("DELETE", "R/issues/comments/{comment_id}", ISSUES_WRITE, "issues/comments#delete-an-issue-comment", comments::delete),
    read("R/issues", ISSUES_READ, "issues/issues#list-repository-issues", issues::list),
    content("R/issues", &[("issues", Write)], "issues/issues#create-an-issue", issues::create),
    read("R/issues/{issue_number}", ISSUES_READ, "issues/issues#get-an-issue", issues::get),
    write("PATCH", "R/issues/{issue_number}", ISSUES_WRITE, "issues/issues#update-an-issue", issues::update),
    read("R/labels", ISSUES_READ, "issues/labels#list-labels-for-a-repository", issues::list_labels),
    write("POST", "R/labels", ISSUES_WRITE, "issues/labels#create-a-label", issues::create_label),
    read("R/labels/{name}", ISSUES_READ, "issues/labels#get-a-label", issues::get_label),
    read("R/pulls", PULLS, "pulls/pulls#list-pull-requests", pulls::list),
    read("R/pulls/{pull_number}", PULLS, "pulls/pulls#get-a-pull-request", pulls::get),
    read("R/commits/{commit_sha}/pulls", PULLS, "commits/commits#list-pull-requests-associated-with-a-commit", pulls::of_commit),
    read("R/commits/{ref}/check-runs", CHECKS_READ, "checks/runs#list-check-runs-for-a-git-reference", commits::list_check_runs),
    read("R/commits/{ref}", CONTENTS, "commits/commits#get-a-commit", commits::get),
    read("R/branches/{branch}", CONTENTS, "branches/branches#get-a-branch", commits::branch),
    read("R/compare/{basehead}", CONTENTS, "commits/commits#compare-two-commits", commits::compare),
    read("R/contents/{path...}", CONTENTS, "repos/contents#get-repository-content", commits::contents),
    write("POST", "R/statuses/{sha}", STATUSES, "commits/statuses#create-a-commit-status", commits::create_status),
    write("POST", "R/check-runs", CHECKS_WRITE, "checks/runs#create-a-check-run", commits::create_check_run),
    write("PATCH", "R/check-runs/{check_run_id}", CHECKS_WRITE, "checks/runs#update-a-check-run", commits::update_check_run),
    read("R/deployments", DEPLOYMENTS_READ, "deployments/deployments#list-deployments", deployments::list),
    write("POST", "R/deployments", DEPLOYMENTS_WRITE, "deployments/deployments#create-a-deployment", deployments::create),
    read("R/deployments/{deployment_id}", DEPLOYMENTS_READ, "deployments/deployments#get-a-deployment", deployments::get),
    write("DELETE", "R/deployments/{deployment_id}", DEPLOYMENTS_WRITE, "deployments/deployments#delete-a-deployment", deployments::delete),
    read("R/deployments/{deployment_id}/statuses", DEPLOYMENTS_READ, "deployments/statuses#list-deployment-statuses", deployments::list_statuses),
    write("POST", "R/deployments/{deployment_id}/statuses", DEPLOYMENTS_WRITE, "deployments/statuses#create-a-deployment-status", deployments::create_status),
    read("R/environments", ACTIONS_READ, "deployments/environments#list-environments", settings::list_environments),
    read("R/environments/{environment_name}", ACTIONS_READ, "deployments/environments#get-an-environment", settings::get_environment),
    write("DELETE", "R/environments/{environment_name}", ADMINISTRATION_WRITE, "deployments/environments#delete-an-environment", settings::delete_environment),
    read("R/environments/{environment_name}/deployment-branch-policies", ACTIONS_READ, "deployments/branch-policies#list-deployment-branch-policies", settings::list_branch_policies),
    read_private("R/environments/{environment_name}/secrets", ENVIRONMENTS, "actions/secrets#list-environment-secrets", settings::environment_secrets),
    read_private("R/environments/{environment_name}/variables", ENVIRONMENTS, "actions/variables#list-environment-variables", settings::environment_variables),
    read("R/actions/workflows", ACTIONS_READ, "actions/workflows#list-repository-workflows", workflows::list),
    read("R/actions/workflows/{workflow_id}", ACTIONS_READ, "actions/workflows#get-a-workflow", workflows::get),
    write("PUT", "R/actions/workflows/{workflow_id}/enable", ACTIONS_WRITE, "actions/workflows#enable-a-workflow", workflows::enable),
    write("PUT", "R/actions/workflows/{workflow_id}/disable", ACTIONS_WRITE, "actions/workflows#disable-a-workflow", workflows::disable),
    write("POST", "R/actions/workflows/{workflow_id}/dispatches", ACTIONS_WRITE, "actions/workflows#create-a-workflow-dispatch-event", workflows::dispatch),
    read("R/actions/workflows/{workflow_id}/runs", ACTIONS_READ, "actions/workflow-runs#list-workflow-runs-for-a-workflow", workflows::list_runs),
    read("R/actions/runs", ACTIONS_READ, "actions/workflow-runs#list-workflow-runs-for-a-repository", workflows::list_all_runs),
    read("R/actions/runs/{run_id}", ACTIONS_READ, "actions/workflow-runs#get-a-workflow-run", workflows::get_run),
    read_private("R/actions/secrets", SECRETS, "actions/secrets#list-repository-secrets", settings::secrets),
    read_private("R/actions/organization-secrets", SECRETS, "actions/secrets#list-repository-organization-secrets", settings::organization_secrets),
    read_private("R/actions/variables", VARIABLES, "actions/variables#list-repository-variables", settings::variables),
    read_private("R/actions/organization-variables", VARIABLES, "actions/variables#list-repository-organization-variables", settings::organization_variables),
    read_private("R/actions/oidc/customization/sub", ACTIONS_READ, "actions/oidc#get-the-customization-template-for-an-oidc-subject-claim-for-a-repository", settings::oidc_subject),
    write("PUT", "R/actions/oidc/customization/sub", ACTIONS_WRITE, "actions/oidc#set-the-customization-template-for-an-oidc-subject-claim-for-a-repository", settings::set_oidc_subject),
    read_private("R/actions/permissions", ADMINISTRATION_READ, "actions/permissions#get-github-actions-permissions-for-a-repository", settings::actions_permissions),
    read_private("R/actions/permissions/selected-actions", ADMINISTRATION_READ, "actions/permissions#get-allowed-actions-and-reusable-workflows-for-a-repository", settings::selected_actions),
    read_private("R/actions/permissions/workflow", ADMINISTRATION_READ, "actions/permissions#get-default-workflow-permissions-for-a-repository", settings::workflow_permissions),
    read("R/rules/branches/{branch}", METADATA, "repos/rules#get-rules-for-a-branch", settings::branch_rules),
];

/// The endpoint for a method and a path, with the parameters in the path. `below` is the path without
/// the repository, if it names one. A literal segment takes precedence over a parameter.
pub(crate) fn find_route(
    method: &str,
    path: &str,
    below: Option<&str>,
) -> Option<(&'static GithubRoute, BTreeMap<String, String>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .filter_map(|route| {
            let found = match (route.path.strip_prefix('R'), below) {
                (Some(template), Some(below)) => match_path(template, below),
                (None, None) => match_path(route.path, path),
                _ => None,
            };
            Some((route, found?))
        })
        .min_by_key(|(_, params)| params.len())
}

/// The parameters of a path, if it fits. `{name...}` takes the rest of the path.
fn match_path(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut params = BTreeMap::new();
    let mut segments = path.split('/');
    for part in template.split('/') {
        let segment = segments.next()?;
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        match name {
            Some(name) if name.ends_with("...") => {
                let rest: Vec<&str> = std::iter::once(segment).chain(segments.by_ref()).collect();
                params.insert(
                    name.trim_end_matches("...").to_owned(),
                    decode(&rest.join("/")),
                );
            }
            Some(_) if segment.is_empty() => return None,
            Some(name) => drop(params.insert(name.to_owned(), decode(segment))),
            None if part == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(params)
}

/// The page of the documentation of an endpoint.
pub(crate) fn documentation(route: Option<&GithubRoute>) -> String {
    let page = route.map_or("", |route| route.page);
    format!("https://docs.github.com/rest/{page}")
        .trim_end_matches('/')
        .to_owned()
}
