//! What people and hosts do meanwhile. What is refused, because somebody else is at the machine, has not happened.

use serde_json::{Value, json};
use trimtab_sandbox::RunningSandbox;

use super::normalized_state;
use crate::support::clients::send_request;

/// A machine of ours: its app, its identifier, and everything else.
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

/// Does the n-th thing that can be done by hand.
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
    // Refused where a lease is held, which is as good a case.
    drop(send_request(sandbox, method, &path, &body).await);
}

/// Lets the host of our first machine stop to answer, and says how to let it answer again.
pub(super) async fn make_first_host_unreachable(sandbox: &RunningSandbox) -> Option<String> {
    let id = owned_machines(sandbox).into_iter().next()?.1;
    set_host_status(sandbox, &id, "unreachable").await;
    Some(id)
}

/// Says of the host of a machine whether it can be reached.
pub(super) async fn set_host_status(sandbox: &RunningSandbox, id: &str, status: &str) {
    let body = json!({ "machine": id, "status": status });
    // The machine may be gone by now.
    drop(send_request(sandbox, "POST", "/_sandbox/hosts", &body).await);
}
