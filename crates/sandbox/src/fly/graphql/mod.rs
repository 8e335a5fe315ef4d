//! `/graphql`: parses a document and resolves it field by field.
//!
//! flyctl sends anonymous queries with aliases, so nothing here depends on operation names. Every
//! object is JSON with its type in `__typename`. Fields that depend on other objects or take
//! arguments are computed in [`fields`], all others are looked up in the object.

mod fields;
mod mutations;
mod organizations;
mod queries;
mod ssh;
mod tokens;

use std::collections::BTreeMap;

use graphql_parser::query as ast;
use graphql_parser::query::{
    Definition, OperationDefinition, Selection, TypeCondition, parse_query,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::routes::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::json;
use crate::world::{JsonObject, SimulatedWorld};

type Document = ast::Document<'static, String>;
type Directive = ast::Directive<'static, String>;
type Field = ast::Field<'static, String>;
type Fragment = ast::FragmentDefinition<'static, String>;
type Literal = ast::Value<'static, String>;
type Operation = OperationDefinition<'static, String>;
type SelectionSet = ast::SelectionSet<'static, String>;

/// The maximum depth of a document. Fly's own clients stay below ten; a much deeper one could
/// overflow the stack.
const MAX_DEPTH: usize = 32;
/// The maximum depth of nested fragments. A fragment that contains itself twice would otherwise
/// double the work with each level.
const MAX_FRAGMENT_DEPTH: usize = 8;

pub(crate) fn routes() -> [Route; 1] {
    [route("POST", "/graphql", execute)
        .without_rate_limit()
        .read_only()]
}

/// An error of a field, as it appears in `errors`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphqlError {
    message: String,
    code: &'static str,
}

impl GraphqlError {
    pub(crate) fn new(message: impl Into<String>, code: &'static str) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }

    /// The message for a missing object; flyctl matches on its wording.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(format!("Could not find {what}"), "NOT_FOUND")
    }
}

impl From<ApiError> for GraphqlError {
    fn from(error: ApiError) -> Self {
        let code = match error.status {
            403 => "UNAUTHORIZED",
            404 => "NOT_FOUND",
            _ => "UNPROCESSABLE",
        };
        Self::new(error.body["error"].as_str().unwrap_or_default(), code)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GraphqlRequest {
    query: String,
    variables: Option<JsonObject>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
}

/// The state of the execution of one document.
struct Execution<'a> {
    call: &'a ApiCall,
    variables: JsonObject,
    fragments: BTreeMap<&'a str, &'a Fragment>,
    errors: Vec<Value>,
}

fn execute(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: GraphqlRequest = call.body()?;
    let document = match parse_query::<String>(&request.query) {
        Ok(document) => document.into_static(),
        Err(error) => return Ok(request_error(&format!("Parse error: {error}"))),
    };
    let Some(operation) = find_operation(
        &document,
        request.operation_name.as_deref().unwrap_or_default(),
    ) else {
        return Ok(request_error("the document has no such operation"));
    };
    let (is_mutation, definitions, selection) = match operation {
        OperationDefinition::SelectionSet(selection) => (false, [].as_slice(), selection),
        OperationDefinition::Query(query) => (
            false,
            query.variable_definitions.as_slice(),
            &query.selection_set,
        ),
        OperationDefinition::Mutation(mutation) => (
            true,
            mutation.variable_definitions.as_slice(),
            &mutation.selection_set,
        ),
        OperationDefinition::Subscription(_) => {
            return Ok(request_error("subscriptions are not supported"));
        }
    };
    if is_mutation && !call.caller.can_write() {
        return Ok(request_error("Not authorized to perform this mutation"));
    }
    // Variables that the request omits take the default value of their definition.
    let mut variables = request.variables.unwrap_or_default();
    for definition in definitions {
        if let (None, Some(default)) = (variables.get(&definition.name), &definition.default_value)
        {
            variables.insert(
                definition.name.clone(),
                resolve_literal(default, &Map::new()),
            );
        }
    }
    let fragments = document
        .definitions
        .iter()
        .filter_map(|definition| match definition {
            Definition::Fragment(fragment) => Some((fragment.name.as_str(), fragment)),
            Definition::Operation(_) => None,
        });
    let mut execution = Execution {
        call,
        variables,
        fragments: fragments.collect(),
        errors: Vec::new(),
    };
    let data = execution.execute_roots(world, selection, is_mutation);
    let mut response = json!({ "data": data });
    if !execution.errors.is_empty() {
        response["errors"] = execution.errors.into();
    }
    Ok(ApiResponse::ok(response))
}

fn request_error(message: &str) -> ApiResponse {
    ApiResponse::ok(
        json!({ "errors": [{ "message": message, "extensions": { "code": "GRAPHQL_VALIDATION_FAILED" } }] }),
    )
}

/// The operation with this name; with an empty name, the first one.
fn find_operation<'a>(document: &'a Document, name: &str) -> Option<&'a Operation> {
    let named = |operation: &&Operation| match operation {
        OperationDefinition::Query(query) => query.name.as_deref() == Some(name),
        OperationDefinition::Mutation(mutation) => mutation.name.as_deref() == Some(name),
        _ => false,
    };
    let all = || {
        document
            .definitions
            .iter()
            .filter_map(|definition| match definition {
                Definition::Operation(operation) => Some(operation),
                Definition::Fragment(_) => None,
            })
    };
    if name.is_empty() {
        all().next()
    } else {
        all().find(named)
    }
}

