//! The GraphQL queries of `fly orgs`, `fly tokens`, `fly apps errors` and `fly ips
//! allocate-egress`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestSandbox, graphql};

async fn query_organization(sandbox: &TestSandbox, fields: &str) -> Value {
    graphql(
        sandbox,
        &format!("{{ organization(slug: \"acme\") {{ {fields} }} }}"),
        json!({}),
    )
    .await["data"]["organization"]
        .take()
}

#[tokio::test]
async fn organization_has_member_and_no_addons() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let members = "members { edges { cursor node { id name email } joinedAt role } }";
    let edge = &query_organization(&sandbox, members).await["members"]["edges"][0];
    assert_eq!(
        (&edge["role"], &edge["node"]["email"]),
        (&json!("ADMIN"), &json!("me@example.com"))
    );
    assert!(edge["joinedAt"].as_str().unwrap().ends_with('Z'));
    let query = "query($type: AddOnType) { addOns(type: $type) { nodes { id } } \
                 app(name: \"web\") { addOns(type: $type) { nodes { id } } } }";
    let none = json!({ "addOns": { "nodes": [] }, "app": { "addOns": { "nodes": [] } } });
    assert_eq!(
        graphql(&sandbox, query, json!({ "type": "sentry" })).await["data"],
        none
    );
}

#[tokio::test]
async fn replay_sources_can_be_changed() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let fields = "allowedReplaySourceOrgSlugs allowAllCrossNetworkReplays";
    let shown = |slugs: &[&str], all: bool| json!({ "allowedReplaySourceOrgSlugs": slugs, "allowAllCrossNetworkReplays": all });
    assert_eq!(
        query_organization(&sandbox, fields).await,
        shown(&[], false)
    );
    for (mutation, input, expected) in [
        (
            "addAllowedReplaySourceOrgs",
            json!({ "allowedOrgSlugs": ["acme"] }),
            shown(&["acme"], false),
        ),
        (
            "setAllowAllCrossNetworkReplays",
            json!({ "allow": true }),
            shown(&["acme"], true),
        ),
        (
            "removeAllowedReplaySourceOrgs",
            json!({ "orgSlugsToRemove": ["acme"] }),
            shown(&[], true),
        ),
    ] {
        let mut input = input;
        input["organizationSlug"] = "acme".into();
        let document = format!(
            "mutation($input: Input!) {{ {mutation}(input: $input) {{ organization {{ slug }} }} }}"
        );
        let response = graphql(&sandbox, &document, json!({ "input": input })).await;
        assert_eq!(
            response["data"][mutation]["organization"]["slug"], "acme",
            "{response}"
        );
        assert_eq!(
            query_organization(&sandbox, fields).await,
            expected,
            "{mutation}"
        );
    }
    let document = "mutation($input: Input!) { addAllowedReplaySourceOrgs(input: $input) { organization { slug } } }";
    let input = json!({ "organizationSlug": "acme", "allowedOrgSlugs": ["nobody"] });
    let response = graphql(&sandbox, document, json!({ "input": input })).await;
    assert_eq!(
        response["errors"][0]["message"],
        "Could not find Organization"
    );
}

