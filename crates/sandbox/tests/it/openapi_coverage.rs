//! Calls every operation of the OpenAPI document once and validates the response.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi;
use crate::support::{TestSandbox, nginx_machine};

/// Operations that the sandbox does not implement, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    (
        "/secretkeys",
        "keys that never leave Fly; no deployment uses them",
    ),
    (
        "/tokens/",
        "issuing and checking macaroons needs Fly's own keys; tokens/current is there",
    ),
];

/// Method, path after the base, body (null for none), and expected status.
type ExpectedRequest = (&'static str, &'static str, Value, u16);

fn machine_requests() -> Vec<ExpectedRequest> {
    let request = |method, path, body, status| (method, path, body, status);
    vec![
        request("GET", "", Value::Null, 200),
        request("POST", "/exec", json!({ "cmd": "echo hi" }), 200),
        request("POST", "/lease?ttl=13", Value::Null, 201),
        request("GET", "/lease", Value::Null, 200),
        request("GET", "/wait?timeout=1", Value::Null, 200),
        request("GET", "/events?limit=2", Value::Null, 200),
        request("GET", "/versions", Value::Null, 200),
        request("PUT", "/metadata", json!({ "metadata": { "a": "1" } }), 204),
        request(
            "PATCH",
            "/metadata",
            json!({ "metadata": { "b": "2" } }),
            204,
        ),
        request("GET", "/metadata", Value::Null, 200),
        request("POST", "/metadata/c", json!({ "value": "3" }), 204),
        request("GET", "/metadata/c", Value::Null, 200),
        request("DELETE", "/metadata/c", Value::Null, 204),
        request("GET", "/ps", Value::Null, 200),
        request("GET", "/memory", Value::Null, 200),
        request("PUT", "/memory", json!({ "limit_mb": 128 }), 200),
        request("POST", "/memory/reclaim", json!({ "amount_mb": 64 }), 200),
        request("POST", "/signal", json!({ "signal": 10 }), 200),
    ]
}

fn app_requests() -> Vec<ExpectedRequest> {
    let request = |method, path, body, status| (method, path, body, status);
    let pem = "-----BEGIN CERTIFICATE-----";
    vec![
        request("GET", "", Value::Null, 200),
        request("POST", "/deploy_token", json!({ "expiry": "24h" }), 200),
        request("GET", "/machines", Value::Null, 200),
        request("GET", "/volumes", Value::Null, 200),
        request("POST", "/secrets", json!({ "values": { "A": "1" } }), 200),
        request("POST", "/secrets/B", json!({ "value": "2" }), 201),
        request("GET", "/secrets", Value::Null, 200),
        request("GET", "/secrets/B?show_secrets=true", Value::Null, 200),
        request("DELETE", "/secrets/B", Value::Null, 200),
        request("POST", "/ip_assignments", json!({ "type": "v6" }), 200),
        request("GET", "/ip_assignments", Value::Null, 200),
        request(
            "POST",
            "/certificates/acme",
            json!({ "hostname": "a.example" }),
            201,
        ),
        request(
            "POST",
            "/certificates/custom",
            json!({ "hostname": "a.example", "fullchain": pem, "private_key": pem }),
            201,
        ),
        request("GET", "/certificates", Value::Null, 200),
        request("GET", "/certificates/a.example", Value::Null, 200),
        request("POST", "/certificates/a.example/check", Value::Null, 200),
        request("DELETE", "/certificates/a.example/custom", Value::Null, 200),
        request("DELETE", "/certificates/a.example/acme", Value::Null, 200),
        request(
            "POST",
            "/certificates/acme",
            json!({ "hostname": "a.example" }),
            201,
        ),
        request("DELETE", "/certificates/a.example", Value::Null, 204),
    ]
}

/// Remembers which operations were called.
struct CoverageRun {
    sandbox: TestSandbox,
    seen: BTreeSet<String>,
}

impl CoverageRun {
    async fn send_all(&mut self, base: &str, requests: Vec<ExpectedRequest>) -> Value {
        let mut last = Value::Null;
        for (method, path, body, status) in requests {
            let path = format!("{base}{path}");
            let mut request = self.sandbox.request(method, &path);
            if !body.is_null() {
                request = request.json(&body);
            }
            let got = self.sandbox.send(request).await;
            assert_eq!(got.status, status, "{method} {path}: {}", got.text);
            let plain = path
                .split('?')
                .next()
                .unwrap()
                .strip_prefix("/v1")
                .unwrap()
                .to_owned();
            self.seen.insert(format!(
                "{method} {}",
                openapi::operation(method, &plain).unwrap().0
            ));
            last = got.assert_status(status);
            self.sandbox.advance_ms(1_000);
        }
        last
    }
}

