//! Calls on a single machine, with the real client against the sandbox.

use serde_json::json;
use trimtab::clouds::{
    ProgressSink,
    fly::{FlyWriter, MachineRequest},
};

use crate::support::{BareSandbox, SPEED, TestEnv};

#[tokio::test]
async fn versions_are_listed_newest_first() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine = bare.create_machine(&fly, json!({ "image": "web:1" })).await;
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "started",
        60,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
    let update = MachineRequest {
        region: "fra".to_owned(),
        config: json!({ "image": "web:2" }),
        ..MachineRequest::default()
    };
    fly.update_machine("web", &machine.id, &machine.instance_id, &update)
        .await
        .unwrap();
    let versions = fly.list_machine_versions("web", &machine.id).await.unwrap();
    let images: Vec<_> = versions
        .iter()
        .map(|version| version.user_config["image"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["web:2", "web:1"]);
    assert_eq!(versions[1].version, machine.instance_id);
}

#[tokio::test]
async fn machine_is_cordoned_stopped_and_started() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine = bare.create_machine(&fly, json!({ "image": "web:1" })).await;
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "started",
        60,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
    fly.cordon_machine("web", &machine.id).await.unwrap();
    assert!(fly.get_machine("web", &machine.id).await.unwrap().cordoned);
    fly.uncordon_machine("web", &machine.id).await.unwrap();
    assert!(!fly.get_machine("web", &machine.id).await.unwrap().cordoned);
    fly.stop_machine("web", &machine.id).await.unwrap();
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "stopped",
        60,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
    fly.start_machine("web", &machine.id).await.unwrap();
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "started",
        60,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn machine_can_be_created_cordoned_and_leased() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let new = MachineRequest {
        region: "fra".to_owned(),
        config: json!({ "image": "web:1" }),
        skip_service_registration: true,
        lease_ttl: Some(300),
        ..MachineRequest::default()
    };
    let machine = fly.create_machine("web", &new).await.unwrap();
    assert!(machine.cordoned && machine.nonce.is_some(), "{machine:?}");
}

#[tokio::test]
async fn omitted_default_is_no_change() {
    // The API omits `false` in elements of lists, as Go does.
    let env = TestEnv::new(
        "project = \"any\"\n[fly]\norg = \"any\"\n[apps.web]\nimage = \"web:1\"\nprimary_region = \"iad\"\n\
         [apps.web.http_service]\ninternal_port = 8080\n[[apps.web.http_service.http_options.replay_cache]]\n\
         path_prefix = \"/users\"\nallow_bypass = false\nttl_seconds = 0\n",
    )
    .await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}
