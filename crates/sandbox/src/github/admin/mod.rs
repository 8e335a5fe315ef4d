//! `/_sandbox/github/…`: what people and git do, and what a test may want to break.
//!
//! Every command takes a JSON object and answers with one. A `repository` is named `owner/name`.

mod conversations;
mod history;
mod play;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::access::{
    ACTIONS_PERMISSIONS, GithubLevel, GithubToken, GithubTokenKind, PERSONAL_PERMISSIONS,
};
use super::git::{CommitDraft, add_commit};
use super::state::{GithubFile, GithubRepository, user_id};
use super::views::ACTIONS_LOGIN;
use super::workflows::read_workflow_files;
use crate::api::ApiError;
use crate::ids;
use crate::world::SimulatedWorld;

/// What a command returns.
type CommandResult = Result<Value, ApiError>;

/// Who acts when a command does not say so.
const DEFAULT_USER: &str = "octocat";

/// Runs a command. `url` is the address of the sandbox.
///
/// # Errors
/// `404` when the command or what it names does not exist, `400` when the body is malformed.
pub(crate) fn run(
    world: &mut SimulatedWorld,
    url: &str,
    command: &str,
    body: &Value,
) -> CommandResult {
    let (seed, now) = (world.global.seed, world.now_ms);
    world.github.dirty = true;
    let file = &mut world.github.file;
    match command {
        "repositories" => put_repository(file, now, body),
        "rename" => rename(file, body),
        "tokens" => create_token(file, seed, body),
        "tokens/expire" => expire_token(file, body),
        "behaviour" => {
            file.behaviour = merged(&file.behaviour, body)?;
            Ok(json!(file.behaviour))
        }
        "play" => play::play(file, seed, now, url, body),
        "push" => history::push(file, now, body),
        "tags" => history::tag(file, body),
        "pulls" => history::open_pull(file, now, body),
        "pulls/merge" => history::merge_pull(file, now, body),
        "pulls/update" => history::update_pull(file, now, body),
        "issues" => conversations::create_issue(file, now, body),
        "issues/update" => conversations::update_issue(file, now, body),
        "comments" => conversations::create_comment(file, now, body),
        "comments/update" => conversations::update_comment(file, now, body),
        "comments/delete" => conversations::delete_comment(file, body),
        "environments" => settings::put_environment(file, now, body),
        "secrets" => settings::put_secrets(file, now, body),
        "variables" => settings::put_variables(file, now, body),
        "workflows" => settings::put_workflow(file, now, body),
        "runs" => settings::add_run(file, now, body),
        "statuses" => settings::add_status(file, now, body),
        "oidc" => settings::set_oidc(file, body),
        "actions" => settings::set_actions(file, body),
        "rules" => settings::set_rules(file, body),
        _ => Err(ApiError::not_found("endpoint")),
    }
}

/// The body of a command as a typed request.
///
/// # Errors
/// `400` when it is malformed.
fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    serde_json::from_value(body.clone()).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// A value with the members of a body in place of its own.
///
/// # Errors
/// `400` when the body is malformed.
fn merged<T: serde::Serialize + DeserializeOwned>(value: &T, body: &Value) -> Result<T, ApiError> {
    let mut all = json!(value);
    super::views::extend(&mut all, body.clone());
    parse(&all)
}

/// The repository with this full name.
///
/// # Errors
/// `404`.
fn find<'f>(file: &'f mut GithubFile, name: &str) -> Result<&'f mut GithubRepository, ApiError> {
    let id = id_of(file, name)?;
    file.repositories
        .get_mut(&id)
        .ok_or_else(|| ApiError::not_found("repository"))
}

