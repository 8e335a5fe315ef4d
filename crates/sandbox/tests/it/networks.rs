//! Private networks of an organization, and network policies.

use serde_json::{Value, json};

use crate::support::{TestSandbox, graphql, nginx_machine};

/// The first three groups of a private address, which all addresses of a network share.
fn prefix(address: &Value) -> String {
    let groups: Vec<&str> = address.as_str().unwrap().split(':').take(3).collect();
    groups.join(":")
}

#[tokio::test]
async fn networks_have_prefixes_of_their_own() {
    let sandbox = TestSandbox::scripted().await;
    let mut prefixes = Vec::new();
    for (app, network) in [("web", ""), ("api", ""), ("jobs", "untrusted")] {
        let body = json!({ "name": app, "org_slug": "acme", "network": network });
        sandbox.post("/v1/apps", body).await.assert_status(201);
        let machines = format!("/v1/apps/{app}/machines");
        let machine = sandbox
            .post(&machines, nginx_machine())
            .await
            .assert_status(200);
        let flycast = sandbox
            .post(
                &format!("/v1/apps/{app}/ip_assignments"),
                json!({ "type": "private_v6" }),
            )
            .await
            .assert_status(200);
        assert_eq!(
            prefix(&machine["private_ip"]),
            prefix(&flycast["ip"]),
            "{app}"
        );
        prefixes.push(prefix(&machine["private_ip"]));
        sandbox.advance_ms(1_000);
    }
    assert_eq!(prefixes[0], prefixes[1]);
    assert_ne!(prefixes[0], prefixes[2]);
    let body = json!({ "type": "private_v6", "network": "untrusted" });
    let elsewhere = sandbox
        .post("/v1/apps/web/ip_assignments", body)
        .await
        .assert_status(200);
    assert_eq!(prefix(&elsewhere["ip"]), prefixes[2]);
}

#[tokio::test]
async fn addresses_belong_to_existing_networks() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let body = json!({ "type": "private_v6", "network": "other" });
    sandbox
        .post("/v1/apps/web/ip_assignments", body)
        .await
        .assert_error(400, "network not found");
    let allocate = "mutation ($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) { ipAddress { address } } }";
    let input = json!({ "input": { "appId": "web", "type": "private_v6", "network": "other" } });
    let response = graphql(&sandbox, allocate, input).await;
    assert_eq!(response["errors"][0]["message"], "network not found");
}

#[tokio::test]
async fn network_policies_are_kept_and_checked() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let at = "/v1/apps/web/network_policies";
    // The example of Fly's documentation.
    let mut policy = json!({
        "name": "specific-egress",
        "selector": { "all": true },
        "rules": [{
            "action": "allow",
            "direction": "egress",
            "ports": [{ "protocol": "tcp", "port": 80 }, { "protocol": "tcp", "port": 443 }],
        }],
    });
    let created = sandbox.post(at, policy.clone()).await.assert_status(200);
    let id = created["id"].as_str().unwrap().to_owned();
    policy["id"] = id.clone().into();
    assert_eq!(created, policy);
    policy["selector"] = json!({ "metadata": { "role": "web" } });
    sandbox.post(at, policy.clone()).await.assert_status(200);
    for list in [at.to_owned(), format!("{at}/")] {
        let listed = sandbox.get(&list).await.assert_status(200);
        assert_eq!(listed, json!([policy]), "{list}");
    }
    sandbox.advance_ms(10_000);
    let wrong = [
        ("name", json!("")),
        ("id", json!("unknown")),
        ("selector", json!({})),
        (
            "rules",
            json!([{ "action": "deny", "direction": "egress", "ports": [] }]),
        ),
        (
            "rules",
            json!([{ "action": "allow", "direction": "both", "ports": [] }]),
        ),
    ];
    for (key, value) in wrong {
        let mut body = policy.clone();
        body[key] = value.clone();
        let got = sandbox.post(at, body).await;
        assert!(
            matches!(got.status, 400 | 404),
            "{key} {value}: {}",
            got.status
        );
        sandbox.advance_ms(1_000);
    }
    sandbox
        .delete(&format!("{at}/{id}"))
        .await
        .assert_status(204);
    assert_eq!(sandbox.get(at).await.assert_status(200), json!([]));
    sandbox
        .delete(&format!("{at}/{id}"))
        .await
        .assert_error(404, "not found");
}