/// The value of a literal, with variables filled in.
fn resolve_literal(value: &Literal, variables: &JsonObject) -> Value {
    match value {
        Literal::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
        Literal::Int(number) => number.as_i64().into(),
        Literal::Float(number) => (*number).into(),
        Literal::String(text) => text.clone().into(),
        Literal::Boolean(flag) => (*flag).into(),
        Literal::Null => Value::Null,
        Literal::Enum(name) => name.clone().into(),
        Literal::List(items) => items
            .iter()
            .map(|item| resolve_literal(item, variables))
            .collect(),
        Literal::Object(object) => {
            let fields = object
                .iter()
                .map(|(name, value)| (name.clone(), resolve_literal(value, variables)));
            Value::Object(fields.collect())
        }
    }
}

impl Execution<'_> {
    fn argument_values(&self, field: &Field) -> JsonObject {
        let pairs = field.arguments.iter();
        pairs
            .map(|(name, value)| (name.clone(), resolve_literal(value, &self.variables)))
            .collect()
    }

    /// Evaluates the directives `@skip` and `@include`.
    fn is_included(&self, directives: &[Directive]) -> bool {
        directives.iter().all(|directive| {
            let condition = directive.arguments.iter().find(|(name, _)| name == "if");
            let condition =
                condition.is_some_and(|(_, value)| resolve_literal(value, &self.variables) == true);
            match directive.name.as_str() {
                "skip" => !condition,
                "include" => condition,
                _ => true,
            }
        })
    }

    fn execute_roots(
        &mut self,
        world: &mut SimulatedWorld,
        selection: &SelectionSet,
        is_mutation: bool,
    ) -> Value {
        let mut fields = Vec::new();
        self.collect_fields(
            selection,
            if is_mutation { "Mutation" } else { "Query" },
            &mut fields,
            0,
        );
        let mut data = Map::new();
        // In order, because a mutation may depend on the effect of the one before.
        for field in fields {
            let arguments = self.argument_values(&field);
            let name = field.alias.as_ref().unwrap_or(&field.name).clone();
            let result = match (field.name.as_str(), is_mutation) {
                ("__typename", _) => Ok(json!(if is_mutation { "Mutation" } else { "Query" })),
                (root, true) => mutations::resolve(world, self.call, root, &arguments),
                (root, false) => queries::resolve(world, self.call, root, &arguments),
            };
            let value = self.complete_value(world, result, &field, std::slice::from_ref(&name));
            data.insert(name, value);
        }
        data.into()
    }

    /// Collects the selected fields for an object of this type, including those of fragments.
    fn collect_fields(
        &self,
        selection: &SelectionSet,
        type_name: &str,
        fields: &mut Vec<Field>,
        depth: usize,
    ) {
        let applies = |condition: Option<&TypeCondition<'static, String>>| {
            // Every object counts as a `Node`, the interface of all objects with an id.
            condition
                .is_none_or(|TypeCondition::On(wanted)| wanted == type_name || wanted == "Node")
        };
        for item in &selection.items {
            match item {
                Selection::Field(field) if self.is_included(&field.directives) => {
                    fields.push(field.clone());
                }
                Selection::InlineFragment(part) if self.is_included(&part.directives) => {
                    let inside =
                        Some(&part.selection_set).filter(|_| applies(part.type_condition.as_ref()));
                    self.collect_fragment_fields(inside, type_name, fields, depth);
                }
                Selection::FragmentSpread(spread) if self.is_included(&spread.directives) => {
                    let part = self.fragments.get(spread.fragment_name.as_str());
                    let part = part.filter(|part| applies(Some(&part.type_condition)));
                    self.collect_fragment_fields(
                        part.map(|part| &part.selection_set),
                        type_name,
                        fields,
                        depth,
                    );
                }
                _ => {}
            }
        }
    }

    fn collect_fragment_fields(
        &self,
        part: Option<&SelectionSet>,
        type_name: &str,
        fields: &mut Vec<Field>,
        depth: usize,
    ) {
        if let Some(part) = part.filter(|_| depth < MAX_FRAGMENT_DEPTH) {
            self.collect_fields(part, type_name, fields, depth + 1);
        }
    }

    fn complete_value(
        &mut self,
        world: &SimulatedWorld,
        result: Result<Value, GraphqlError>,
        field: &Field,
        path: &[String],
    ) -> Value {
        match result {
            Ok(value) => self.complete_selection(world, value, &field.selection_set, path),
            // As the GraphQL specification demands: a failed field becomes null, and the rest of the
            // document is still executed.
            Err(error) => {
                self.errors.push(json!({
                    "message": error.message,
                    "path": path,
                    "extensions": { "code": error.code },
                }));
                Value::Null
            }
        }
    }

    /// Reduces a value to the selected fields.
    fn complete_selection(
        &mut self,
        world: &SimulatedWorld,
        value: Value,
        selection: &SelectionSet,
        path: &[String],
    ) -> Value {
        let object = match value {
            Value::Array(items) => {
                return items
                    .into_iter()
                    .map(|item| self.complete_selection(world, item, selection, path))
                    .collect();
            }
            Value::Object(object) if !selection.items.is_empty() && path.len() < MAX_DEPTH => {
                object
            }
            // A scalar, which includes JSON values without a selection.
            other => return other,
        };
        let type_name = json::string(object.get("__typename")).to_owned();
        let mut fields = Vec::new();
        self.collect_fields(selection, &type_name, &mut fields, 0);
        let mut selected = Map::new();
        for field in fields {
            let name = field.alias.as_ref().unwrap_or(&field.name).clone();
            let arguments = self.argument_values(&field);
            let result = fields::resolve(world, self.call, &object, &field.name, &arguments);
            let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
            let value = self.complete_value(world, result, &field, &path);
            selected.insert(name, value);
        }
        selected.into()
    }
}

/// A string argument; empty when it is absent or null.
fn string_argument<'a>(arguments: &'a JsonObject, name: &str) -> &'a str {
    json::string(arguments.get(name))
}

/// A GraphQL connection with these nodes, in one page.
fn connection(nodes: impl IntoIterator<Item = Value>) -> Value {
    let nodes: Vec<Value> = nodes.into_iter().collect();
    json!({
        "__typename": "Connection",
        "pageInfo": { "__typename": "PageInfo", "hasNextPage": false, "endCursor": "" },
        "totalCount": nodes.len(),
        "nodes": nodes,
    })
}
