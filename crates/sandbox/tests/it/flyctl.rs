//! The APIs that flyctl uses besides the Machines API, called as flyctl calls them: GraphQL with
//! aliases and fragments, releases, and logs.

use serde_json::{Value, json};

use crate::support::{TestSandbox, graphql, nginx_machine};

#[tokio::test]
async fn aliased_fields_are_resolved() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let query = "query ($appName: String!) { appcompact:app(name: $appName) { id internalNumericId name hostname \
                 deployed status appUrl platformVersion organization { id internalNumericId slug paidPlan } \
                 postgresAppRole: role { name } } }";
    let response = graphql(&sandbox, query, json!({ "appName": "web" })).await;
    let app = &response["data"]["appcompact"];
    assert_eq!(app["hostname"], "web.fly.dev");
    assert!(app["internalNumericId"].is_u64());
    assert!(app["organization"]["internalNumericId"].is_string());
    assert_eq!(app["postgresAppRole"], Value::Null);
    assert_eq!(response.get("errors"), None);
    let response = graphql(&sandbox, query, json!({ "appName": "none" })).await;
    assert_eq!(response["errors"][0]["message"], "Could not find App");
    assert_eq!(response["errors"][0]["path"], json!(["appcompact"]));
    assert_eq!(response["data"]["appcompact"], Value::Null);
}

#[tokio::test]
async fn image_resolves_to_reference_and_digest() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let query = "query ($appName: String!, $imageRef: String!) { app(name: $appName) { id image(ref: $imageRef) \
                 { id digest ref compressedSize: compressedSizeFull manifest } } }";
    let response = graphql(
        &sandbox,
        query,
        json!({ "appName": "web", "imageRef": "nginx:1" }),
    )
    .await;
    let image = &response["data"]["app"]["image"];
    let reference = image["ref"].as_str().unwrap();
    assert_eq!(reference, "docker-hub-mirror.fly.io/library/nginx:1");
    assert!(
        image["compressedSize"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .is_ok()
    );
    assert_eq!(response["data"]["app"]["id"], "web");
}

/// `fly postgres create` and `fly ssh issue` send the public key of a pair that they made.
#[tokio::test]
async fn ssh_certificate_is_signed_for_public_key() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let query = "mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) { certificate, key } }";
    let orgs = graphql(
        &sandbox,
        "{ organization(slug: \"acme\") { id } }",
        json!({}),
    )
    .await;
    let org = &orgs["data"]["organization"]["id"];
    let string = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length, bytes].concat()
    };
    let blob = [string(b"ssh-ed25519"), string(&[7; 32])].concat();
    let issue = async |key: String| {
        let input = json!({ "organizationId": org, "principals": ["root", "fly"], "appNames": ["web"],
            "publicKey": key, "validHours": 876_600 });
        graphql(&sandbox, query, json!({ "input": input })).await
    };
    let issued = issue(format!("ssh-ed25519 {}", STANDARD.encode(&blob))).await;
    let payload = &issued["data"]["issueCertificate"];
    let certificate = payload["certificate"].as_str().unwrap();
    let encoded = certificate
        .strip_prefix("ssh-ed25519-cert-v01@openssh.com ")
        .unwrap();
    let bytes = STANDARD.decode(encoded).unwrap();
    let contains = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(contains(&string(&[7; 32])));
    assert!(contains(&[string(b"root"), string(b"fly")].concat()));
    // The last two parts are the key of the authority and its signature of all before it.
    let signature_part = [string(b"ssh-ed25519"), string(&[0; 64])].concat().len() + 4;
    let (signed, signature) = bytes.split_at(bytes.len() - signature_part);
    let authority = &signed[signed.len() - 32..];
    UnparsedPublicKey::new(&ED25519, authority)
        .verify(signed, &signature[signature.len() - 64..])
        .unwrap();
    let refused = issue(String::new()).await;
    assert!(
        refused["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("publicKey")
    );
}

