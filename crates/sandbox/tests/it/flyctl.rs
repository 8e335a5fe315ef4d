//! What flyctl asks of the two other APIs, in its own words: GraphQL documents with aliases, and releases.

use serde_json::{Value, json};

use crate::kit::{Box, nginx};

async fn ask(sandbox: &Box, query: &str, variables: Value) -> Value {
    sandbox
        .post(
            "/graphql",
            json!({ "query": query, "variables": variables }),
        )
        .await
        .is(200)
}

#[tokio::test]
async fn an_application_is_found_under_an_alias() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let query = "query ($appName: String!) { appcompact:app(name: $appName) { id internalNumericId name hostname \
                 deployed status appUrl platformVersion organization { id internalNumericId slug paidPlan } \
                 postgresAppRole: role { name } } }";
    let answer = ask(&sandbox, query, json!({ "appName": "web" })).await;
    let app = &answer["data"]["appcompact"];
    assert_eq!(app["hostname"], "web.fly.dev");
    assert!(app["internalNumericId"].is_u64());
    assert!(app["organization"]["internalNumericId"].is_string());
    assert_eq!(app["postgresAppRole"], Value::Null);
    assert_eq!(answer.get("errors"), None);
    let answer = ask(&sandbox, query, json!({ "appName": "none" })).await;
    assert_eq!(answer["errors"][0]["message"], "Could not find App");
    assert_eq!(answer["errors"][0]["path"], json!(["appcompact"]));
    assert_eq!(answer["data"]["appcompact"], Value::Null);
}

#[tokio::test]
async fn an_image_resolves_to_a_reference_with_a_digest_and_a_size_in_words() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let query = "query ($appName: String!, $imageRef: String!) { app(name: $appName) { id image(ref: $imageRef) \
                 { id digest ref compressedSize: compressedSizeFull manifest } } }";
    let answer = ask(
        &sandbox,
        query,
        json!({ "appName": "web", "imageRef": "nginx:1" }),
    )
    .await;
    let image = &answer["data"]["app"]["image"];
    let reference = image["ref"].as_str().unwrap();
    assert_eq!(reference, "docker-hub-mirror.fly.io/library/nginx:1");
    assert!(
        image["compressedSize"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .is_ok()
    );
    assert_eq!(answer["data"]["app"]["id"], "web");
}

/// `fly machine run` sends `{ref}@{digest}`, `fly deploy` the reference, a person the short name.
#[tokio::test]
async fn all_ways_to_write_an_image_are_one_image() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let query = "query ($ref: String!) { app(name: \"web\") { image(ref: $ref) { digest ref } } }";
    let answer = ask(&sandbox, query, json!({ "ref": "nginx:1" })).await;
    let image = &answer["data"]["app"]["image"];
    let (reference, digest) = (
        image["ref"].as_str().unwrap(),
        image["digest"].as_str().unwrap(),
    );
    for image in [
        format!("{reference}@{digest}"),
        reference.to_owned(),
        "nginx:1".to_owned(),
    ] {
        let (machine, _) = sandbox
            .machine(json!({ "config": { "image": image } }))
            .await;
        assert_eq!(machine["image_ref"]["digest"], digest, "{image}");
    }
    let by_digest = format!("ghcr.io/acme/web@{digest}");
    let answer = ask(&sandbox, query, json!({ "ref": by_digest })).await;
    assert_eq!(answer["data"]["app"]["image"]["ref"], by_digest);
}

/// flyctl calls a secret deployed when it is not younger than the release that its machines run.
#[tokio::test]
async fn a_release_is_dated_as_finely_as_a_secret() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    sandbox.pass(300);
    sandbox
        .post("/v1/apps/web/secrets", json!({ "values": { "A": "b" } }))
        .await
        .is(200);
    sandbox.pass(300);
    let made = sandbox
        .post("/api/v1/releases", json!({ "app_name": "web" }))
        .await
        .is(201);
    let secrets = sandbox.get("/v1/apps/web/secrets").await.is(200);
    let times = (
        secrets["secrets"][0]["updated_at"].as_str(),
        made["release"]["created_at"].as_str(),
    );
    assert!(times.0.unwrap() < times.1.unwrap(), "{times:?}");
}

#[tokio::test]
async fn a_volume_tells_its_state_and_its_snapshots() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let volume = sandbox
        .post(
            "/v1/apps/web/volumes",
            json!({ "name": "data", "region": "fra" }),
        )
        .await
        .is(200);
    let path = format!(
        "/v1/apps/web/volumes/{}/snapshots",
        volume["id"].as_str().unwrap()
    );
    let snapshot = sandbox.post(&path, json!({})).await.is(200);
    let query = "query ($id: ID!) { volume: volume(id: $id) { ... on Volume { app { name } state \
                 snapshots { nodes { id size retentionDays } } } } }";
    let answer = ask(&sandbox, query, json!({ "id": volume["id"] })).await;
    let nodes =
        json!([{ "id": snapshot["id"], "size": snapshot["size"].to_string(), "retentionDays": 5 }]);
    let expected =
        json!({ "app": { "name": "web" }, "state": "created", "snapshots": { "nodes": nodes } });
    assert_eq!(answer["data"]["volume"], expected);
}

