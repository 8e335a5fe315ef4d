//! What the five users do every day, with the program itself: new images, an image that does not start, a release command
//! that fails, and runs that are interrupted and killed half-way. Each test is one production, from its manifest.

use serde_json::json;

use crate::support::{TestEnv, apply_plan};
use production::{Production, RELEASE_COMMAND_GROUP, UserManifest, runs_image, versions};

#[path = "deploys/production.rs"]
mod production;

const PRISM: UserManifest = UserManifest {
    folder: "prism",
    app: "web",
    fly_name: "prism",
    secrets: &[],
    machine_count: 1,
    max_unavailable: 1,
    cron_count: 0,
    has_checks: false,
};
const VIBEGRAPHER: UserManifest = UserManifest {
    folder: "vibegrapher",
    app: "api",
    fly_name: "vibegrapher-api",
    secrets: &["OPENAI_API_KEY"],
    machine_count: 5,
    max_unavailable: 2,
    cron_count: 0,
    has_checks: true,
};
const LEDGER: UserManifest = UserManifest {
    folder: "ledger",
    app: "app",
    fly_name: "ledger-app-production",
    secrets: &[],
    machine_count: 1,
    max_unavailable: 1,
    cron_count: 0,
    has_checks: true,
};
const DRAFTGURU: UserManifest = UserManifest {
    folder: "draftguru",
    app: "web",
    fly_name: "draft-app-prod",
    secrets: &["PROD_DATABASE_URL", "PROD_SECRET_KEY"],
    machine_count: 1,
    max_unavailable: 1,
    cron_count: 1,
    has_checks: false,
};
const REIFY: UserManifest = UserManifest {
    folder: "reify",
    app: "web",
    fly_name: "reify",
    secrets: &["SECRET_KEY_BASE"],
    machine_count: 2,
    max_unavailable: 1,
    cron_count: 0,
    has_checks: false,
};

/// Longer than any test waits.
const FOREVER_MS: u64 = 1_000_000_000;

/// How many machines run this image.
async fn count_running(shop: &Production, tag: &str) -> usize {
    shop.service_machines()
        .await
        .iter()
        .filter(|machine| runs_image(machine, tag))
        .count()
}

/// New images one after the other, each applied twice.
async fn deploy_new_images(shop: &Production) {
    for tag in ["v1", "v2", "v3"] {
        shop.apply("production", tag).assert_exit(0, &["Applied: "]);
        shop.assert_converged("production", tag).await;
    }
}

/// An image whose program crashes stops at the first machines; the next image heals them.
async fn deploy_crashing_image(shop: &Production) {
    let crons = versions(&shop.cron_machines().await);
    // Between two crashes it is up, for most of the time.
    let crash = json!({ "exit_code": 3, "after_ms": 2_000, "checks": "critical", "logs": ["no such table: users"] });
    shop.add_rule("app", "bad", crash).await;
    let said = [
        "FAILED: could not update fly.machine/",
        "its program exited with code 3",
        "| no such table: users",
        "Incomplete: ",
        "run the same command again",
    ];
    // Another try fails as well, and goes no further.
    for _ in 0..2 {
        shop.apply("production", "bad").assert_exit(4, &said);
        let down = count_running(shop, "bad").await;
        assert!(
            (1..=shop.user.max_unavailable).contains(&down),
            "{down} are down"
        );
        let others = shop
            .service_machines()
            .await
            .into_iter()
            .filter(|machine| !runs_image(machine, "bad"));
        for machine in others {
            assert!(
                runs_image(&machine, "v3") && machine["state"] == "started",
                "{machine:#}"
            );
        }
        assert_eq!(
            versions(&shop.cron_machines().await),
            crons,
            "cron machines stay as they are"
        );
        shop.assert_no_leases("bad").await;
    }
    shop.apply("production", "v4")
        .assert_exit(0, &["Applied: "]);
    shop.assert_converged("production", "v4").await;
    shop.clear_rules().await;
}

