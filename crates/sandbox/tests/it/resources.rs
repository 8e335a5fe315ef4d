//! Volumes, secrets, addresses, certificates, and lists over an organization.

use serde_json::{Value, json};

use crate::support::{TestSandbox, nginx_machine};

async fn create_volume(sandbox: &TestSandbox, body: Value) -> (String, String) {
    let volume = sandbox
        .post("/v1/apps/web/volumes", body)
        .await
        .assert_status(200);
    let id = volume["id"].as_str().unwrap().to_owned();
    (format!("/v1/apps/web/volumes/{id}"), id)
}

fn machine_mounting(volume: &str) -> Value {
    json!({ "config": { "image": "pg", "mounts": [{ "volume": volume, "path": "/data" }] } })
}

#[tokio::test]
async fn volume_defaults_and_extension() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (path, id) = create_volume(
        &sandbox,
        json!({ "name": "data", "region": "ams", "size_gb": null }),
    )
    .await;
    assert!(id.starts_with("vol_") && id.len() == 20, "{id}");
    let shown = sandbox.get(&path).await.assert_status(200);
    for (key, expected) in [
        ("size_gb", json!(3)),
        ("encrypted", json!(true)),
        ("snapshot_retention", json!(5)),
        ("auto_backup_enabled", json!(true)),
        ("attached_machine_id", Value::Null),
        ("host_status", json!("ok")),
        ("state", json!("created")),
    ] {
        assert_eq!(shown[key], expected, "{key}");
    }
    sandbox
        .put(&format!("{path}/extend"), json!({ "size_gb": 2 }))
        .await
        .assert_error(400, "size_gb");
    let extended = sandbox
        .put(&format!("{path}/extend"), json!({ "size_gb": 9 }))
        .await
        .assert_status(200);
    assert_eq!(
        (&extended["needs_restart"], &extended["volume"]["size_gb"]),
        (&json!(false), &json!(9))
    );
}

#[tokio::test]
async fn attached_volume_cannot_be_deleted() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (path, id) = create_volume(
        &sandbox,
        json!({ "name": "data", "region": "ams", "size_gb": 1 }),
    )
    .await;
    let mut elsewhere = machine_mounting(&id);
    elsewhere["region"] = "fra".into();
    sandbox
        .post("/v1/apps/web/machines", elsewhere)
        .await
        .assert_error(400, "region ams");
    let (machine, at) = sandbox.create_machine(machine_mounting(&id)).await;
    assert_eq!(machine["region"], "ams");
    let mount =
        json!([{ "volume": id, "path": "/data", "name": "data", "size_gb": 1, "encrypted": true }]);
    assert_eq!(machine["config"]["mounts"], mount);
    let bound = format!(
        "currently bound to machine: {}",
        machine["id"].as_str().unwrap()
    );
    sandbox
        .post("/v1/apps/web/machines", machine_mounting(&id))
        .await
        .assert_error(412, &bound);
    sandbox
        .delete(&path)
        .await
        .assert_error(412, &format!("volume is {bound}"));
    sandbox.advance_ms(2_000);
    sandbox
        .post(
            &at,
            nginx_machine()
                .as_object()
                .map(|_| json!({ "config": { "image": "pg" } }))
                .unwrap(),
        )
        .await
        .assert_error(400, "volume");
    let extended = sandbox
        .put(&format!("{path}/extend"), json!({ "size_gb": 2 }))
        .await
        .assert_status(200);
    assert_eq!(extended["needs_restart"], true);
    sandbox
        .delete(&format!("{at}?kill=true"))
        .await
        .assert_status(200);
    sandbox.advance_ms(2_000);
    assert_eq!(
        sandbox.get(&path).await.assert_status(200)["attached_machine_id"],
        Value::Null
    );
    assert_eq!(
        sandbox.delete(&path).await.assert_status(200)["state"],
        "pending_destroy"
    );
    sandbox
        .delete(&path)
        .await
        .assert_error(404, "volume not found");
    sandbox.advance_ms(25 * 3_600_000);
    sandbox
        .get(&path)
        .await
        .assert_error(404, "volume not found");
}

