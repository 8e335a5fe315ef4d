//! Validates responses against Fly's OpenAPI document: types, enumerations, required and unknown
//! properties.
//!
//! The document is older than the service and wrong in places. Every known deviation is listed
//! below with the source that is right instead.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// The document as Fly published it.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../wire/fly-machines-openapi.json")).unwrap()
});

/// Properties that the document lacks: `Schema.property`, and the source of each.
const EXTRA_PROPERTIES: &[(&str, &str)] = &[
    ("App.cname_target", "fly-go's App"),
    ("App.app_role", "fly-go's App"),
    ("App.created_at", "the create example of the documentation"),
    (
        "Machine.version",
        "fly-go's Machine; the document has it for lists over an organisation only",
    ),
    (
        "Machine.cordoned",
        "fly-go's Machine, and the later document",
    ),
    (
        "Machine.containers",
        "fly-go's Machine, for machines of several containers",
    ),
    ("Machine.lease", "the later document"),
    ("main.regionRow.mpg_available", "fly-go's Region"),
    ("IPAssignment.egress", "the later document"),
    ("IPAssignment.network", "the later document"),
    (
        "IPAssignment.ip_pair",
        "the later document, for type egress_pair",
    ),
    (
        "Volume.host_dedication_key",
        "the examples of the documentation",
    ),
    (
        "OrgVolume.host_dedication_key",
        "the examples of the documentation",
    ),
    ("fly.MachineConfig.spot", "fly-go's MachineConfig"),
    ("fly.MachineConfig.volumes", "fly-go's MachineConfig"),
    ("fly.MachineProcess.env_from", "fly-go's MachineProcess"),
    ("ErrorResponse.message", "leases and fly-go's error reader"),
    ("ErrorResponse.code", "leases"),
    (
        "Lease.status",
        "the documentation puts leases into an envelope",
    ),
    (
        "Lease.data",
        "the documentation puts leases into an envelope",
    ),
];

/// Values that the document does not allow: `Schema.property`, the value, and its source.
const EXTRA_VALUES: &[(&str, &str, &str)] = &[
    (
        "Volume.attached_machine_id",
        "null",
        "the examples of the documentation, and fly-go's pointer",
    ),
    (
        "Volume.attached_alloc_id",
        "null",
        "the examples of the documentation, and fly-go's pointer",
    ),
    ("OrgVolume.attached_machine_id", "null", "as Volume"),
    ("OrgVolume.attached_alloc_id", "null", "as Volume"),
    (
        "IPAssignment.network",
        "null",
        "null except for private addresses",
    ),
    ("IPAssignment.ip", "null", "null for an egress pair"),
    (
        "fly.MachineService.force_instance_key",
        "null",
        "fly-go has no omitempty here",
    ),
    (
        "fly.MachineService.autostop",
        "true",
        "the property's own description: booleans for off and stop",
    ),
    (
        "fly.MachineService.autostop",
        "false",
        "the property's own description: booleans for off and stop",
    ),
    ("main.statusCode", "\"name_taken\"", "fly-go's error codes"),
    ("main.statusCode", "\"error\"", "leases"),
];

/// The violations of the document in a response; empty for paths outside the document.
pub(crate) fn violations(method: &str, path: &str, status: u16, text: &str) -> Vec<String> {
    let Some(path) = path.strip_prefix("/v1") else {
        return Vec::new();
    };
    let Some((template, operation)) = operation(method, path) else {
        return Vec::new();
    };
    let described = operation["responses"].get(status.to_string());
    let schema = described.and_then(|response| {
        let content = response.get("content")?.as_object()?;
        content.values().next()?.get("schema")
    });
    let error = serde_json::json!({ "$ref": "#/components/schemas/ErrorResponse" });
    let schema = match (schema, status) {
        (Some(schema), _) => schema,
        (None, 400..) => &error,
        (None, _) if described.is_some() => return Vec::new(),
        (None, _) => return vec![format!("{method} {template} does not answer {status}")],
    };
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        return vec![format!(
            "{method} {template} {status} is not JSON: {text:?}"
        )];
    };
    let mut errors = Vec::new();
    check_value(schema, &body, template, &mut errors);
    errors
}