#[tokio::test]
async fn machines_have_no_egress_addresses_of_their_own() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, _) = sandbox.create_machine(nginx_machine()).await;
    let query = "query ($appName: String!) { app(name: $appName) { machines { nodes { id egressIpAddresses { nodes \
                 { id ip version region updatedAt } } } } } }";
    let response = graphql(&sandbox, query, json!({ "appName": "web" })).await;
    let node = &response["data"]["app"]["machines"]["nodes"][0];
    assert_eq!(node["id"], machine["id"]);
    assert_eq!(node["egressIpAddresses"]["nodes"], json!([]));
}

#[tokio::test]
async fn exec_tells_failure_of_false() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(2_000);
    for (command, code) in [("true", 0), ("false", 1), ("echo false", 0)] {
        let body = json!({ "cmd": command });
        let got = sandbox
            .post(&format!("{path}/exec"), body)
            .await
            .assert_status(200);
        assert_eq!(got["exit_code"], code, "{command}");
    }
}

/// `fly machine run` sends `{ref}@{digest}`, `fly deploy` the reference, and a person the short
/// name.
#[tokio::test]
async fn image_spellings_share_one_digest() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let query = "query ($ref: String!) { app(name: \"web\") { image(ref: $ref) { digest ref } } }";
    let response = graphql(&sandbox, query, json!({ "ref": "nginx:1" })).await;
    let image = &response["data"]["app"]["image"];
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
            .create_machine(json!({ "config": { "image": image } }))
            .await;
        assert_eq!(machine["image_ref"]["digest"], digest, "{image}");
    }
    let by_digest = format!("ghcr.io/acme/web@{digest}");
    let response = graphql(&sandbox, query, json!({ "ref": by_digest })).await;
    assert_eq!(response["data"]["app"]["image"]["ref"], by_digest);
}

/// flyctl calls a secret deployed unless it is newer than the release that the machines run.
#[tokio::test]
async fn release_and_secret_times_are_comparable() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    sandbox.advance_ms(300);
    sandbox
        .post("/v1/apps/web/secrets", json!({ "values": { "A": "b" } }))
        .await
        .assert_status(200);
    sandbox.advance_ms(300);
    let created = sandbox
        .post("/api/v1/releases", json!({ "app_name": "web" }))
        .await
        .assert_status(201);
    let secrets = sandbox.get("/v1/apps/web/secrets").await.assert_status(200);
    let times = (
        secrets["secrets"][0]["updated_at"].as_str(),
        created["release"]["created_at"].as_str(),
    );
    assert!(times.0.unwrap() < times.1.unwrap(), "{times:?}");
}

#[tokio::test]
async fn volume_query_includes_snapshots() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let volume = sandbox
        .post(
            "/v1/apps/web/volumes",
            json!({ "name": "data", "region": "fra" }),
        )
        .await
        .assert_status(200);
    let path = format!(
        "/v1/apps/web/volumes/{}/snapshots",
        volume["id"].as_str().unwrap()
    );
    let snapshot = sandbox.post(&path, json!({})).await.assert_status(200);
    let query = "query ($id: ID!) { volume: volume(id: $id) { ... on Volume { app { name } state \
                 snapshots { nodes { id size retentionDays } } } } }";
    let response = graphql(&sandbox, query, json!({ "id": volume["id"] })).await;
    let nodes =
        json!([{ "id": snapshot["id"], "size": snapshot["size"].to_string(), "retentionDays": 5 }]);
    let expected =
        json!({ "app": { "name": "web" }, "state": "created", "snapshots": { "nodes": nodes } });
    assert_eq!(response["data"]["volume"], expected);
}