#[tokio::test]
async fn lists_organisations_regions_and_fragments_work() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let query = "query($org: ID, $role: String, $after: String) { apps(type: \"container\", first: 200, after: $after, \
                 organizationId: $org, role: $role) { pageInfo { hasNextPage endCursor } nodes { name status \
                 currentRelease { createdAt status } organization { slug name } } } }";
    let answer = ask(&sandbox, query, json!({ "after": "" })).await;
    assert_eq!(answer["data"]["apps"]["nodes"][0]["name"], "web");
    assert_eq!(answer["data"]["apps"]["pageInfo"]["hasNextPage"], false);
    let query = "query { organizations(admin: false) { nodes { ...Org } } \
                 viewer { ... on User { email } ... on Macaroon { nonsense } } \
                 platform { requestRegion regions { code } } } fragment Org on Organization { slug rawSlug type }";
    let answer = ask(&sandbox, query, json!({})).await;
    let expected = json!([{ "slug": "acme", "rawSlug": "acme", "type": "SHARED" }]);
    assert_eq!(answer["data"]["organizations"]["nodes"], expected);
    assert_eq!(
        answer["data"]["platform"]["regions"]
            .as_array()
            .unwrap()
            .len(),
        18
    );
    assert!(answer["data"]["viewer"]["email"].is_string());
    assert_eq!(answer.get("errors"), None);
    let answer = ask(
        &sandbox,
        "{ nearestRegion { code gatewayAvailable deprecated } }",
        json!({}),
    )
    .await;
    let nearest = json!({ "code": "iad", "gatewayAvailable": true, "deprecated": false });
    assert_eq!(answer["data"]["nearestRegion"], nearest);
    let answer = ask(&sandbox, "{ app(name: \"web\") { nonsense } }", json!({})).await;
    assert_eq!(
        answer["errors"][0]["message"],
        "Field 'nonsense' doesn't exist on type 'App'"
    );
    let answer = ask(&sandbox, "{ app(name: ", json!({})).await;
    assert!(
        answer["errors"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("Parse error")
    );
}

