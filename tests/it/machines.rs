//! The calls on one machine, by the real client against the sandbox.

use serde_json::json;
use trimtab::clouds::{
    Voice,
    fly::{NewMachine, Writer},
};

use crate::support::{Bare, SPEED, Team};

#[tokio::test]
async fn versions_come_newest_first_with_what_was_sent() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = bare.machine(&fly, json!({ "image": "web:1" })).await;
    fly.wait_for("web", &made.id, None, "started", 60, &Voice::silent())
        .await
        .unwrap();
    let update = NewMachine {
        region: "fra".to_owned(),
        config: json!({ "image": "web:2" }),
        ..NewMachine::default()
    };
    fly.update_machine("web", &made.id, &made.instance_id, &update)
        .await
        .unwrap();
    let versions = fly.versions("web", &made.id).await.unwrap();
    let images: Vec<_> = versions
        .iter()
        .map(|version| version.user_config["image"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["web:2", "web:1"]);
    assert_eq!(versions[1].version, made.instance_id);
}

#[tokio::test]
async fn a_machine_is_stopped_started_and_hidden() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = bare.machine(&fly, json!({ "image": "web:1" })).await;
    fly.wait_for("web", &made.id, None, "started", 60, &Voice::silent())
        .await
        .unwrap();
    fly.cordon("web", &made.id).await.unwrap();
    assert!(fly.machine("web", &made.id).await.unwrap().cordoned);
    fly.uncordon("web", &made.id).await.unwrap();
    assert!(!fly.machine("web", &made.id).await.unwrap().cordoned);
    fly.stop("web", &made.id).await.unwrap();
    fly.wait_for("web", &made.id, None, "stopped", 60, &Voice::silent())
        .await
        .unwrap();
    fly.start("web", &made.id).await.unwrap();
    fly.wait_for("web", &made.id, None, "started", 60, &Voice::silent())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_machine_may_be_made_hidden_and_leased() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let new = NewMachine {
        region: "fra".to_owned(),
        config: json!({ "image": "web:1" }),
        skip_service_registration: true,
        lease_ttl: Some(300),
        ..NewMachine::default()
    };
    let made = fly.create_machine("web", &new).await.unwrap();
    assert!(made.cordoned && made.nonce.is_some(), "{made:?}");
}

#[tokio::test]
async fn what_the_api_leaves_out_is_no_difference() {
    // Go leaves `false` out of a list's element, as the API does.
    let team = Team::new(
        "project = \"any\"\n[fly]\norg = \"any\"\n[apps.web]\nimage = \"web:1\"\nprimary_region = \"iad\"\n\
         [apps.web.http_service]\ninternal_port = 8080\n[[apps.web.http_service.http_options.replay_cache]]\n\
         path_prefix = \"/users\"\nallow_bypass = false\nttl_seconds = 0\n",
    )
    .await;
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
}