#[tokio::test]
async fn list_queries_and_fragments() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let query = "query($org: ID, $role: String, $after: String) { apps(type: \"container\", first: 200, after: $after, \
                 organizationId: $org, role: $role) { pageInfo { hasNextPage endCursor } nodes { name status \
                 currentRelease { createdAt status } organization { slug name } } } }";
    let response = graphql(&sandbox, query, json!({ "after": "" })).await;
    assert_eq!(response["data"]["apps"]["nodes"][0]["name"], "web");
    assert_eq!(response["data"]["apps"]["pageInfo"]["hasNextPage"], false);
    let query = "query { organizations(admin: false) { nodes { ...Org } } \
                 viewer { ... on User { email } ... on Macaroon { nonsense } } \
                 platform { requestRegion regions { code } } } fragment Org on Organization { slug rawSlug type }";
    let response = graphql(&sandbox, query, json!({})).await;
    let expected = json!([{ "slug": "acme", "rawSlug": "acme", "type": "SHARED" }]);
    assert_eq!(response["data"]["organizations"]["nodes"], expected);
    assert_eq!(
        response["data"]["platform"]["regions"]
            .as_array()
            .unwrap()
            .len(),
        18
    );
    assert!(response["data"]["viewer"]["email"].is_string());
    assert_eq!(response.get("errors"), None);
    let response = graphql(
        &sandbox,
        "{ nearestRegion { code gatewayAvailable deprecated } }",
        json!({}),
    )
    .await;
    let nearest = json!({ "code": "iad", "gatewayAvailable": true, "deprecated": false });
    assert_eq!(response["data"]["nearestRegion"], nearest);
    let response = graphql(&sandbox, "{ app(name: \"web\") { nonsense } }", json!({})).await;
    assert_eq!(
        response["errors"][0]["message"],
        "Field 'nonsense' doesn't exist on type 'App'"
    );
    let response = graphql(&sandbox, "{ app(name: ", json!({})).await;
    assert!(
        response["errors"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("Parse error")
    );
}