/// A release command that fails stops everything before the first machine; another command goes through.
async fn deploy_with_failing_release_command(shop: &Production) {
    let all = async || {
        [
            versions(&shop.service_machines().await),
            versions(&shop.cron_machines().await),
        ]
    };
    let before = all().await;
    let wrong =
        json!({ "exit_code": 2, "after_ms": 300, "logs": ["relation \"users\" does not exist"] });
    shop.add_rule(RELEASE_COMMAND_GROUP, "v5", wrong).await;
    shop.write_guarded_manifest("bin/migrate --wrong");
    let ran = shop.apply("guarded", "v5");
    ran.assert_exit(
        4,
        &[
            &format!("run the release command of {}", shop.user.fly_name),
            "its program exited with code 2",
            "| relation \"users\" does not exist",
            "run the same command again",
        ],
    );
    assert_eq!(
        ran.writes(),
        [format!("POST /v1/apps/{}/machines", shop.user.fly_name)]
    );
    assert_eq!(all().await, before, "no machine was written to");
    shop.assert_no_leases("v5").await;
    shop.clear_rules().await;
    shop.write_guarded_manifest("bin/migrate");
    shop.apply("guarded", "v5").assert_exit(0, &["Applied: "]);
    assert_eq!(shop.release_machines("v5").await.len(), 2);
    shop.assert_converged("guarded", "v5").await;
}

async fn test_deploys(user: &'static UserManifest) {
    let shop = Production::start(user).await;
    deploy_new_images(&shop).await;
    deploy_crashing_image(&shop).await;
    deploy_with_failing_release_command(&shop).await;
}

/// Lets release commands of this image run until the test ends them.
async fn hold_release_command(shop: &Production, tag: &str) {
    shop.add_rule(
        RELEASE_COMMAND_GROUP,
        tag,
        json!({ "exit_code": 0, "after_ms": FOREVER_MS }),
    )
    .await;
}

/// Interrupted while the release command runs: it is waited for, no machine changes, and it does not run again.
async fn interrupt_during_release_command(shop: &Production) {
    let before = versions(&shop.service_machines().await);
    hold_release_command(shop, "v2").await;
    let mut run = shop.start_apply("guarded", "v2");
    run.wait_for_release_command().await;
    run.interrupt().await;
    shop.finish_release_command().await;
    run.wait().assert_exit(
        4,
        &[
            "not run: ",
            "because the run ended before",
            "run the same command again",
        ],
    );
    assert_eq!(
        versions(&shop.service_machines().await),
        before,
        "no machine was written to"
    );
    shop.assert_no_leases("v2").await;
    shop.clear_rules().await;
    shop.apply("guarded", "v2").assert_exit(0, &["Applied: "]);
    assert_eq!(
        shop.release_machines("v2").await.len(),
        1,
        "a command that has succeeded does not run again"
    );
    shop.assert_converged("guarded", "v2").await;
}

/// Killed while the release command runs: the next run waits for the leases to run out and for that very command.
async fn kill_during_release_command(shop: &Production) {
    hold_release_command(shop, "v3").await;
    let mut run = shop.start_apply("guarded", "v3");
    run.wait_for_release_command().await;
    run.kill();
    shop.clear_rules().await;
    let commands = shop.release_machines("v3").await;
    let mut run = shop.start_apply("guarded", "v3");
    run.wait_for_lease_conflict().await;
    shop.expire_leases();
    run.wait_for_request(
        "GET",
        &format!("/machines/{}", commands[0]["id"].as_str().unwrap()),
    )
    .await;
    shop.finish_release_command().await;
    run.wait().assert_exit(0, &["Applied: "]);
    assert_eq!(
        shop.release_machines("v3").await.len(),
        1,
        "a command is never cut off or doubled by a second run"
    );
    shop.assert_converged("guarded", "v3").await;
}

/// Waits until a machine has the new image, and cannot become healthy.
async fn begin_unhealthy_rollout<'s>(
    shop: &'s Production,
    tag: &str,
) -> production::RunningApply<'s> {
    shop.add_rule("app", tag, json!({ "checks": "critical" }))
        .await;
    let mut run = shop.start_apply("guarded", tag);
    run.wait_for_request("POST", "/machines/").await;
    run
}