#[tokio::test]
async fn volume_from_snapshot_and_fork() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (path, id) = create_volume(
        &sandbox,
        json!({ "name": "data", "region": "ams", "size_gb": 4 }),
    )
    .await;
    let snapshot = sandbox
        .post(&format!("{path}/snapshots"), Value::Null)
        .await
        .assert_status(200);
    let body = json!({ "name": "copy", "region": "fra", "snapshot_id": snapshot["id"] });
    let (copy, _) = create_volume(&sandbox, body).await;
    let shown = sandbox.get(&copy).await.assert_status(200);
    assert_eq!(
        (&shown["state"], &shown["size_gb"]),
        (&json!("hydrating"), &json!(4))
    );
    sandbox.advance_ms(3_000);
    assert_eq!(
        sandbox.get(&copy).await.assert_status(200)["state"],
        "created"
    );
    let smaller = json!({ "source_volume_id": id, "size_gb": 2 });
    sandbox
        .post("/v1/apps/web/volumes", smaller)
        .await
        .assert_error(400, "between 4 and 500");
    let (_, small) = create_volume(
        &sandbox,
        json!({ "name": "small", "region": "ams", "size_gb": 1 }),
    )
    .await;
    let (fork, _) = create_volume(
        &sandbox,
        json!({ "source_volume_id": small, "size_gb": null }),
    )
    .await;
    assert_eq!(
        sandbox.get(&fork).await.assert_status(200)["size_gb"],
        1,
        "a fork is its source block for block"
    );
}

#[tokio::test]
async fn secrets_have_versions_and_digests() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let at = "/v1/apps/web/secrets";
    let set = sandbox
        .post(
            at,
            json!({ "values": { "A": "1", "B": "2", "GONE": null } }),
        )
        .await
        .assert_status(200);
    assert_eq!((&set["version"], &set["Version"]), (&json!(1), &json!(1)));
    let names: Vec<&str> = set["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["A", "B"]);
    let before = sandbox.get(&format!("{at}/A")).await.assert_status(200);
    assert_eq!(before.get("value"), None);
    sandbox.advance_ms(5_000);
    let changed = sandbox
        .post(&format!("{at}/A"), json!({ "value": "other" }))
        .await
        .assert_status(201);
    assert_eq!(changed["version"], 2);
    assert_ne!(changed["digest"], before["digest"]);
    assert_eq!(changed["created_at"], before["created_at"]);
    assert_ne!(changed["updated_at"], before["updated_at"]);
    let same = sandbox
        .post(&format!("{at}/A"), json!({ "value": "1" }))
        .await
        .assert_status(201);
    assert_eq!(same["digest"], before["digest"]);
    assert_eq!(
        sandbox
            .delete(&format!("{at}/NONE"))
            .await
            .assert_status(200)["version"],
        4
    );
    for spelling in ["min_version", "version"] {
        sandbox
            .get(&format!("{at}?{spelling}=5"))
            .await
            .assert_error(412, "secrets version 5");
        sandbox.advance_ms(1_000);
    }
    let mut body = nginx_machine();
    body["min_secrets_version"] = 9.into();
    sandbox
        .post("/v1/apps/web/machines", body)
        .await
        .assert_error(412, "secrets version 9");
    sandbox
        .post(at, json!({ "values": { "not-a-name": "1" } }))
        .await
        .assert_error(400, "invalid secret name");
}

