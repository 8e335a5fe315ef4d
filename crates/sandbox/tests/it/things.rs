//! Volumes, secrets, addresses, certificates, and the lists over an organisation.

use serde_json::{Value, json};

use crate::kit::{Box, nginx};

async fn volume(sandbox: &Box, body: Value) -> (String, String) {
    let volume = sandbox.post("/v1/apps/web/volumes", body).await.is(200);
    let id = volume["id"].as_str().unwrap().to_owned();
    (format!("/v1/apps/web/volumes/{id}"), id)
}

fn mounting(volume: &str) -> Value {
    json!({ "config": { "image": "pg", "mounts": [{ "volume": volume, "path": "/data" }] } })
}

#[tokio::test]
async fn a_volume_has_the_documented_defaults_and_never_shrinks() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (path, id) = volume(
        &sandbox,
        json!({ "name": "data", "region": "ams", "size_gb": null }),
    )
    .await;
    assert!(id.starts_with("vol_") && id.len() == 20, "{id}");
    let shown = sandbox.get(&path).await.is(200);
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
        .refused(400, "size_gb");
    let extended = sandbox
        .put(&format!("{path}/extend"), json!({ "size_gb": 9 }))
        .await
        .is(200);
    assert_eq!(
        (&extended["needs_restart"], &extended["volume"]["size_gb"]),
        (&json!(false), &json!(9))
    );
}

#[tokio::test]
async fn a_volume_follows_its_machine_and_cannot_be_deleted_under_it() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (path, id) = volume(
        &sandbox,
        json!({ "name": "data", "region": "ams", "size_gb": 1 }),
    )
    .await;
    let mut elsewhere = mounting(&id);
    elsewhere["region"] = "fra".into();
    sandbox
        .post("/v1/apps/web/machines", elsewhere)
        .await
        .refused(400, "region ams");
    let (machine, at) = sandbox.machine(mounting(&id)).await;
    assert_eq!(machine["region"], "ams");
    let mount =
        json!([{ "volume": id, "path": "/data", "name": "data", "size_gb": 1, "encrypted": true }]);
    assert_eq!(machine["config"]["mounts"], mount);
    let bound = format!(
        "currently bound to machine: {}",
        machine["id"].as_str().unwrap()
    );
    sandbox
        .post("/v1/apps/web/machines", mounting(&id))
        .await
        .refused(412, &bound);
    sandbox
        .delete(&path)
        .await
        .refused(412, &format!("volume is {bound}"));
    sandbox.pass(2_000);
    sandbox
        .post(
            &at,
            nginx()
                .as_object()
                .map(|_| json!({ "config": { "image": "pg" } }))
                .unwrap(),
        )
        .await
        .refused(400, "volume");
    let extended = sandbox
        .put(&format!("{path}/extend"), json!({ "size_gb": 2 }))
        .await
        .is(200);
    assert_eq!(extended["needs_restart"], true);
    sandbox.delete(&format!("{at}?kill=true")).await.is(200);
    sandbox.pass(2_000);
    assert_eq!(
        sandbox.get(&path).await.is(200)["attached_machine_id"],
        Value::Null
    );
    assert_eq!(
        sandbox.delete(&path).await.is(200)["state"],
        "pending_destroy"
    );
    sandbox.delete(&path).await.refused(404, "volume not found");
    sandbox.pass(25 * 3_600_000);
    sandbox.get(&path).await.refused(404, "volume not found");
}

