//! `/graphql`: the few fields that no REST endpoint offers.

use std::collections::BTreeMap;

use graphql_parser::query as ast;
use graphql_parser::query::{Definition, OperationDefinition, Selection, parse_query};
use serde_json::{Map, Value, json};

use super::access::{GithubCaller, GithubLevel};
use super::call::{GithubCall, node_id, parse_node_id};
use super::response::{GithubError, GithubResponse};
use super::state::{GithubState, user_id};
use crate::clock::format_seconds;

type Field = ast::Field<'static, String>;
type Literal = ast::Value<'static, String>;
type SelectionSet = ast::SelectionSet<'static, String>;

/// The reasons for which a comment can be hidden.
const CLASSIFIERS: [&str; 6] = [
    "ABUSE",
    "DUPLICATE",
    "OFF_TOPIC",
    "OUTDATED",
    "RESOLVED",
    "SPAM",
];

/// An error of a field.
struct FieldError {
    kind: &'static str,
    message: String,
}

/// Whether a request changes something.
pub(crate) fn is_mutation(body: &[u8]) -> bool {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let query = body["query"].as_str().unwrap_or_default();
    let document = parse_query::<String>(query);
    document.is_ok_and(|document| {
        document.definitions.iter().any(|definition| {
            matches!(
                definition,
                Definition::Operation(OperationDefinition::Mutation(_))
            )
        })
    })
}

/// Runs a document.
pub(crate) fn execute(github: &mut GithubState, call: &GithubCall, body: &[u8]) -> GithubResponse {
    if matches!(call.caller, GithubCaller::Anonymous) {
        let message = "This endpoint requires you to be authenticated.";
        let page = "https://docs.github.com/graphql/guides/forming-calls-with-graphql#authenticating-with-graphql";
        return GithubError::new(403, message).into_response(page);
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let query = body["query"].as_str().unwrap_or_default();
    let document = match parse_query::<String>(query) {
        Ok(document) => document.into_static(),
        Err(error) => {
            return GithubResponse::ok(json!({ "errors": [{ "message": error.to_string() }] }));
        }
    };
    let operation = document.definitions.iter().find_map(|definition| {
        let Definition::Operation(operation) = definition else {
            return None;
        };
        Some(match operation {
            OperationDefinition::SelectionSet(set) => ("Query", set),
            OperationDefinition::Query(query) => ("Query", &query.selection_set),
            OperationDefinition::Mutation(mutation) => ("Mutation", &mutation.selection_set),
            OperationDefinition::Subscription(subscription) => {
                ("Subscription", &subscription.selection_set)
            }
        })
    });
    let Some((root, selection)) = operation else {
        let message = "A query attribute must be specified and must be a string.";
        return GithubResponse::ok(json!({ "errors": [{ "message": message }] }));
    };
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for selection in &selection.items {
        let Selection::Field(field) = selection else {
            continue;
        };
        let key = field.alias.as_ref().unwrap_or(&field.name).clone();
        let arguments = arguments(field, &body["variables"]);
        let resolved = resolve(github, call, root, &field.name, &arguments);
        let value = match resolved {
            Ok(value) => project(&value, &field.selection_set, &key, &mut errors),
            Err(error) => {
                errors.push(json!({
                    "type": error.kind, "path": [key], "message": error.message,
                    "locations": [{ "line": field.position.line, "column": field.position.column }],
                }));
                Value::Null
            }
        };
        data.insert(key, value);
    }
    let mut answer = json!({ "data": data });
    if !errors.is_empty() {
        answer["errors"] = errors.into();
    }
    GithubResponse::ok(answer)
}

fn arguments(field: &Field, variables: &Value) -> BTreeMap<String, Value> {
    field
        .arguments
        .iter()
        .map(|(name, literal)| (name.clone(), to_json(literal, variables)))
        .collect()
}

fn to_json(literal: &Literal, variables: &Value) -> Value {
    match literal {
        ast::Value::Variable(name) => variables[name.as_str()].clone(),
        ast::Value::Int(number) => number.as_i64().into(),
        ast::Value::Float(number) => json!(number),
        ast::Value::String(text) | ast::Value::Enum(text) => text.as_str().into(),
        ast::Value::Boolean(flag) => (*flag).into(),
        ast::Value::Null => Value::Null,
        ast::Value::List(items) => items.iter().map(|item| to_json(item, variables)).collect(),
        ast::Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), to_json(member, variables)))
            .collect(),
    }
}

/// The selected members of an object.
fn project(value: &Value, selection: &SelectionSet, path: &str, errors: &mut Vec<Value>) -> Value {
    let Value::Object(object) = value else {
        return value.clone();
    };
    let mut selected = Map::new();
    for selection in &selection.items {
        let inner = match selection {
            Selection::Field(field) => {
                let key = field.alias.as_ref().unwrap_or(&field.name).clone();
                match object.get(&field.name) {
                    Some(value) => {
                        let value = project(value, &field.selection_set, &key, errors);
                        selected.insert(key, value);
                    }
                    None => errors.push(json!({
                        "path": [path, key],
                        "extensions": { "code": "undefinedField", "fieldName": field.name },
                        "message": format!(
                            "Field '{}' doesn't exist on type '{}'", field.name, object["__typename"].as_str().unwrap_or_default()
                        ),
                    })),
                }
                continue;
            }
            Selection::InlineFragment(fragment) => &fragment.selection_set,
            Selection::FragmentSpread(_) => continue,
        };
        if let Value::Object(more) = project(value, inner, path, errors) {
            selected.extend(more);
        }
    }
    selected.into()
}

