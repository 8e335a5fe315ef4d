//! Every operation of the OpenAPI document is asked once and answers as described.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi;
use crate::support::{TestSandbox, nginx_machine};

/// Operations that the sandbox does not have, with the reason.
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

/// Method, path with `{}` for the part that only a run knows, body, status.
type ExpectedRequest = (&'static str, &'static str, Value, u16);

fn machine_requests() -> Vec<ExpectedRequest> {
    let stop = |method, path, body, status| (method, path, body, status);
    vec![
        stop("GET", "", Value::Null, 200),
        stop("POST", "/lease?ttl=13", Value::Null, 201),
        stop("GET", "/lease", Value::Null, 200),
        stop("GET", "/wait?timeout=1", Value::Null, 200),
        stop("GET", "/events?limit=2", Value::Null, 200),
        stop("GET", "/versions", Value::Null, 200),
        stop("PUT", "/metadata", json!({ "metadata": { "a": "1" } }), 204),
        stop(
            "PATCH",
            "/metadata",
            json!({ "metadata": { "b": "2" } }),
            204,
        ),
        stop("GET", "/metadata", Value::Null, 200),
        stop("POST", "/metadata/c", json!({ "value": "3" }), 204),
        stop("GET", "/metadata/c", Value::Null, 200),
        stop("DELETE", "/metadata/c", Value::Null, 204),
        stop("POST", "/exec", json!({ "cmd": "echo hi" }), 200),
        stop("GET", "/ps", Value::Null, 200),
        stop("GET", "/memory", Value::Null, 200),
        stop("PUT", "/memory", json!({ "limit_mb": 128 }), 200),
        stop("POST", "/memory/reclaim", json!({ "amount_mb": 64 }), 200),
        stop("POST", "/signal", json!({ "signal": 10 }), 200),
    ]
}

fn app_requests() -> Vec<ExpectedRequest> {
    let stop = |method, path, body, status| (method, path, body, status);
    let pem = "-----BEGIN CERTIFICATE-----";
    vec![
        stop("GET", "", Value::Null, 200),
        stop("POST", "/deploy_token", json!({ "expiry": "24h" }), 200),
        stop("GET", "/machines", Value::Null, 200),
        stop("GET", "/volumes", Value::Null, 200),
        stop("POST", "/secrets", json!({ "values": { "A": "1" } }), 200),
        stop("POST", "/secrets/B", json!({ "value": "2" }), 201),
        stop("GET", "/secrets", Value::Null, 200),
        stop("GET", "/secrets/B?show_secrets=true", Value::Null, 200),
        stop("DELETE", "/secrets/B", Value::Null, 200),
        stop("POST", "/ip_assignments", json!({ "type": "v6" }), 200),
        stop("GET", "/ip_assignments", Value::Null, 200),
        stop(
            "POST",
            "/certificates/acme",
            json!({ "hostname": "a.example" }),
            201,
        ),
        stop(
            "POST",
            "/certificates/custom",
            json!({ "hostname": "a.example", "fullchain": pem, "private_key": pem }),
            201,
        ),
        stop("GET", "/certificates", Value::Null, 200),
        stop("GET", "/certificates/a.example", Value::Null, 200),
        stop("POST", "/certificates/a.example/check", Value::Null, 200),
        stop("DELETE", "/certificates/a.example/custom", Value::Null, 200),
        stop("DELETE", "/certificates/a.example/acme", Value::Null, 200),
        stop(
            "POST",
            "/certificates/acme",
            json!({ "hostname": "a.example" }),
            201,
        ),
        stop("DELETE", "/certificates/a.example", Value::Null, 204),
    ]
}

/// Walks and remembers where it was.
struct CoverageRun {
    sandbox: TestSandbox,
    seen: BTreeSet<String>,
}

