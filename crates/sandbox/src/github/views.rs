//! The JSON of accounts and repositories, which most other objects contain.

use serde_json::{Value, json};

use super::call::{GithubCall, node_id, time};
use super::state::{GithubRepository, user_id};

/// The address of the web pages.
pub(crate) const WEB: &str = "https://github.com";

/// The login under which the token of a job acts.
pub(crate) const ACTIONS_LOGIN: &str = "github-actions[bot]";

/// The URLs of a user, each with what follows the user's own URL.
const USER_URLS: [(&str, &str); 9] = [
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// The URLs of a repository, each with what follows the repository's own URL.
const REPOSITORY_URLS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    (
        "notifications_url",
        "/notifications{?since,all,participating}",
    ),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// A user, an organization or an app.
pub(crate) fn user(call: &GithubCall, login: &str) -> Value {
    account(call, login, "User")
}

fn account(call: &GithubCall, login: &str, kind: &str) -> Value {
    let id = user_id(login);
    let app = login.strip_suffix("[bot]");
    let url = format!(
        "{}/users/{}",
        call.base,
        login.replace('[', "%5B").replace(']', "%5D")
    );
    let html_url = app.map_or_else(
        || format!("{WEB}/{login}"),
        |app| format!("{WEB}/apps/{app}"),
    );
    let mut view = json!({
        "login": login,
        "id": id,
        "node_id": node_id(if app.is_some() { "BOT" } else { "U" }, id),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "gravatar_id": "",
        "url": url,
        "html_url": html_url,
        "type": if app.is_some() { "Bot" } else { kind },
        "user_view_type": "public",
        "site_admin": false,
    });
    for (name, path) in USER_URLS {
        view[name] = format!("{url}{path}").into();
    }
    view
}

/// The owner of a repository.
pub(crate) fn owner(call: &GithubCall, repository: &GithubRepository) -> Value {
    let kind = match repository.owner_is_organization {
        true => "Organization",
        false => "User",
    };
    account(call, &repository.owner, kind)
}

/// A repository as other objects contain it.
pub(crate) fn minimal_repository(call: &GithubCall, repository: &GithubRepository) -> Value {
    let url = call.api_url(repository, "");
    let full_name = repository.full_name();
    let mut view = json!({
        "id": repository.id,
        "node_id": node_id("R", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "private": repository.private,
        "owner": owner(call, repository),
        "html_url": format!("{WEB}/{full_name}"),
        "description": null,
        "fork": repository.fork_of.is_some(),
    });
    for (name, path) in REPOSITORY_URLS {
        view[name] = format!("{url}{path}").into();
    }
    view
}

/// A repository with everything that belongs to every view of it.
pub(crate) fn repository(call: &GithubCall, repository: &GithubRepository) -> Value {
    let full_name = repository.full_name();
    let open = repository
        .issues
        .values()
        .filter(|issue| issue.open && !issue.deleted)
        .count();
    let created = time(repository.created_ms);
    let pushed_ms = repository.commits.values().map(|commit| commit.created_ms);
    let more = json!({
        "git_url": format!("git://github.com/{full_name}.git"),
        "ssh_url": format!("git@github.com:{full_name}.git"),
        "clone_url": format!("{WEB}/{full_name}.git"),
        "svn_url": format!("{WEB}/{full_name}"),
        "mirror_url": null,
        "homepage": null,
        "size": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "watchers": 0,
        "language": null,
    });
    let rest = json!({
        "has_issues": repository.has_issues,
        "has_projects": true,
        "has_downloads": true,
        "has_wiki": true,
        "has_pages": false,
        "has_discussions": false,
        "forks_count": 0,
        "forks": 0,
        "archived": repository.archived,
        "disabled": false,
        "open_issues_count": open,
        "open_issues": open,
        "license": null,
        "allow_forking": true,
        "is_template": false,
        "web_commit_signoff_required": false,
        "topics": [],
        "visibility": if repository.private { "private" } else { "public" },
        "default_branch": repository.default_branch,
        "created_at": created,
        "updated_at": created,
        "pushed_at": time(pushed_ms.max().unwrap_or(repository.created_ms)),
    });
    let mut view = minimal_repository(call, repository);
    extend(&mut view, more);
    extend(&mut view, rest);
    view
}

/// The response of `GET /repos/{owner}/{repo}`.
pub(crate) fn full_repository(call: &GithubCall, found: &GithubRepository) -> Value {
    let mut view = repository(call, found);
    let more = json!({ "network_count": 0, "subscribers_count": 0 });
    extend(&mut view, more);
    if found.owner_is_organization {
        view["organization"] = owner(call, found);
    }
    view
}

/// Adds members to an object.
pub(crate) fn extend(view: &mut Value, more: Value) {
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
}
