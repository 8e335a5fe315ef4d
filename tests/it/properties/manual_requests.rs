//! Manual changes as API requests, which a shell script can send too.

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::TestEnv;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum RequestBody {
    Empty,
    Json(Value),
    /// The machine's current configuration with these changes.
    PatchedConfig(Value),
}

/// A request about an object in one of an app's lists.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ManualRequest {
    /// Which of the manifest's apps.
    pub(super) app_index: usize,
    /// The list's path, the JSON pointer to its items, and the key that identifies an item.
    pub(super) list: (&'static str, &'static str, &'static str),
    /// Which item of the list.
    pub(super) item_index: usize,
    pub(super) method: &'static str,
    /// The path after the app's; `ID` stands for the item's key.
    pub(super) path: &'static str,
    pub(super) body: RequestBody,
}

const MACHINES: (&str, &str, &str) = ("machines", "", "id");
const VOLUMES: (&str, &str, &str) = ("volumes", "", "id");
const IPS: (&str, &str, &str) = ("ip_assignments", "/ips", "ip");
const CERTIFICATES: (&str, &str, &str) = ("certificates", "/certificates", "hostname");
const SECRETS: (&str, &str, &str) = ("secrets", "/secrets", "name");

type RequestTemplate = (
    (&'static str, &'static str, &'static str),
    &'static str,
    &'static str,
    RequestBody,
);

/// Every kind of manual request.
fn request_templates() -> Vec<RequestTemplate> {
    let machine = |patch| {
        (
            MACHINES,
            "POST",
            "machines/ID",
            RequestBody::PatchedConfig(patch),
        )
    };
    vec![
        machine(json!({ "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 2048 } })),
        machine(json!({ "env": { "BY_HAND": "1" } })),
        machine(json!({ "image": "other:9" })),
        machine(json!({ "metadata": { "trimtab_name": "web/app/iad/0" } })),
        machine(
            json!({ "restart": { "policy": "on-failure", "max_retries": 3 }, "metadata": { "theirs": "x" } }),
        ),
        machine(json!({ "services": [], "checks": {} })),
        // Another machine: one without our metadata, or a copy of one of ours.
        (
            MACHINES,
            "POST",
            "machines",
            RequestBody::Json(json!({ "region": "fra", "config": { "image": "stranger:1" } })),
        ),
        (
            MACHINES,
            "POST",
            "machines",
            RequestBody::PatchedConfig(json!({ "mounts": [], "standbys": [] })),
        ),
        (
            MACHINES,
            "DELETE",
            "machines/ID?force=true",
            RequestBody::Empty,
        ),
        (MACHINES, "POST", "machines/ID/cordon", RequestBody::Empty),
        (
            MACHINES,
            "POST",
            "machines/ID/stop",
            RequestBody::Json(json!({})),
        ),
        (
            MACHINES,
            "DELETE",
            "machines/ID/metadata/trimtab_name",
            RequestBody::Empty,
        ),
        (
            MACHINES,
            "DELETE",
            "machines/ID/metadata/trimtab_project",
            RequestBody::Empty,
        ),
        (
            VOLUMES,
            "PUT",
            "volumes/ID",
            RequestBody::Json(json!({ "snapshot_retention": 11, "auto_backup_enabled": false })),
        ),
        (
            VOLUMES,
            "POST",
            "volumes",
            RequestBody::Json(json!({ "name": "data", "region": "iad", "size_gb": 1 })),
        ),
        (IPS, "DELETE", "ip_assignments/ID", RequestBody::Empty),
        (
            IPS,
            "POST",
            "ip_assignments",
            RequestBody::Json(json!({ "type": "v6" })),
        ),
        (
            CERTIFICATES,
            "DELETE",
            "certificates/ID",
            RequestBody::Empty,
        ),
        // The app's ownership label is a secret too, so this may delete it.
        (SECRETS, "DELETE", "secrets/ID", RequestBody::Empty),
        (
            SECRETS,
            "POST",
            "secrets",
            RequestBody::Json(json!({ "values": { "SECRET_KEY": "by hand" } })),
        ),
        (
            SECRETS,
            "POST",
            "secrets",
            RequestBody::Json(json!({ "values": { "STRANGE": "by hand" } })),
        ),
    ]
}

pub(super) fn manual_request() -> impl Strategy<Value = ManualRequest> {
    (select(request_templates()), 0..3usize, 0..6usize).prop_map(
        |((list, method, path, body), app, pick)| ManualRequest {
            app_index: app,
            list,
            item_index: pick,
            method,
            path,
            body,
        },
    )
}

/// Merges a JSON value into another, as JSON Merge Patch does, but without deletions.
fn merge_json(current: &Value, patch: &Value) -> Value {
    match (current, patch) {
        (Value::Object(current), Value::Object(patch)) => {
            let mut whole = current.clone();
            for (key, value) in patch {
                let value = merge_json(current.get(key).unwrap_or(&Value::Null), value);
                whole.insert(key.clone(), value);
            }
            Value::Object(whole)
        }
        _ => patch.clone(),
    }
}

/// Sends the request if its object exists. A request that the API rejects has no effect.
pub(super) async fn send_manual_request(env: &TestEnv, apps: &[String], request: &ManualRequest) {
    let ManualRequest {
        app_index: app,
        list: (list, within, key),
        item_index: pick,
        method,
        path,
        body,
    } = request;
    let base = format!("/v1/apps/{}", apps[app % apps.len()]);
    let Ok(listed) = env
        .try_manual_request("GET", &format!("{base}/{list}"), &Value::Null)
        .await
    else {
        return;
    };
    let items = listed
        .pointer(within)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let item = items.get(pick % items.len().max(1));
    let id = item
        .and_then(|item| item[*key].as_str())
        .unwrap_or_default();
    if id.is_empty() && (path.contains("ID") || matches!(body, RequestBody::PatchedConfig(_))) {
        return;
    }
    let body = match body {
        RequestBody::Empty => Value::Null,
        RequestBody::Json(body) => body.clone(),
        RequestBody::PatchedConfig(patch) => {
            let Ok(machine) = env
                .try_manual_request("GET", &format!("{base}/machines/{id}"), &Value::Null)
                .await
            else {
                return;
            };
            json!({ "region": machine["region"], "config": merge_json(&machine["config"], patch) })
        }
    };
    drop(
        env.try_manual_request(method, &format!("{base}/{}", path.replace("ID", id)), &body)
            .await,
    );
}

/// The request as shell commands.
pub(super) fn shell_script(apps: &[String], request: &ManualRequest) -> String {
    let ManualRequest {
        app_index: app,
        list: (list, within, key),
        item_index: pick,
        method,
        path,
        body,
    } = request;
    let base = format!("/v1/apps/{}", apps[app % apps.len()]);
    let mut lines = Vec::new();
    if path.contains("ID") || matches!(body, RequestBody::PatchedConfig(_)) {
        let items = within.replace('/', ".");
        let chosen = format!(
            "[{}[]?.{key}] | .[{pick} % (length + 1 - ([length, 1] | min))] // empty",
            if items.is_empty() { "." } else { &items }
        );
        lines.push(format!("id=$(api GET '{base}/{list}' | jq -r '{chosen}')"));
    }
    let path = path.replace("ID", "'\"$id\"'");
    let send = match body {
        RequestBody::Empty => format!("api {method} '{base}/{path}'"),
        RequestBody::Json(body) => format!(
            "api {method} '{base}/{path}' --json {}",
            shell_quoted(&body.to_string())
        ),
        RequestBody::PatchedConfig(patch) => {
            let filter = format!("{{region, config: (.config * {patch})}}");
            lines.push(format!(
                "body=$(api GET '{base}/machines/'\"$id\" | jq -c {})",
                shell_quoted(&filter)
            ));
            format!("api {method} '{base}/{path}' --json \"$body\"")
        }
    };
    lines.push(format!("{send} || true # what is refused has not happened"));
    lines.join("\n")
}

/// A text in single quotes for the shell.
pub(super) fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