#[tokio::test]
async fn both_views_of_addresses_agree() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let mutation = "mutation($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) \
                    { ipAddress { id address type region createdAt } app { sharedIpAddress } } }";
    let v6 = ask(
        &sandbox,
        mutation,
        json!({ "input": { "appId": "web", "type": "v6", "region": "" } }),
    )
    .await;
    let address = &v6["data"]["allocateIpAddress"]["ipAddress"]["address"];
    let shared = ask(
        &sandbox,
        mutation,
        json!({ "input": { "appId": "web", "type": "shared_v4" } }),
    )
    .await;
    let shared = &shared["data"]["allocateIpAddress"]["app"]["sharedIpAddress"];
    let listed = sandbox.get("/v1/apps/web/ip_assignments").await.is(200);
    assert_eq!(
        (&listed["ips"][0]["ip"], &listed["ips"][1]["ip"]),
        (address, shared)
    );
    let query = "{ app(name: \"web\") { ipAddresses { nodes { address type network { name } } } sharedIpAddress \
                 egressIpAddresses { nodes { id } } } }";
    let seen = ask(&sandbox, query, json!({})).await;
    assert_eq!(
        seen["data"]["app"]["ipAddresses"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(&seen["data"]["app"]["sharedIpAddress"], shared);
    let release = "mutation($input: ReleaseIPAddressInput!) { releaseIpAddress(input: $input) { clientMutationId } }";
    ask(
        &sandbox,
        release,
        json!({ "input": { "appId": "web", "ip": address } }),
    )
    .await;
    assert_eq!(
        sandbox.get("/v1/apps/web/ip_assignments").await.is(200)["ips"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_read_only_token_queries_and_does_not_mutate() {
    let mut sandbox = Box::scripted().await;
    sandbox.app().await;
    sandbox.token = sandbox.running.read_only_token("acme").unwrap();
    let read = ask(&sandbox, "{ app(name: \"web\") { name } }", json!({})).await;
    assert_eq!(read["data"]["app"]["name"], "web");
    let written = ask(
        &sandbox,
        "mutation { deleteApp(appId: \"web\") { organization { id } } }",
        json!({}),
    )
    .await;
    assert!(
        written["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("Not authorized")
    );
    sandbox.get("/v1/apps/web").await.is(200);
}

#[tokio::test]
async fn a_release_is_wrapped_when_made_and_bare_when_changed() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let body = json!({
        "app_name": "web", "build_id": 0, "image": "nginx:1", "strategy": "ROLLING",
        "definition": { "app": "web" },
    });
    let made = sandbox.post("/api/v1/releases", body).await.is(201);
    assert_eq!(
        (&made["release"]["version"], &made["release"]["status"]),
        (&json!(1), &json!("pending"))
    );
    sandbox
        .get("/api/v1/apps/web/releases/current")
        .await
        .refused(404, "not found");
    let at = format!(
        "/api/v1/releases/{}",
        made["release"]["id"].as_str().unwrap()
    );
    let change = json!({ "status": "complete", "metadata": null });
    let changed = sandbox
        .send(sandbox.request("PATCH", &at).json(&change))
        .await
        .is(200);
    assert_eq!(
        (&changed["status"], &changed["stable"]),
        (&json!("complete"), &json!(true))
    );
    let current = sandbox
        .get("/api/v1/apps/web/releases/current")
        .await
        .is(200);
    assert_eq!(current["image_ref"], "nginx:1");
    let query = "{ app(name: \"web\") { currentReleaseUnprocessed { version configDefinition imageRef } } }";
    let seen = ask(&sandbox, query, json!({})).await;
    let expected =
        json!({ "version": 1, "configDefinition": { "app": "web" }, "imageRef": "nginx:1" });
    assert_eq!(seen["data"]["app"]["currentReleaseUnprocessed"], expected);
    let org = sandbox.get("/api/v1/organizations/acme").await.is(200);
    assert_eq!(org["organization"]["raw_slug"], "acme");
}

fn words(logs: &Value) -> Vec<&str> {
    let lines = logs["data"].as_array().unwrap().iter();
    lines
        .map(|line| line["attributes"]["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn logs_tell_what_is_printed_and_go_on_from_a_token() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let rule = json!({ "match": { "image_contains": "bad" },
        "behave": { "oom": true, "after_ms": 100, "logs": ["listening"] } });
    sandbox.admin("rules", rule).await;
    let (machine, _) = sandbox.machine(nginx()).await;
    sandbox.pass(2_000);
    let logs = sandbox.get("/api/v1/apps/web/logs").await.is(200);
    assert_eq!(words(&logs)[0], " INFO Starting init (commit: 15238e9)...");
    let next = logs["meta"]["next_token"].as_str().unwrap().to_owned();
    let more = sandbox
        .get(&format!("/api/v1/apps/web/logs?next_token={next}"))
        .await
        .is(200);
    assert_eq!(more["data"], json!([]));
    let restart = json!({ "policy": "on-failure", "max_retries": 1 });
    let (bad, _) = sandbox
        .machine(json!({ "config": { "image": "bad:1", "restart": restart } }))
        .await;
    sandbox.pass(10_000);
    let instance = bad["id"].as_str().unwrap();
    let logs = sandbox
        .get(&format!(
            "/api/v1/apps/web/logs?instance={instance}&next_token="
        ))
        .await
        .is(200);
    let round = [
        " INFO Starting init (commit: 15238e9)...",
        " INFO Preparing to run: `/bin/app` as root",
        "listening",
        "[    3.142592] Out of memory: Killed process 628 (app)",
        " INFO Main child exited with signal (with signal 'SIGKILL', core dumped? false)",
        " INFO Process appears to have been OOM killed!",
        " INFO Starting clean up.",
        "[    4.184512] reboot: Restarting system",
    ];
    let mut expected = round.repeat(2);
    expected.push("machine has reached its max restart count (1)");
    assert_eq!(words(&logs), expected);
    assert_eq!(
        logs["data"][0]["attributes"]["meta"]["event"]["provider"],
        "app"
    );
    assert_ne!(machine["id"], bad["id"]);
}

/// A release command exits and goes away in one millisecond; its log must not say that it ended before it began.
#[tokio::test]
async fn logs_keep_the_order_of_what_happened_at_once() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    for _ in 0..8 {
        sandbox.machine(json!({ "config": { "image": "nginx:1", "auto_destroy": true, "restart": { "policy": "no" } } })).await;
        sandbox.pass(10_000);
    }
    let logs = sandbox.get("/api/v1/apps/web/logs").await.is(200);
    let life = [
        " INFO Starting init (commit: 15238e9)...",
        " INFO Preparing to run: `/bin/app` as root",
        " INFO Main child exited normally with code: 0",
        " INFO Starting clean up.",
        "[    4.184512] reboot: Restarting system",
    ];
    assert_eq!(words(&logs), life.repeat(8));
}
