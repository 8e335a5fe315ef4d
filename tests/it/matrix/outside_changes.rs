//! Manual changes and host outages during a run. A change that the API rejects, because somebody
//! else holds a lease, simply does not happen.

use serde_json::{Value, json};
use trimtab_sandbox::RunningSandbox;

use super::normalized_state;
use crate::support::clients::send_request;

/// Our machines: app, id, and the machine itself.
fn owned_machines(sandbox: &RunningSandbox) -> Vec<(String, String, Value)> {
    let state = sandbox.state();
    normalized_state::existing_machines(&state)
        .into_iter()
        .filter(|(_, machine)| !machine["config"]["metadata"]["trimtab_name"].is_null())
        .map(|(app, machine)| {
            (
                app.to_owned(),
                machine["id"].as_str().unwrap().to_owned(),
                machine.clone(),
            )
        })
        .collect()
}

/// Makes the n-th of the possible manual changes.
pub(super) async fn make_manual_change(sandbox: &RunningSandbox, n: usize) {
    let machines = owned_machines(sandbox);
    let Some((app, id, machine)) = machines.get(n / 7 % machines.len().max(1)) else {
        return;
    };
    let base = format!("/v1/apps/{app}");
    let path = format!("{base}/machines/{id}");
    let mut config = machine["config"].clone();
    let (method, path, body) = match n % 7 {
        0 => {
            config["env"] = json!({ "BY_HAND": "1" });
            ("POST", path, json!({ "config": config }))
        }
        1 => ("DELETE", format!("{path}?force=true"), Value::Null),
        2 => ("POST", format!("{path}/cordon"), json!({})),
        3 => (
            "DELETE",
            format!("{path}/metadata/trimtab_name"),
            Value::Null,
        ),
        4 => {
            let known = sandbox.state()["apps"][app]["secrets"].clone();
            let Some(name) = known
                .as_object()
                .and_then(|all| all.keys().find(|name| !name.starts_with("TRIMTAB")))
            else {
                return;
            };
            (
                "POST",
                format!("{base}/secrets"),
                json!({ "values": { name: "by hand" } }),
            )
        }
        5 => {
            let config = json!({ "image": "by-hand:1" });
            (
                "POST",
                format!("{base}/machines"),
                json!({ "region": machine["region"], "config": config }),
            )
        }
        _ => ("DELETE", format!("{base}?force=true"), Value::Null),
    };
    // Rejected while a lease is held, which is a valid case too.
    drop(send_request(sandbox, method, &path, &body).await);
}

/// Makes the host of our first machine unreachable; returns the machine's id.
pub(super) async fn make_first_host_unreachable(sandbox: &RunningSandbox) -> Option<String> {
    let id = owned_machines(sandbox).into_iter().next()?.1;
    set_host_status(sandbox, &id, "unreachable").await;
    Some(id)
}

pub(super) async fn set_host_status(sandbox: &RunningSandbox, id: &str, status: &str) {
    let body = json!({ "machine": id, "status": status });
    // The machine may be gone by now.
    drop(send_request(sandbox, "POST", "/_sandbox/hosts", &body).await);
}