#[tokio::test]
async fn a_snapshot_becomes_a_volume_and_a_fork_hydrates() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (path, id) = volume(
        &sandbox,
        json!({ "name": "data", "region": "ams", "size_gb": 4 }),
    )
    .await;
    let snapshot = sandbox
        .post(&format!("{path}/snapshots"), Value::Null)
        .await
        .is(200);
    let body = json!({ "name": "copy", "region": "fra", "snapshot_id": snapshot["id"] });
    let (copy, _) = volume(&sandbox, body).await;
    let shown = sandbox.get(&copy).await.is(200);
    assert_eq!(
        (&shown["state"], &shown["size_gb"]),
        (&json!("hydrating"), &json!(4))
    );
    sandbox.pass(3_000);
    assert_eq!(sandbox.get(&copy).await.is(200)["state"], "created");
    let smaller = json!({ "source_volume_id": id, "size_gb": 2 });
    sandbox
        .post("/v1/apps/web/volumes", smaller)
        .await
        .refused(400, "between 4 and 500");
    let (_, small) = volume(
        &sandbox,
        json!({ "name": "small", "region": "ams", "size_gb": 1 }),
    )
    .await;
    let (fork, _) = volume(
        &sandbox,
        json!({ "source_volume_id": small, "size_gb": null }),
    )
    .await;
    assert_eq!(
        sandbox.get(&fork).await.is(200)["size_gb"],
        1,
        "a fork is its source block for block"
    );
}

#[tokio::test]
async fn secrets_have_versions_and_digests_and_hide_their_values() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let at = "/v1/apps/web/secrets";
    let set = sandbox
        .post(
            at,
            json!({ "values": { "A": "1", "B": "2", "GONE": null } }),
        )
        .await
        .is(200);
    assert_eq!((&set["version"], &set["Version"]), (&json!(1), &json!(1)));
    let names: Vec<&str> = set["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["A", "B"]);
    let before = sandbox.get(&format!("{at}/A")).await.is(200);
    assert_eq!(before.get("value"), None);
    sandbox.pass(5_000);
    let changed = sandbox
        .post(&format!("{at}/A"), json!({ "value": "other" }))
        .await
        .is(201);
    assert_eq!(changed["version"], 2);
    assert_ne!(changed["digest"], before["digest"]);
    assert_eq!(changed["created_at"], before["created_at"]);
    assert_ne!(changed["updated_at"], before["updated_at"]);
    let same = sandbox
        .post(&format!("{at}/A"), json!({ "value": "1" }))
        .await
        .is(201);
    assert_eq!(same["digest"], before["digest"]);
    assert_eq!(
        sandbox.delete(&format!("{at}/NONE")).await.is(200)["version"],
        4
    );
    for spelling in ["min_version", "version"] {
        sandbox
            .get(&format!("{at}?{spelling}=5"))
            .await
            .refused(412, "secrets version 5");
        sandbox.pass(1_000);
    }
    let mut body = nginx();
    body["min_secrets_version"] = 9.into();
    sandbox
        .post("/v1/apps/web/machines", body)
        .await
        .refused(412, "secrets version 9");
    sandbox
        .post(at, json!({ "values": { "not-a-name": "1" } }))
        .await
        .refused(400, "invalid secret name");
}