#[tokio::test]
async fn organization_create_and_delete_rules() {
    let mut sandbox = TestSandbox::scripted().await;
    let create = "mutation { createOrganization(input: { name: \"Two Words\" }) { organization { id slug } } }";
    let refused = graphql(&sandbox, create, json!({})).await;
    assert_eq!(
        refused["errors"][0]["message"],
        "Not authorized to create organizations"
    );
    sandbox.token = sandbox.running.user_token().unwrap();
    let created = graphql(&sandbox, create, json!({})).await;
    let org = &created["data"]["createOrganization"]["organization"];
    assert_eq!(org["slug"], "two-words");
    let delete = "mutation($id: ID!) { deleteOrganization(input: { organizationId: $id }) { deletedOrganizationId } }";
    let app = json!({ "name": "web", "org_slug": "two-words" });
    sandbox.post("/v1/apps", app).await.assert_status(201);
    let full = graphql(&sandbox, delete, json!({ "id": org["id"] })).await;
    assert!(
        full["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("have no apps"),
        "{full}"
    );
    sandbox.delete("/v1/apps/web").await;
    let gone = graphql(&sandbox, delete, json!({ "id": org["id"] })).await;
    assert_eq!(
        gone["data"]["deleteOrganization"]["deletedOrganizationId"],
        org["id"]
    );
    let missing = graphql(
        &sandbox,
        "{ organization(slug: \"two-words\") { id } }",
        json!({}),
    )
    .await;
    assert_eq!(
        missing["errors"][0]["message"],
        "Could not find Organization"
    );
}

/// A token for an app is listed at the app, one for the organization at the organization. A revoked
/// token stays in the list, but is no longer accepted.
#[tokio::test]
async fn tokens_are_listed_expired_and_revoked() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let org = query_organization(&sandbox, "id").await["id"].clone();
    let create = "mutation($input: Input!) { createLimitedAccessToken(input: $input) { limitedAccessToken { id tokenHeader expiresAt } } }";
    let make = async |name: &str, expiry: &str, profile: Value| {
        let input = json!({ "organizationId": org, "name": name, "profile": "deploy", "profileParams": profile, "expiry": expiry });
        let mut created = graphql(&sandbox, create, json!({ "input": input })).await;
        created["data"]["createLimitedAccessToken"]["limitedAccessToken"].take()
    };
    let ours = make("ours", "1h0m0s", json!({ "app_id": "web" })).await;
    let all = make("all", "", json!({})).await;
    assert_eq!(all["expiresAt"], Value::Null);
    let list = "{ app(name: \"web\") { limitedAccessTokens { nodes { name revokedAt token } } } \
                organization(slug: \"acme\") { limitedAccessTokens { nodes { name revokedAt token } } } }";
    let names = async |whose: &str| {
        let listed = graphql(&sandbox, list, json!({})).await;
        let nodes = listed["data"][whose]["limitedAccessTokens"]["nodes"]
            .as_array()
            .unwrap()
            .clone();
        nodes
            .iter()
            .map(|node| (node["name"].clone(), node["revokedAt"].is_null()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("app").await, [(json!("ours"), true)]);
    assert_eq!(names("organization").await, [(json!("all"), true)]);

    let opens = async |token: &Value| {
        let request = sandbox.request("GET", "/v1/apps/web").build().unwrap();
        assert_eq!(request.method(), Method::GET);
        let url = request.url().clone();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client
            .get(url)
            .bearer_auth(token["tokenHeader"].as_str().unwrap())
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(opens(&all).await, 200);
    let delete = "mutation($id: ID!) { deleteLimitedAccessToken(input: { id: $id }) { token } }";
    let revoked = graphql(&sandbox, delete, json!({ "id": all["id"] })).await;
    assert_eq!(revoked.get("errors"), None);
    assert_eq!(opens(&all).await, 401);
    assert_eq!(names("organization").await, [(json!("all"), false)]);
    let none = graphql(&sandbox, delete, json!({ "id": "none" })).await;
    assert_eq!(none["errors"][0]["message"], "Could not find Token");
    assert_eq!(opens(&ours).await, 200);
    sandbox.advance_ms(3_601_000);
    assert_eq!(opens(&ours).await, 401);
}

#[tokio::test]
async fn egress_addresses_are_allocated_in_pairs() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let allocate = "mutation($input: Input!) { allocateEgressIpAddress(input: $input) { v4 v6 } }";
    let input = json!({ "input": { "appId": "web", "machineId": "", "region": "fra" } });
    let pair = graphql(&sandbox, allocate, input).await["data"]["allocateEgressIpAddress"].take();
    let list = "{ app(name: \"web\") { egressIpAddresses { nodes { ip version region } } } }";
    let nodes = async || {
        graphql(&sandbox, list, json!({})).await["data"]["app"]["egressIpAddresses"]["nodes"].take()
    };
    let v6 = json!({ "ip": pair["v6"], "version": 6, "region": "fra" });
    assert_eq!(
        nodes().await,
        json!([{ "ip": pair["v4"], "version": 4, "region": "fra" }, v6])
    );
    let release = "mutation($input: Input!) { releaseEgressIpAddress(input: $input) { v4 v6 } }";
    let gone = graphql(
        &sandbox,
        release,
        json!({ "input": { "appId": "web", "ip": pair["v4"] } }),
    )
    .await;
    assert_eq!(
        gone["data"]["releaseEgressIpAddress"],
        json!({ "v4": pair["v4"], "v6": null })
    );
    assert_eq!(nodes().await, json!([v6]));
    let none = graphql(
        &sandbox,
        release,
        json!({ "input": { "appId": "web", "ip": pair["v4"] } }),
    )
    .await;
    assert_eq!(none["errors"][0]["message"], "Could not find Egress IP");
    let input = json!({ "input": { "appId": "web", "region": "nowhere" } });
    let unknown = graphql(&sandbox, allocate, input).await;
    assert!(
        unknown["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("nowhere"),
        "{unknown}"
    );
}