/// All operations of the document, such as `GET /apps`.
pub(crate) fn operations() -> Vec<String> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|method| method.as_str() != "parameters");
        methods
            .map(|method| format!("{} {path}", method.to_uppercase()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// The path template and the definition of the operation that serves a path.
pub(crate) fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let parts: Vec<&str> = path.split('/').collect();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let matches = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == parts.len()
            && wanted
                .iter()
                .zip(&parts)
                .all(|(want, have)| want.starts_with('{') || want == have)
    };
    // A literal path takes precedence over one with parameters, as in any router.
    let mut candidates: Vec<_> = paths
        .iter()
        .filter(|(template, _)| matches(template))
        .collect();
    candidates.sort_by_key(|(template, _)| template.matches('{').count());
    candidates
        .iter()
        .find_map(|(template, item)| Some((template.as_str(), item.get(method.to_lowercase())?)))
}

fn check_value(schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap();
        return check_value(
            &DOCUMENT["components"]["schemas"][name],
            value,
            name,
            errors,
        );
    }
    for part in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        check_value(part, value, at, errors);
    }
    let shown = value.to_string();
    if EXTRA_VALUES
        .iter()
        .any(|(location, allowed, _)| *location == at && *allowed == shown)
    {
        return;
    }
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let nothing = value.is_null() && schema["nullable"] == true;
    if !nothing && !has_type(kind, value) {
        errors.push(format!("{at} is {shown}, not {kind}"));
        return;
    }
    let allowed = schema.get("enum").and_then(Value::as_array);
    if allowed.is_some_and(|allowed| !allowed.contains(value)) {
        errors.push(format!(
            "{at} is {shown}, which is not among {}",
            schema["enum"]
        ));
    }
    if let (Some(items), Some(item)) = (value.as_array(), schema.get("items")) {
        items
            .iter()
            .for_each(|value| check_value(item, value, &format!("{at}[]"), errors));
    }
    if let Some(object) = value.as_object() {
        check_object(schema, object, at, errors);
    }
}

fn check_object(schema: &Value, object: &Map<String, Value>, at: &str, errors: &mut Vec<String>) {
    for required in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if !object.contains_key(required.as_str().unwrap()) {
            errors.push(format!("{at} lacks {required}"));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in object {
        let location = format!("{at}.{name}");
        match (
            properties.and_then(|known| known.get(name)),
            schema.get("additionalProperties"),
        ) {
            (Some(schema), _) => check_value(schema, value, &location, errors),
            (None, Some(schema)) if schema.is_object() => {
                check_value(schema, value, &format!("{at}.*"), errors);
            }
            (None, _) if properties.is_none() => {}
            (None, _) if EXTRA_PROPERTIES.iter().any(|(known, _)| *known == location) => {}
            (None, _) => errors.push(format!("{location} is unknown")),
        }
    }
}

fn has_type(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

#[test]
fn check_reports_violations() {
    let errors = |method: &str, path: &str, status: u16, body: Value| {
        violations(method, path, status, &body.to_string()).join("; ")
    };
    let app = serde_json::json!({ "name": 1, "organization": { "slug": [] }, "nonsense": 2 });
    let expected = "App.name is 1, not string; App.nonsense is unknown; AppOrganizationInfo.slug is [], not string";
    assert_eq!(errors("GET", "/v1/apps/web", 200, app), expected);
    let machines = serde_json::json!([{ "host_status": "fine", "config": { "image": null } }]);
    let all = errors("GET", "/v1/apps/web/machines", 200, machines);
    assert!(
        all.contains("Machine.host_status is \"fine\", which is not among"),
        "{all}"
    );
    assert!(
        all.contains("fly.MachineConfig.image is null, not string"),
        "{all}"
    );
    assert_eq!(
        errors("GET", "/v1/apps/web", 299, Value::Null),
        "GET /apps/{app_name} does not answer 299"
    );
    let error = serde_json::json!({ "error": "x", "status": "odd" });
    assert!(errors("GET", "/v1/apps/web", 404, error).contains("main.statusCode"));
}