/// Calls the operations of an app, except for its deletion.
async fn cover_app(coverage: &mut CoverageRun) {
    let app = json!({ "name": "web", "org_slug": "acme" });
    coverage
        .send_all(
            "/v1/apps",
            vec![
                ("POST", "?wait=true", app, 201),
                ("GET", "?org_slug=acme", Value::Null, 200),
            ],
        )
        .await;
    coverage.send_all("/v1/apps/web", app_requests()).await;
    let shared = json!({ "type": "shared_v4" });
    let address = coverage
        .send_all(
            "/v1/apps/web/ip_assignments",
            vec![("POST", "", shared, 200)],
        )
        .await;
    let address = format!(
        "/v1/apps/web/ip_assignments/{}",
        address["ip"].as_str().unwrap()
    );
    coverage
        .send_all(&address, vec![("DELETE", "", Value::Null, 204)])
        .await;
}

/// Calls the operations of a volume; returns its id and path.
async fn cover_volume(coverage: &mut CoverageRun) -> (Value, String) {
    let volume = json!({ "name": "data", "region": "fra", "size_gb": 1 });
    let volume = coverage
        .send_all("/v1/apps/web/volumes", vec![("POST", "", volume, 200)])
        .await;
    let at = format!("/v1/apps/web/volumes/{}", volume["id"].as_str().unwrap());
    let requests = vec![
        ("GET", "", Value::Null, 200),
        ("PUT", "", json!({ "snapshot_retention": 7 }), 200),
        ("PUT", "/extend", json!({ "size_gb": 2 }), 200),
        ("POST", "/snapshots", Value::Null, 200),
        ("GET", "/snapshots", Value::Null, 200),
    ];
    coverage.send_all(&at, requests).await;
    (volume["id"].clone(), at)
}

/// Calls the operations of a machine with a volume, a service and a check.
async fn cover_machine(coverage: &mut CoverageRun, volume: &Value) {
    let mut body = nginx_machine();
    body["config"]["mounts"] = json!([{ "volume": volume, "path": "/data" }]);
    body["config"]["services"] = json!([{
        "protocol": "tcp", "internal_port": 80, "autostop": "stop",
        "ports": [{ "port": 443, "handlers": ["tls", "http"] }],
        "checks": [{ "type": "http", "interval": "10s", "timeout": 2_000_000_000u64, "path": "/" }],
    }]);
    let machine = coverage
        .send_all(
            "/v1/apps/web/machines",
            vec![("POST", "", body.clone(), 200)],
        )
        .await;
    coverage.sandbox.advance_ms(2_000);
    let lists = vec![
        ("GET", "/machines", Value::Null, 200),
        ("GET", "/volumes", Value::Null, 200),
    ];
    coverage.send_all("/v1/orgs/acme", lists).await;
    let path = format!("/v1/apps/web/machines/{}", machine["id"].as_str().unwrap());
    coverage.send_all(&path, machine_requests()).await;
    // Let the lease expire, so that the following requests need no nonce.
    coverage.sandbox.advance_ms(13_000);
    let none = Value::Null;
    let requests = vec![
        ("POST", "/cordon", none.clone(), 200),
        ("POST", "/uncordon", none.clone(), 200),
        (
            "POST",
            "/restart?timeout=5s&force_stop=false",
            none.clone(),
            200,
        ),
        ("POST", "/suspend", none.clone(), 412),
        ("POST", "", body, 200),
        ("POST", "/suspend", none.clone(), 412),
        ("POST", "/suspend", none.clone(), 200),
        ("POST", "/stop", json!({ "timeout": "0s", "id": "x" }), 200),
        ("POST", "/start", none.clone(), 200),
        ("DELETE", "/lease", none.clone(), 404),
        ("DELETE", "?kill=true", none, 200),
    ];
    coverage.send_all(&path, requests).await;
}

#[tokio::test]
async fn every_operation_conforms_to_openapi() {
    let mut coverage = CoverageRun {
        sandbox: TestSandbox::scripted().await,
        seen: BTreeSet::new(),
    };
    cover_app(&mut coverage).await;
    let (volume, at) = cover_volume(&mut coverage).await;
    cover_machine(&mut coverage, &volume).await;
    let none = Value::Null;
    coverage
        .send_all(&at, vec![("DELETE", "", none.clone(), 200)])
        .await;
    let place = json!({ "org_slug": "acme", "region": "fra", "count": 2 });
    let requests = vec![
        ("GET", "/platform/regions", none.clone(), 200),
        ("POST", "/platform/placements", place, 200),
        ("GET", "/tokens/current", none.clone(), 200),
        ("DELETE", "/apps/web", none, 202),
    ];
    coverage.send_all("/v1", requests).await;
    let left_out =
        |operation: &String| UNSUPPORTED.iter().any(|(part, _)| operation.contains(part));
    let unseen: Vec<String> = openapi::operations()
        .into_iter()
        .filter(|o| !coverage.seen.contains(o) && !left_out(o))
        .collect();
    assert!(unseen.is_empty(), "{unseen:#?}");
}