#[tokio::test]
async fn graphql_and_rest_list_same_addresses() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mutation = "mutation($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) \
                    { ipAddress { id address type region createdAt } app { sharedIpAddress } } }";
    let v6 = graphql(
        &sandbox,
        mutation,
        json!({ "input": { "appId": "web", "type": "v6", "region": "" } }),
    )
    .await;
    let address = &v6["data"]["allocateIpAddress"]["ipAddress"]["address"];
    let shared = graphql(
        &sandbox,
        mutation,
        json!({ "input": { "appId": "web", "type": "shared_v4" } }),
    )
    .await;
    let shared = &shared["data"]["allocateIpAddress"]["app"]["sharedIpAddress"];
    let listed = sandbox
        .get("/v1/apps/web/ip_assignments")
        .await
        .assert_status(200);
    assert_eq!(
        (&listed["ips"][0]["ip"], &listed["ips"][1]["ip"]),
        (address, shared)
    );
    let query = "{ app(name: \"web\") { ipAddresses { nodes { address type network { name } } } sharedIpAddress \
                 egressIpAddresses { nodes { id } } } }";
    let seen = graphql(&sandbox, query, json!({})).await;
    assert_eq!(
        seen["data"]["app"]["ipAddresses"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(&seen["data"]["app"]["sharedIpAddress"], shared);
    let release = "mutation($input: ReleaseIPAddressInput!) { releaseIpAddress(input: $input) { clientMutationId } }";
    graphql(
        &sandbox,
        release,
        json!({ "input": { "appId": "web", "ip": address } }),
    )
    .await;
    assert_eq!(
        sandbox
            .get("/v1/apps/web/ip_assignments")
            .await
            .assert_status(200)["ips"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn read_only_token_cannot_mutate() {
    let mut sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    sandbox.token = sandbox.running.read_only_token("acme").unwrap();
    let read = graphql(&sandbox, "{ app(name: \"web\") { name } }", json!({})).await;
    assert_eq!(read["data"]["app"]["name"], "web");
    let written = graphql(
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
    sandbox.get("/v1/apps/web").await.assert_status(200);
}

#[tokio::test]
async fn release_create_and_update_responses() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let body = json!({
        "app_name": "web", "build_id": 0, "image": "nginx:1", "strategy": "ROLLING",
        "definition": { "app": "web" },
    });
    let created = sandbox
        .post("/api/v1/releases", body)
        .await
        .assert_status(201);
    assert_eq!(
        (
            &created["release"]["version"],
            &created["release"]["status"]
        ),
        (&json!(1), &json!("pending"))
    );
    sandbox
        .get("/api/v1/apps/web/releases/current")
        .await
        .assert_error(404, "not found");
    let at = format!(
        "/api/v1/releases/{}",
        created["release"]["id"].as_str().unwrap()
    );
    let change = json!({ "status": "complete", "metadata": null });
    let changed = sandbox
        .send(sandbox.request("PATCH", &at).json(&change))
        .await
        .assert_status(200);
    assert_eq!(
        (&changed["status"], &changed["stable"]),
        (&json!("complete"), &json!(true))
    );
    let current = sandbox
        .get("/api/v1/apps/web/releases/current")
        .await
        .assert_status(200);
    assert_eq!(current["image_ref"], "nginx:1");
    let query = "{ app(name: \"web\") { currentReleaseUnprocessed { version configDefinition imageRef } } }";
    let seen = graphql(&sandbox, query, json!({})).await;
    let expected =
        json!({ "version": 1, "configDefinition": { "app": "web" }, "imageRef": "nginx:1" });
    assert_eq!(seen["data"]["app"]["currentReleaseUnprocessed"], expected);
    let org = sandbox
        .get("/api/v1/organizations/acme")
        .await
        .assert_status(200);
    assert_eq!(org["organization"]["raw_slug"], "acme");
}

fn log_messages(logs: &Value) -> Vec<&str> {
    let lines = logs["data"].as_array().unwrap().iter();
    lines
        .map(|line| line["attributes"]["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn logs_continue_from_next_token() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let rule = json!({ "match": { "image_contains": "bad" },
        "behave": { "oom": true, "after_ms": 100, "logs": ["listening"] } });
    sandbox.post_admin("rules", rule).await;
    let (machine, _) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(2_000);
    let logs = sandbox
        .get("/api/v1/apps/web/logs")
        .await
        .assert_status(200);
    assert_eq!(
        log_messages(&logs)[0],
        " INFO Starting init (commit: 15238e9)..."
    );
    let next = logs["meta"]["next_token"].as_str().unwrap().to_owned();
    let more = sandbox
        .get(&format!("/api/v1/apps/web/logs?next_token={next}"))
        .await
        .assert_status(200);
    assert_eq!(more["data"], json!([]));
    let restart = json!({ "policy": "on-failure", "max_retries": 1 });
    let (bad, _) = sandbox
        .create_machine(json!({ "config": { "image": "bad:1", "restart": restart } }))
        .await;
    sandbox.advance_ms(10_000);
    let instance = bad["id"].as_str().unwrap();
    let logs = sandbox
        .get(&format!(
            "/api/v1/apps/web/logs?instance={instance}&next_token="
        ))
        .await
        .assert_status(200);
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
    assert_eq!(log_messages(&logs), expected);
    assert_eq!(
        logs["data"][0]["attributes"]["meta"]["event"]["provider"],
        "app"
    );
    assert_ne!(machine["id"], bad["id"]);
}

/// The program of a release command exits and its machine is destroyed in the same millisecond. The
/// log must not show the end before the start.
#[tokio::test]
async fn logs_keep_order_of_simultaneous_events() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    for _ in 0..8 {
        sandbox.create_machine(json!({ "config": { "image": "nginx:1", "auto_destroy": true, "restart": { "policy": "no" } } })).await;
        sandbox.advance_ms(10_000);
    }
    let logs = sandbox
        .get("/api/v1/apps/web/logs")
        .await
        .assert_status(200);
    let life = [
        " INFO Starting init (commit: 15238e9)...",
        " INFO Preparing to run: `/bin/app` as root",
        " INFO Main child exited normally with code: 0",
        " INFO Starting clean up.",
        "[    4.184512] reboot: Restarting system",
    ];
    assert_eq!(log_messages(&logs), life.repeat(8));
}