fn resolve(
    github: &mut GithubState,
    call: &GithubCall,
    root: &str,
    field: &str,
    arguments: &BTreeMap<String, Value>,
) -> Result<Value, FieldError> {
    let text = |name: &str| {
        arguments
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match (root, field) {
        (_, "__typename") => Ok(root.into()),
        ("Query", "viewer") => Ok(viewer(call)),
        ("Query", "rateLimit") => {
            let window = *github
                .limiter
                .window(&call.caller, &github.file.behaviour, call.now_ms);
            Ok(json!({
                "__typename": "RateLimit", "cost": 1, "limit": window.limit, "used": window.used,
                "remaining": window.limit.saturating_sub(window.used), "nodeCount": 0,
                "resetAt": format_seconds(window.reset_ms),
            }))
        }
        ("Query", "repository") => {
            let (owner, name) = (text("owner"), text("name"));
            let found = github.file.find_repository(owner, name);
            let found = found.filter(|found| call.caller.can_see(found));
            let found = found.ok_or_else(|| FieldError {
                kind: "NOT_FOUND",
                message: format!(
                    "Could not resolve to a Repository with the name '{owner}/{name}'."
                ),
            })?;
            Ok(json!({
                "__typename": "Repository", "id": node_id("R", found.id), "databaseId": found.id,
                "name": found.name, "nameWithOwner": found.full_name(), "isPrivate": found.private,
                "isArchived": found.archived, "hasIssuesEnabled": found.has_issues,
            }))
        }
        ("Mutation", "minimizeComment" | "unminimizeComment") => {
            let input = arguments.get("input").unwrap_or(&Value::Null);
            minimize(github, call, input, field == "minimizeComment")
        }
        _ => Err(FieldError {
            kind: "undefinedField",
            message: format!("Field '{field}' doesn't exist on type '{root}'"),
        }),
    }
}

fn viewer(call: &GithubCall) -> Value {
    let login = call.caller.login();
    let id = user_id(login);
    let prefix = if login.ends_with("[bot]") { "BOT" } else { "U" };
    json!({
        "__typename": "User", "login": login, "id": node_id(prefix, id), "databaseId": id,
        "url": format!("{}/{login}", super::views::WEB),
    })
}

/// Hides a comment, or shows it again.
fn minimize(
    github: &mut GithubState,
    call: &GithubCall,
    input: &Value,
    hide: bool,
) -> Result<Value, FieldError> {
    let subject = input["subjectId"].as_str().unwrap_or_default();
    let classifier = input["classifier"].as_str().unwrap_or_default();
    if hide && !CLASSIFIERS.contains(&classifier) {
        return Err(FieldError {
            kind: "argumentLiteralsIncompatible",
            message: format!(
                "Argument 'classifier' on InputObject 'MinimizeCommentInput' has an invalid value ({classifier}). \
                 Expected type 'ReportedContentClassifiers!'."
            ),
        });
    }
    let id = parse_node_id("IC", subject);
    let is_visible = |repository: &&mut super::state::GithubRepository| {
        let exists = id.is_some_and(|id| repository.comments.contains_key(&id));
        exists && call.caller.can_see(repository)
    };
    let mut repositories = github.file.repositories.values_mut();
    let Some(repository) = repositories.find(is_visible) else {
        return Err(FieldError {
            kind: "NOT_FOUND",
            message: format!("Could not resolve to a node with the global id of '{subject}'"),
        });
    };
    let needed = [
        ("issues", GithubLevel::Write),
        ("pull_requests", GithubLevel::Write),
    ];
    let may = needed.iter().any(|(name, level)| match call.caller {
        GithubCaller::Token(ref token) => {
            token.repositories.contains(&repository.id)
                && token.permissions.get(*name).is_some_and(|has| has >= level)
        }
        GithubCaller::Anonymous => false,
    });
    if !may {
        return Err(FieldError {
            kind: "FORBIDDEN",
            message: "Resource not accessible by integration".to_owned(),
        });
    }
    let comment = id.and_then(|id| repository.comments.get_mut(&id));
    let reason = hide.then(|| classifier.to_owned());
    if let Some(comment) = comment {
        comment.minimized.clone_from(&reason);
    }
    let shown = json!({
        "__typename": "IssueComment",
        "id": subject,
        "isMinimized": hide,
        "minimizedReason": reason.map(|reason| reason.to_lowercase().replace('_', "-")),
        "viewerCanMinimize": true,
    });
    let (kind, name) = match hide {
        true => ("MinimizeCommentPayload", "minimizedComment"),
        false => ("UnminimizeCommentPayload", "unminimizedComment"),
    };
    let mut payload = json!({
        "__typename": kind, "clientMutationId": input["clientMutationId"],
    });
    payload[name] = shown;
    Ok(payload)
}