/// The id of the repository with this full name.
///
/// # Errors
/// `404`.
fn id_of(file: &GithubFile, name: &str) -> Result<u64, ApiError> {
    let (owner, short) = name.split_once('/').unwrap_or_default();
    file.find_repository(owner, short)
        .map(|found| found.id)
        .ok_or_else(|| ApiError::not_found(&format!("repository {name}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepositoryRequest {
    name: String,
    private: Option<bool>,
    archived: Option<bool>,
    organization: Option<bool>,
    has_issues: Option<bool>,
    default_branch: Option<String>,
    immutable_subject: Option<bool>,
    /// The files of the first commit.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// Makes a repository with one commit on its default branch, or changes the settings of one.
fn put_repository(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: RepositoryRequest = parse(body)?;
    let id = match id_of(file, &request.name) {
        Ok(id) => id,
        Err(_) => new_repository(file, now, &request, None)?,
    };
    let Some(found) = file.repositories.get_mut(&id) else {
        return Err(ApiError::not_found("repository"));
    };
    let set = |setting: &mut bool, value: Option<bool>| *setting = value.unwrap_or(*setting);
    set(&mut found.private, request.private);
    set(&mut found.archived, request.archived);
    set(&mut found.owner_is_organization, request.organization);
    set(&mut found.has_issues, request.has_issues);
    let immutable = &mut found.oidc_subject.use_immutable_subject;
    set(immutable, request.immutable_subject);
    Ok(json!({
        "id": found.id,
        "owner_id": user_id(&found.owner),
        "full_name": found.full_name(),
        "default_branch": found.default_branch,
        "sha": found.branches.get(&found.default_branch),
    }))
}

/// Makes a repository; `fork_of` is the one that it is a fork of.
fn new_repository(
    file: &mut GithubFile,
    now: i64,
    request: &RepositoryRequest,
    fork_of: Option<u64>,
) -> Result<u64, ApiError> {
    let names = request.name.split_once('/');
    let (owner, name) = names
        .filter(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| ApiError::bad_request("the name must be owner/name"))?;
    let branch = request.default_branch.as_deref().unwrap_or("main");
    let id = file.next_id();
    let repository = GithubRepository {
        id,
        owner: owner.to_owned(),
        name: name.to_owned(),
        private: true,
        has_issues: true,
        default_branch: branch.to_owned(),
        created_ms: now,
        fork_of,
        ..GithubRepository::default()
    };
    // A new repository takes a name over from one that had it before.
    file.renamed.remove(&request.name.to_lowercase());
    file.repositories.insert(id, repository);
    let draft = CommitDraft {
        parents: Vec::new(),
        message: "Initial commit".to_owned(),
        author: owner.to_owned(),
        now_ms: now,
    };
    let sha = add_commit(file, id, draft, request.files.clone());
    if let Some(found) = file.repositories.get_mut(&id) {
        found.branches.insert(branch.to_owned(), sha);
    }
    read_workflow_files(file, id, now);
    Ok(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameRequest {
    repository: String,
    to: String,
}

/// Renames or moves a repository. The old name leads to the new one, and the subjects of identity
/// tokens get the immutable form.
fn rename(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: RenameRequest = parse(body)?;
    let (owner, name) = request
        .to
        .split_once('/')
        .ok_or_else(|| ApiError::bad_request("`to` must be owner/name"))?;
    if id_of(file, &request.to).is_ok() {
        return Err(ApiError::bad_request("a repository with this name exists"));
    }
    let found = find(file, &request.repository)?;
    let (id, old) = (found.id, found.full_name().to_lowercase());
    owner.clone_into(&mut found.owner);
    name.clone_into(&mut found.name);
    found.oidc_subject.use_immutable_subject = true;
    file.renamed.insert(old, id);
    Ok(json!({ "id": id, "full_name": request.to }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GithubTokenRequest {
    kind: GithubTokenKind,
    #[serde(default)]
    repositories: Vec<String>,
    permissions: Option<BTreeMap<String, GithubLevel>>,
    login: Option<String>,
    #[serde(default)]
    expired: bool,
    can_push: Option<bool>,
}

/// Makes a token. Without permissions, a classic one may do everything, and others only what every
/// token may.
fn create_token(file: &mut GithubFile, seed: u64, body: &Value) -> CommandResult {
    let request: GithubTokenRequest = parse(body)?;
    let is_actions = request.kind == GithubTokenKind::Actions;
    if is_actions && request.repositories.len() != 1 {
        let why = "the token of a job is for exactly one repository";
        return Err(ApiError::bad_request(why));
    }
    let known: BTreeSet<&str> = match is_actions {
        true => ACTIONS_PERMISSIONS.into(),
        false => ACTIONS_PERMISSIONS
            .into_iter()
            .chain(PERSONAL_PERMISSIONS)
            .collect(),
    };
    let everything = || {
        known
            .iter()
            .map(|name| ((*name).to_owned(), GithubLevel::Write))
    };
    let permissions = match (request.permissions, request.kind) {
        (Some(permissions), _) => permissions,
        (None, GithubTokenKind::Classic) => everything().collect(),
        (None, _) => BTreeMap::new(),
    };
    let unknown = permissions
        .keys()
        .find(|name| !known.contains(name.as_str()));
    if let Some(name) = unknown {
        let names: Vec<&str> = known.into_iter().collect();
        return Err(ApiError::bad_request(format!(
            "{name:?} is no permission of this kind of token; there are {}",
            names.join(", ")
        )));
    }
    let ids = request.repositories.iter().map(|name| id_of(file, name));
    let repositories = ids.collect::<Result<_, _>>()?;
    let default = if is_actions {
        ACTIONS_LOGIN
    } else {
        DEFAULT_USER
    };
    file.drawn += 1;
    let parts = ["github token", &seed.to_string(), &file.drawn.to_string()];
    let digest = ids::hex(&ids::derive_bytes(&parts)[..18]);
    let prefix = match request.kind {
        GithubTokenKind::Actions => "ghs_",
        GithubTokenKind::Fine => "github_pat_",
        GithubTokenKind::Classic => "ghp_",
    };
    let text = format!("{prefix}{digest}");
    let token = GithubToken {
        kind: request.kind,
        login: request.login.unwrap_or_else(|| default.to_owned()),
        repositories,
        permissions,
        can_push: request.can_push.unwrap_or(true),
        expired: request.expired,
    };
    file.tokens.insert(text.clone(), token);
    Ok(json!({ "token": text }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpireRequest {
    token: String,
}

fn expire_token(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: ExpireRequest = parse(body)?;
    let token = file.tokens.get_mut(&request.token);
    token.ok_or_else(|| ApiError::not_found("token"))?.expired = true;
    Ok(json!({ "ok": true }))
}