impl CoverageRun {
    async fn send_all(&mut self, base: &str, stops: Vec<ExpectedRequest>) -> Value {
        let mut last = Value::Null;
        for (method, path, body, status) in stops {
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

/// Everything that hangs on one application, from its birth to just before its end.
async fn cover_app(walk: &mut CoverageRun) {
    let app = json!({ "name": "web", "org_slug": "acme" });
    walk.send_all(
        "/v1/apps",
        vec![
            ("POST", "?wait=true", app, 201),
            ("GET", "?org_slug=acme", Value::Null, 200),
        ],
    )
    .await;
    walk.send_all("/v1/apps/web", app_requests()).await;
    let shared = json!({ "type": "shared_v4" });
    let address = walk
        .send_all(
            "/v1/apps/web/ip_assignments",
            vec![("POST", "", shared, 200)],
        )
        .await;
    let address = format!(
        "/v1/apps/web/ip_assignments/{}",
        address["ip"].as_str().unwrap()
    );
    walk.send_all(&address, vec![("DELETE", "", Value::Null, 204)])
        .await;
}

/// A volume, and the path to it.
async fn cover_volume(walk: &mut CoverageRun) -> (Value, String) {
    let volume = json!({ "name": "data", "region": "fra", "size_gb": 1 });
    let volume = walk
        .send_all("/v1/apps/web/volumes", vec![("POST", "", volume, 200)])
        .await;
    let at = format!("/v1/apps/web/volumes/{}", volume["id"].as_str().unwrap());
    let stops = vec![
        ("GET", "", Value::Null, 200),
        ("PUT", "", json!({ "snapshot_retention": 7 }), 200),
        ("PUT", "/extend", json!({ "size_gb": 2 }), 200),
        ("POST", "/snapshots", Value::Null, 200),
        ("GET", "/snapshots", Value::Null, 200),
    ];
    walk.send_all(&at, stops).await;
    (volume["id"].clone(), at)
}

/// A machine with a volume, a service and a check, through its whole life.
async fn cover_machine(walk: &mut CoverageRun, volume: &Value) {
    let mut body = nginx_machine();
    body["config"]["mounts"] = json!([{ "volume": volume, "path": "/data" }]);
    body["config"]["services"] = json!([{
        "protocol": "tcp", "internal_port": 80, "autostop": "stop",
        "ports": [{ "port": 443, "handlers": ["tls", "http"] }],
        "checks": [{ "type": "http", "interval": "10s", "timeout": 2_000_000_000u64, "path": "/" }],
    }]);
    let machine = walk
        .send_all(
            "/v1/apps/web/machines",
            vec![("POST", "", body.clone(), 200)],
        )
        .await;
    walk.sandbox.advance_ms(2_000);
    let lists = vec![
        ("GET", "/machines", Value::Null, 200),
        ("GET", "/volumes", Value::Null, 200),
    ];
    walk.send_all("/v1/orgs/acme", lists).await;
    let path = format!("/v1/apps/web/machines/{}", machine["id"].as_str().unwrap());
    walk.send_all(&path, machine_requests()).await;
    // The lease of the walk runs out, so that what follows needs no nonce.
    walk.sandbox.advance_ms(13_000);
    let none = Value::Null;
    let stops = vec![
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
    walk.send_all(&path, stops).await;
}

#[tokio::test]
async fn every_operation_conforms_to_openapi() {
    let mut walk = CoverageRun {
        sandbox: TestSandbox::scripted().await,
        seen: BTreeSet::new(),
    };
    cover_app(&mut walk).await;
    let (volume, at) = cover_volume(&mut walk).await;
    cover_machine(&mut walk, &volume).await;
    let none = Value::Null;
    walk.send_all(&at, vec![("DELETE", "", none.clone(), 200)])
        .await;
    let place = json!({ "org_slug": "acme", "region": "fra", "count": 2 });
    let stops = vec![
        ("GET", "/platform/regions", none.clone(), 200),
        ("POST", "/platform/placements", place, 200),
        ("GET", "/tokens/current", none.clone(), 200),
        ("DELETE", "/apps/web", none, 202),
    ];
    walk.send_all("/v1", stops).await;
    let left_out =
        |operation: &String| UNSUPPORTED.iter().any(|(part, _)| operation.contains(part));
    let unseen: Vec<String> = openapi::operations()
        .into_iter()
        .filter(|o| !walk.seen.contains(o) && !left_out(o))
        .collect();
    assert!(unseen.is_empty(), "{unseen:#?}");
}
