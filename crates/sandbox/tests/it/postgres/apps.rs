//! What a client creates before the first node of a Postgres cluster: the app, its address, its place
//! in consul, and the image.

use serde_json::{Value, json};

use crate::support::{TestSandbox, graphql};

async fn cluster_app(sandbox: &TestSandbox) -> Value {
    let app = json!({ "name": "db", "org_slug": "acme", "app_role_id": "postgres_cluster" });
    sandbox
        .post("/v1/apps?wait=true", app)
        .await
        .assert_status(201)
}

#[tokio::test]
async fn role_of_app_is_shown_everywhere() {
    let sandbox = TestSandbox::scripted().await;
    let created = cluster_app(&sandbox).await;
    assert_eq!(created["app_role"], "postgres_cluster");
    sandbox.create_app().await;
    let listed = sandbox
        .get("/v1/apps?org_slug=acme&app_role=postgres_cluster")
        .await
        .assert_status(200);
    assert_eq!(listed["total_apps"], 1);
    assert_eq!(listed["apps"][0]["name"], "db");
    let query = "query ($name: String!) { app(name: $name) { postgresAppRole: role { name } } }";
    let response = graphql(&sandbox, query, json!({ "name": "db" })).await;
    assert_eq!(
        response["data"]["app"]["postgresAppRole"]["name"],
        "postgres_cluster"
    );
    let query = "{ apps(role: \"postgres_cluster\") { nodes { name } } }";
    let response = graphql(&sandbox, query, json!({})).await;
    assert_eq!(response["data"]["apps"]["nodes"], json!([{ "name": "db" }]));
}

/// An address that only the private network reaches lies in `fdaa::/16`, whichever API allocates it.
#[tokio::test]
async fn flycast_address_is_private() {
    let sandbox = TestSandbox::scripted().await;
    cluster_app(&sandbox).await;
    let body = json!({ "type": "private_v6", "region": "", "org_slug": "acme", "network": "", "service_name": "" });
    let rest = sandbox
        .post("/v1/apps/db/ip_assignments", body)
        .await
        .assert_status(200);
    assert!(rest["ip"].as_str().unwrap().starts_with("fdaa:"), "{rest}");
    assert_eq!(rest["network"], json!({ "name": "", "org_slug": "acme" }));
    let query = "mutation ($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) \
                 { ipAddress { id address type region createdAt } } }";
    let input = json!({ "appId": "db", "type": "private_v6", "region": "" });
    let response = graphql(&sandbox, query, json!({ "input": input })).await;
    let address = &response["data"]["allocateIpAddress"]["ipAddress"];
    assert!(
        address["address"].as_str().unwrap().starts_with("fdaa:"),
        "{response}"
    );
    assert_eq!(address["type"], "private_v6");
    let ips = sandbox
        .get("/v1/apps/db/ip_assignments")
        .await
        .assert_status(200);
    assert_eq!(ips["ips"].as_array().unwrap().len(), 2);
}

/// Two calls give two places, so a client must call once and keep the address.
#[tokio::test]
async fn each_consul_address_is_new() {
    let sandbox = TestSandbox::scripted().await;
    cluster_app(&sandbox).await;
    let query = "mutation ($input: EnablePostgresConsulInput!) { enablePostgresConsul(input: $input) { consulUrl } }";
    let input = json!({ "input": { "appId": "db" } });
    let first = graphql(&sandbox, query, input.clone()).await;
    let second = graphql(&sandbox, query, input).await;
    let url = |response: &Value| {
        let payload = &response["data"]["enablePostgresConsul"];
        payload["consulUrl"].as_str().unwrap().to_owned()
    };
    assert_ne!(url(&first), url(&second));
    let (scheme, rest) = url(&first)
        .split_once("://:")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(scheme, "https");
    assert!(rest.contains(".fly-shared.net/db-"), "{rest}");
}

/// Whether a deploy token suffices is not documented; the sandbox refuses it.
#[tokio::test]
async fn consul_needs_token_of_organization() {
    let mut sandbox = TestSandbox::scripted().await;
    cluster_app(&sandbox).await;
    sandbox.token = sandbox.running.app_token("acme", "db").unwrap();
    let query = "mutation { enablePostgresConsul(input: { appId: \"db\" }) { consulUrl } }";
    let response = graphql(&sandbox, query, json!({})).await;
    assert_eq!(response["errors"][0]["extensions"]["code"], "UNAUTHORIZED");
}

#[tokio::test]
async fn newest_postgres_image_is_known() {
    let sandbox = TestSandbox::scripted().await;
    let query = "query ($repository: String!) { latestImageTag(repository: $repository, snapshotId: null) }";
    let flex = json!({ "repository": "flyio/postgres-flex" });
    let response = graphql(&sandbox, query, flex).await;
    assert_eq!(
        response["data"]["latestImageTag"],
        "flyio/postgres-flex:18.1"
    );
    let response = graphql(&sandbox, query, json!({ "repository": "acme/postgres" })).await;
    assert_eq!(response["errors"][0]["message"], "Unknown repository");
    let query =
        "{ latestImageDetails(image: \"flyio/postgres-flex:17.2\") { repository tag version } }";
    let response = graphql(&sandbox, query, json!({})).await;
    let expected =
        json!({ "repository": "flyio/postgres-flex", "tag": "18.1", "version": "v0.2.0" });
    assert_eq!(response["data"]["latestImageDetails"], expected);
}
