//! What people do by hand, as requests that a script can send as well.

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::TestEnv;

/// What a request says of the object that it is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RequestBody {
    Empty,
    Json(Value),
    /// A machine's own configuration with these changes.
    PatchedConfig(Value),
}

/// A request about an object in a list of an app.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ManualRequest {
    /// Which app, by its place among the manifest's.
    pub(super) app_index: usize,
    /// The list, where its items stand in the answer, and their key.
    pub(super) list: (&'static str, &'static str, &'static str),
    /// Which item.
    pub(super) item_index: usize,
    pub(super) method: &'static str,
    /// What follows the app's address; `ID` is the item's key.
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

/// Every sort of deed.
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
        // A machine beside the others: by somebody who knows nothing of us, or a copy of one of ours.
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
        // The label of an app is a secret too.
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

/// Any deed.
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

/// A table with another's entries, deep.
fn merge_json(there: &Value, patch: &Value) -> Value {
    match (there, patch) {
        (Value::Object(there), Value::Object(patch)) => {
            let mut whole = there.clone();
            for (key, value) in patch {
                let value = merge_json(there.get(key).unwrap_or(&Value::Null), value);
                whole.insert(key.clone(), value);
            }
            Value::Object(whole)
        }
        _ => patch.clone(),
    }
}

/// Does it, if there is something to do it to. What the API refuses has not happened.
pub(super) async fn send_manual_request(team: &TestEnv, apps: &[String], deed: &ManualRequest) {
    let ManualRequest {
        app_index: app,
        list: (list, within, key),
        item_index: pick,
        method,
        path,
        body,
    } = deed;
    let base = format!("/v1/apps/{}", apps[app % apps.len()]);
    let Ok(listed) = team
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
            let Ok(machine) = team
                .try_manual_request("GET", &format!("{base}/machines/{id}"), &Value::Null)
                .await
            else {
                return;
            };
            json!({ "region": machine["region"], "config": merge_json(&machine["config"], patch) })
        }
    };
    drop(
        team.try_manual_request(method, &format!("{base}/{}", path.replace("ID", id)), &body)
            .await,
    );
}

/// The same for a shell.
pub(super) fn shell_script(apps: &[String], deed: &ManualRequest) -> String {
    let ManualRequest {
        app_index: app,
        list: (list, within, key),
        item_index: pick,
        method,
        path,
        body,
    } = deed;
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

/// A word in a shell's quotes.
pub(super) fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
