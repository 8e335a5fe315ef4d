//! What people do by hand, as requests that a script can send as well.

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::Team;

/// What a request says of the object that it is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Nothing,
    Just(Value),
    /// A machine's own configuration with these changes.
    Patched(Value),
}

/// A request about an object in a list of an app.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deed {
    /// Which app, by its place among the manifest's.
    pub(super) app: usize,
    /// The list, where its items stand in the answer, and their key.
    pub(super) list: (&'static str, &'static str, &'static str),
    /// Which item.
    pub(super) pick: usize,
    pub(super) method: &'static str,
    /// What follows the app's address; `ID` is the item's key.
    pub(super) path: &'static str,
    pub(super) body: Body,
}

const MACHINES: (&str, &str, &str) = ("machines", "", "id");
const VOLUMES: (&str, &str, &str) = ("volumes", "", "id");
const IPS: (&str, &str, &str) = ("ip_assignments", "/ips", "ip");
const HOSTS: (&str, &str, &str) = ("certificates", "/certificates", "hostname");
const SECRETS: (&str, &str, &str) = ("secrets", "/secrets", "name");

type Sort = (
    (&'static str, &'static str, &'static str),
    &'static str,
    &'static str,
    Body,
);

/// Every sort of deed.
fn sorts() -> Vec<Sort> {
    let machine = |patch| (MACHINES, "POST", "machines/ID", Body::Patched(patch));
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
            Body::Just(json!({ "region": "fra", "config": { "image": "stranger:1" } })),
        ),
        (
            MACHINES,
            "POST",
            "machines",
            Body::Patched(json!({ "mounts": [], "standbys": [] })),
        ),
        (MACHINES, "DELETE", "machines/ID?force=true", Body::Nothing),
        (MACHINES, "POST", "machines/ID/cordon", Body::Nothing),
        (MACHINES, "POST", "machines/ID/stop", Body::Just(json!({}))),
        (
            MACHINES,
            "DELETE",
            "machines/ID/metadata/trimtab_name",
            Body::Nothing,
        ),
        (
            MACHINES,
            "DELETE",
            "machines/ID/metadata/trimtab_project",
            Body::Nothing,
        ),
        (
            VOLUMES,
            "PUT",
            "volumes/ID",
            Body::Just(json!({ "snapshot_retention": 11, "auto_backup_enabled": false })),
        ),
        (
            VOLUMES,
            "POST",
            "volumes",
            Body::Just(json!({ "name": "data", "region": "iad", "size_gb": 1 })),
        ),
        (IPS, "DELETE", "ip_assignments/ID", Body::Nothing),
        (
            IPS,
            "POST",
            "ip_assignments",
            Body::Just(json!({ "type": "v6" })),
        ),
        (HOSTS, "DELETE", "certificates/ID", Body::Nothing),
        // The label of an app is a secret too.
        (SECRETS, "DELETE", "secrets/ID", Body::Nothing),
        (
            SECRETS,
            "POST",
            "secrets",
            Body::Just(json!({ "values": { "SECRET_KEY": "by hand" } })),
        ),
        (
            SECRETS,
            "POST",
            "secrets",
            Body::Just(json!({ "values": { "STRANGE": "by hand" } })),
        ),
    ]
}

/// Any deed.
pub(super) fn deed() -> impl Strategy<Value = Deed> {
    (select(sorts()), 0..3usize, 0..6usize).prop_map(|((list, method, path, body), app, pick)| {
        Deed {
            app,
            list,
            pick,
            method,
            path,
            body,
        }
    })
}

/// A table with another's entries, deep.
fn merged(there: &Value, patch: &Value) -> Value {
    match (there, patch) {
        (Value::Object(there), Value::Object(patch)) => {
            let mut whole = there.clone();
            for (key, value) in patch {
                let value = merged(there.get(key).unwrap_or(&Value::Null), value);
                whole.insert(key.clone(), value);
            }
            Value::Object(whole)
        }
        _ => patch.clone(),
    }
}

/// Does it, if there is something to do it to. What the API refuses has not happened.
pub(super) async fn done(team: &Team, apps: &[String], deed: &Deed) {
    let Deed {
        app,
        list: (list, within, key),
        pick,
        method,
        path,
        body,
    } = deed;
    let base = format!("/v1/apps/{}", apps[app % apps.len()]);
    let Ok(listed) = team
        .ask("GET", &format!("{base}/{list}"), &Value::Null)
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
    if id.is_empty() && (path.contains("ID") || matches!(body, Body::Patched(_))) {
        return;
    }
    let body = match body {
        Body::Nothing => Value::Null,
        Body::Just(body) => body.clone(),
        Body::Patched(patch) => {
            let Ok(machine) = team
                .ask("GET", &format!("{base}/machines/{id}"), &Value::Null)
                .await
            else {
                return;
            };
            json!({ "region": machine["region"], "config": merged(&machine["config"], patch) })
        }
    };
    drop(
        team.ask(method, &format!("{base}/{}", path.replace("ID", id)), &body)
            .await,
    );
}

/// The same for a shell.
pub(super) fn script(apps: &[String], deed: &Deed) -> String {
    let Deed {
        app,
        list: (list, within, key),
        pick,
        method,
        path,
        body,
    } = deed;
    let base = format!("/v1/apps/{}", apps[app % apps.len()]);
    let mut lines = Vec::new();
    if path.contains("ID") || matches!(body, Body::Patched(_)) {
        let items = within.replace('/', ".");
        let chosen = format!(
            "[{}[]?.{key}] | .[{pick} % (length + 1 - ([length, 1] | min))] // empty",
            if items.is_empty() { "." } else { &items }
        );
        lines.push(format!("id=$(api GET '{base}/{list}' | jq -r '{chosen}')"));
    }
    let path = path.replace("ID", "'\"$id\"'");
    let send = match body {
        Body::Nothing => format!("api {method} '{base}/{path}'"),
        Body::Just(body) => format!(
            "api {method} '{base}/{path}' --json {}",
            quoted(&body.to_string())
        ),
        Body::Patched(patch) => {
            let filter = format!("{{region, config: (.config * {patch})}}");
            lines.push(format!(
                "body=$(api GET '{base}/machines/'\"$id\" | jq -c {})",
                quoted(&filter)
            ));
            format!("api {method} '{base}/{path}' --json \"$body\"")
        }
    };
    lines.push(format!("{send} || true # what is refused has not happened"));
    lines.join("\n")
}

/// A word in a shell's quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