/// Interrupted while machines change: those under way are finished, the others are left, and the next run goes on.
async fn interrupt_during_rollout(shop: &Production) {
    let UserManifest {
        machine_count: fleet,
        max_unavailable: at_once,
        cron_count: crons,
        ..
    } = shop.user;
    let before = versions(&shop.cron_machines().await);
    let mut run = begin_unhealthy_rollout(shop, "v4").await;
    run.interrupt().await;
    shop.clear_rules().await;
    let ran = run.wait();
    if fleet + crons > 1 {
        ran.assert_exit(4, &["not run: ", "run the same command again"]);
    } else {
        ran.assert_exit(0, &["Applied: "]);
    }
    let done = count_running(shop, "v4").await;
    assert!((1..=*at_once).contains(&done), "{done} machines changed");
    for machine in shop.service_machines().await {
        assert_eq!(machine["state"], "started", "{machine:#}");
        assert!(
            machine["config"]["metadata"]["trimtab_starting"].is_null(),
            "{machine:#}"
        );
    }
    assert_eq!(
        versions(&shop.cron_machines().await),
        before,
        "cron machines stay as they are"
    );
    shop.assert_no_leases("v4").await;
    shop.apply("guarded", "v4").assert_exit(0, &[]);
    assert_eq!(shop.release_machines("v4").await.len(), 1);
    shop.assert_converged("guarded", "v4").await;
}

/// Killed while machines change: the next run finds out how far it came, and goes on.
async fn kill_during_rollout(shop: &Production) {
    begin_unhealthy_rollout(shop, "v5").await.kill();
    assert!(count_running(shop, "v5").await <= shop.user.max_unavailable);
    shop.clear_rules().await;
    shop.expire_leases();
    shop.apply("guarded", "v5").assert_exit(0, &["Applied: "]);
    assert_eq!(shop.release_machines("v5").await.len(), 1);
    shop.assert_converged("guarded", "v5").await;
}

async fn test_interruptions(user: &'static UserManifest) {
    let shop = Production::start(user).await;
    shop.write_guarded_manifest("bin/migrate");
    shop.apply("guarded", "v1").assert_exit(0, &["Applied: "]);
    interrupt_during_release_command(&shop).await;
    kill_during_release_command(&shop).await;
    interrupt_during_rollout(&shop).await;
    kill_during_rollout(&shop).await;
}

/// A test for each user and story, so that they run beside each other.
macro_rules! user_tests {
    ($($user:ident: $deploys:ident, $interruptions:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $deploys() {
            test_deploys(&$user).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $interruptions() {
            test_interruptions(&$user).await;
        }
    )*};
}

user_tests! {
    PRISM: prism_deploys, prism_is_interrupted;
    VIBEGRAPHER: vibegrapher_deploys, vibegrapher_is_interrupted;
    LEDGER: ledger_deploys, ledger_is_interrupted;
    DRAFTGURU: draftguru_deploys, draftguru_is_interrupted;
    REIFY: reify_deploys, reify_is_interrupted;
}

/// Two machines without checks.
const TWO_MACHINES_WITHOUT_CHECKS: &str = r#"
project = "harbor"
[fly]
org = "harbor-test"
[apps.web]
name = "harbor-web"
image = "registry.fly.io/harbor-web:good"
restart = { policy = "always" }
[apps.web.http_service]
internal_port = 8080
[apps.web.machines.app]
count = { ewr = 2 }
"#;

/// Without a check, a program that crashes looks well between two crashes.
#[tokio::test(flavor = "multi_thread")]
async fn crash_looping_machine_is_not_healthy() {
    let team = TestEnv::new(TWO_MACHINES_WITHOUT_CHECKS).await;
    team.apply().await;
    let url = format!("{}/_sandbox/rules", team.sandbox.url());
    let rule = json!({ "match": { "image_contains": ":bad" }, "behave": { "exit_code": 3, "after_ms": 2_000 } });
    assert!(
        reqwest::Client::new()
            .post(url)
            .json(&rule)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    team.write_manifest(&TWO_MACHINES_WITHOUT_CHECKS.replace(":good", ":bad"));
    assert!(!team.try_apply(None).await.unwrap().is_complete());
    let world = loop {
        let world = team.world().await;
        if world.fly_machine["web/app/ewr/0"].workload.state == "started" {
            break world;
        }
    };
    let plan = trimtab::plan::plan(&team.desired_with_digests().await.unwrap(), &world).unwrap();
    let report = apply_plan(plan, team.readers(None).await, world).await;
    assert_eq!(report.counts(), (0, 1, 1, 0), "{report:#?}");
}