#[tokio::test]
async fn addresses_have_kinds_and_the_shared_one_is_single() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let at = "/v1/apps/web/ip_assignments";
    let assign = async |kind: &str, region: &str| {
        sandbox.pass(1_000);
        sandbox
            .post(
                at,
                json!({ "type": kind, "region": region, "org_slug": "", "network": "" }),
            )
            .await
    };
    let shared = assign("shared_v4", "").await.is(200);
    assert_eq!(
        (&shared["shared"], &shared["region"]),
        (&json!(true), &json!(""))
    );
    assert_eq!(assign("shared_v4", "").await.is(200)["ip"], shared["ip"]);
    assert_eq!(assign("v6", "").await.is(200)["region"], "global");
    assert_eq!(assign("v4", "fra").await.is(200)["region"], "fra");
    let private = assign("private_v6", "").await.is(200);
    assert!(private["ip"].as_str().unwrap().starts_with("fdaa:"));
    assert_eq!(
        private["network"],
        json!({ "name": "", "org_slug": "acme" })
    );
    assert!(assign("egress_pair", "fra").await.is(200)["ip_pair"]["v6"].is_string());
    assign("v5", "").await.refused(400, "invalid ip type");
    let missing = json!({ "type": "private_v6", "network": "nowhere" });
    sandbox.pass(1_000);
    sandbox
        .post(at, missing)
        .await
        .refused(400, "network not found");
    let ip = shared["ip"].as_str().unwrap();
    sandbox.delete(&format!("{at}/{ip}")).await.is(204);
    sandbox
        .delete(&format!("{at}/{ip}"))
        .await
        .refused(404, "ip address not found");
    assert_eq!(
        sandbox.get(at).await.is(200)["ips"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[tokio::test]
async fn a_certificate_waits_for_its_records_and_lists_have_pages() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let at = "/v1/apps/web/certificates";
    for host in ["a.example", "b.example", "c.example"] {
        let made = sandbox
            .post(&format!("{at}/acme"), json!({ "hostname": host }))
            .await
            .is(201);
        assert_eq!(made["status"], "pending_validation");
    }
    sandbox.pass(11_000);
    sandbox
        .post(&format!("{at}/acme"), json!({ "hostname": "a.example" }))
        .await
        .refused(422, "already been taken");
    sandbox
        .post(&format!("{at}/acme"), json!({ "hostname": "nonsense" }))
        .await
        .refused(422, "invalid");
    let checked = sandbox
        .post(&format!("{at}/b.example/check"), Value::Null)
        .await
        .is(200);
    assert_eq!(
        (&checked["configured"], &checked["status"]),
        (&json!(true), &json!("active"))
    );
    let first = sandbox.get(&format!("{at}?limit=2")).await.is(200);
    assert_eq!(
        (&first["total_count"], &first["next_cursor"]),
        (&json!(3), &json!("b.example"))
    );
    let second = sandbox
        .get(&format!("{at}?limit=2&cursor=b.example"))
        .await
        .is(200);
    assert_eq!(second["certificates"][0]["hostname"], "c.example");
    assert_eq!(second["next_cursor"], "");
}

#[tokio::test]
async fn lists_over_an_organisation_have_pages_and_little_configuration() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    for _ in 0..3 {
        sandbox
            .machine(json!({ "config": { "image": "x", "env": { "A": "1" }, "metadata": { "k": "v" } } }))
            .await;
    }
    let first = sandbox.get("/v1/orgs/acme/machines?limit=2").await.is(200);
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
        .is(200);
    assert_eq!(second["machines"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_cursor"], "");
    let others = sandbox
        .get("/v1/apps/web/machines?metadata.k=w")
        .await
        .is(200);
    assert_eq!(others, json!([]));
    let summary = sandbox
        .get("/v1/apps/web/machines?summary=true&state=created")
        .await
        .is(200);
    assert_eq!(
        (summary.as_array().unwrap().len(), summary[0].get("config")),
        (3, None)
    );
}

#[tokio::test]
async fn a_region_may_be_a_list_with_areas_and_the_first_with_room_is_taken() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let place = async |region: &str| {
        sandbox.pass(1_000);
        sandbox
            .post(
                "/v1/apps/web/machines",
                json!({ "config": { "image": "x" }, "region": region }),
            )
            .await
    };
    assert_eq!(place("lhr,eu").await.is(200)["region"], "lhr");
    sandbox
        .admin("hosts", json!({ "region": "lhr", "full": true }))
        .await;
    assert_eq!(place("lhr,eu").await.is(200)["region"], "ams");
    assert_eq!(place("any").await.is(200)["region"], "iad");
    assert_eq!(place("").await.is(200)["region"], "iad");
    place("lhr")
        .await
        .refused(409, "could not reserve resource");
    place("lhr,moon").await.refused(400, "invalid region");
    let asked = json!({ "org_slug": "acme", "region": "eu", "count": 1 });
    let places = sandbox.post("/v1/platform/placements", asked).await.is(200);
    let codes: Vec<&str> = places["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["region"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["ams", "arn", "cdg", "fra"]);
}