#[tokio::test]
async fn address_kinds_and_shared_address() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let at = "/v1/apps/web/ip_assignments";
    let assign = async |kind: &str, region: &str| {
        sandbox.advance_ms(1_000);
        sandbox
            .post(
                at,
                json!({ "type": kind, "region": region, "org_slug": "", "network": "" }),
            )
            .await
    };
    let shared = assign("shared_v4", "").await.assert_status(200);
    assert_eq!(
        (&shared["shared"], &shared["region"]),
        (&json!(true), &json!(""))
    );
    assert_eq!(
        assign("shared_v4", "").await.assert_status(200)["ip"],
        shared["ip"]
    );
    assert_eq!(
        assign("v6", "").await.assert_status(200)["region"],
        "global"
    );
    assert_eq!(
        assign("v4", "fra").await.assert_status(200)["region"],
        "fra"
    );
    let private = assign("private_v6", "").await.assert_status(200);
    assert!(private["ip"].as_str().unwrap().starts_with("fdaa:"));
    assert_eq!(
        private["network"],
        json!({ "name": "", "org_slug": "acme" })
    );
    assert!(assign("egress_pair", "fra").await.assert_status(200)["ip_pair"]["v6"].is_string());
    assign("v5", "").await.assert_error(400, "invalid ip type");
    let missing = json!({ "type": "private_v6", "network": "nowhere" });
    sandbox.advance_ms(1_000);
    sandbox
        .post(at, missing)
        .await
        .assert_error(400, "network not found");
    let ip = shared["ip"].as_str().unwrap();
    sandbox
        .delete(&format!("{at}/{ip}"))
        .await
        .assert_status(204);
    sandbox
        .delete(&format!("{at}/{ip}"))
        .await
        .assert_error(404, "ip address not found");
    assert_eq!(
        sandbox.get(at).await.assert_status(200)["ips"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[tokio::test]
async fn certificate_validation_and_paging() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let at = "/v1/apps/web/certificates";
    for host in ["a.example", "b.example", "c.example"] {
        let created = sandbox
            .post(&format!("{at}/acme"), json!({ "hostname": host }))
            .await
            .assert_status(201);
        assert_eq!(created["status"], "pending_validation");
    }
    sandbox.advance_ms(11_000);
    sandbox
        .post(&format!("{at}/acme"), json!({ "hostname": "a.example" }))
        .await
        .assert_error(422, "already been taken");
    sandbox
        .post(&format!("{at}/acme"), json!({ "hostname": "nonsense" }))
        .await
        .assert_error(422, "invalid");
    let checked = sandbox
        .post(&format!("{at}/b.example/check"), Value::Null)
        .await
        .assert_status(200);
    assert_eq!(
        (&checked["configured"], &checked["status"]),
        (&json!(true), &json!("active"))
    );
    let first = sandbox
        .get(&format!("{at}?limit=2"))
        .await
        .assert_status(200);
    assert_eq!(
        (&first["total_count"], &first["next_cursor"]),
        (&json!(3), &json!("b.example"))
    );
    let second = sandbox
        .get(&format!("{at}?limit=2&cursor=b.example"))
        .await
        .assert_status(200);
    assert_eq!(second["certificates"][0]["hostname"], "c.example");
    assert_eq!(second["next_cursor"], "");
}

/// The star is no part of the names in DNS that prove who owns a wildcard's domain (flyctl once showed
/// it: superfly/flyctl#32).
#[tokio::test]
async fn wildcard_certificate_is_proven_by_its_domain() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let at = "/v1/apps/web/certificates";
    let created = sandbox
        .post(
            &format!("{at}/acme"),
            json!({ "hostname": "*.example.com" }),
        )
        .await
        .assert_status(201);
    let needed = &created["dns_requirements"];
    assert_eq!(
        needed["acme_challenge"]["name"],
        "_acme-challenge.example.com"
    );
    let target = needed["acme_challenge"]["target"].as_str().unwrap();
    assert!(
        target.starts_with("example.com.") && target.ends_with(".flydns.net"),
        "{target}"
    );
    assert_eq!(needed["ownership"]["name"], "_fly-ownership.example.com");
    sandbox.advance_ms(11_000);
    let issued = sandbox
        .get(&format!("{at}/*.example.com"))
        .await
        .assert_status(200);
    let validation = &issued["validation"];
    assert_eq!(
        (
            &validation["dns_configured"],
            &validation["http_configured"]
        ),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn organization_lists_are_paged_and_reduced() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    for _ in 0..3 {
        sandbox
            .create_machine(json!({ "config": { "image": "x", "env": { "A": "1" }, "metadata": { "k": "v" } } }))
            .await;
    }
    let first = sandbox
        .get("/v1/orgs/acme/machines?limit=2")
        .await
        .assert_status(200);
    assert_eq!(first["machines"].as_array().unwrap().len(), 2);
    let config = first["machines"][0]["config"].as_object().unwrap();
    assert_eq!(
        config.keys().collect::<Vec<_>>(),
        ["guest", "image", "metadata"]
    );
    assert_eq!(first["machines"][0]["app_name"], "web");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = sandbox
        .get(&format!("/v1/orgs/acme/machines?limit=2&cursor={cursor}"))
        .await
        .assert_status(200);
    assert_eq!(second["machines"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_cursor"], "");
    let others = sandbox
        .get("/v1/apps/web/machines?metadata.k=w")
        .await
        .assert_status(200);
    assert_eq!(others, json!([]));
    let summary = sandbox
        .get("/v1/apps/web/machines?summary=true&state=created")
        .await
        .assert_status(200);
    assert_eq!(
        (summary.as_array().unwrap().len(), summary[0].get("config")),
        (3, None)
    );
}

#[tokio::test]
async fn region_lists_pick_first_with_capacity() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let place = async |region: &str| {
        sandbox.advance_ms(1_000);
        sandbox
            .post(
                "/v1/apps/web/machines",
                json!({ "config": { "image": "x" }, "region": region }),
            )
            .await
    };
    assert_eq!(place("lhr,eu").await.assert_status(200)["region"], "lhr");
    sandbox
        .post_admin("hosts", json!({ "region": "lhr", "full": true }))
        .await;
    assert_eq!(place("lhr,eu").await.assert_status(200)["region"], "ams");
    assert_eq!(place("any").await.assert_status(200)["region"], "iad");
    assert_eq!(place("").await.assert_status(200)["region"], "iad");
    place("lhr")
        .await
        .assert_error(409, "could not reserve resource");
    place("lhr,moon").await.assert_error(400, "invalid region");
    let asked = json!({ "org_slug": "acme", "region": "eu", "count": 1 });
    let places = sandbox
        .post("/v1/platform/placements", asked)
        .await
        .assert_status(200);
    let codes: Vec<&str> = places["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["region"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["ams", "arn", "cdg", "fra"]);
}
