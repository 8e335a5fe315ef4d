//! What five users do every day, with the program itself: deploying new images, an image that does
//! not start, a failing release command, and runs that are interrupted or killed half-way. Each
//! test is one user's production environment.

use serde_json::json;

use crate::support::{TestEnv, apply_plan, sample};
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

/// The number of machines that run this image.
async fn count_running(production: &Production, tag: &str) -> usize {
    production
        .service_machines()
        .await
        .iter()
        .filter(|machine| runs_image(machine, tag))
        .count()
}

/// Deploys new images one after another, each applied twice.
async fn deploy_new_images(production: &Production) {
    for tag in sample(["v1", "v2", "v3"], 0, 2) {
        production
            .apply("production", tag)
            .assert_exit(0, &["Applied: "]);
        production.assert_converged("production", tag).await;
    }
}

/// An image whose program crashes stops the rollout at the first machines. The next image recovers.
async fn deploy_crashing_image(production: &Production) {
    let crons = versions(&production.cron_machines().await);
    // Between two crashes the program is up most of the time.
    let crash = json!({ "exit_code": 3, "after_ms": 2_000, "checks": "critical", "logs": ["no such table: users"] });
    production.add_rule("app", "bad", crash).await;
    let expected = [
        "FAILED: could not update fly.machine/",
        "its program exited with code 3",
        "| no such table: users",
        "Incomplete: ",
        "run the same command again",
    ];
    // Another attempt fails as well, and goes no further.
    for _ in 0..2 {
        production
            .apply("production", "bad")
            .assert_exit(4, &expected);
        let down = count_running(production, "bad").await;
        assert!(
            (1..=production.user.max_unavailable).contains(&down),
            "{down} are down"
        );
        let others = production
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
            versions(&production.cron_machines().await),
            crons,
            "cron machines stay as they are"
        );
        production.assert_no_leases("bad").await;
    }
    production
        .apply("production", "v4")
        .assert_exit(0, &["Applied: "]);
    production.assert_converged("production", "v4").await;
    production.clear_rules().await;
}

/// A failing release command stops the run before the first machine. A corrected command succeeds.
async fn deploy_with_failing_release_command(production: &Production) {
    let all = async || {
        [
            versions(&production.service_machines().await),
            versions(&production.cron_machines().await),
        ]
    };
    let before = all().await;
    let wrong =
        json!({ "exit_code": 2, "after_ms": 300, "logs": ["relation \"users\" does not exist"] });
    production
        .add_rule(RELEASE_COMMAND_GROUP, "v5", wrong)
        .await;
    production.write_guarded_manifest("bin/migrate --wrong");
    let output = production.apply("guarded", "v5");
    output.assert_exit(
        4,
        &[
            &format!("run the release command of {}", production.user.fly_name),
            "its program exited with code 2",
            "| relation \"users\" does not exist",
            "run the same command again",
        ],
    );
    assert_eq!(
        output.writes(),
        [format!(
            "POST /v1/apps/{}/machines",
            production.user.fly_name
        )]
    );
    assert_eq!(all().await, before, "no machine was written to");
    production.assert_no_leases("v5").await;
    production.clear_rules().await;
    production.write_guarded_manifest("bin/migrate");
    production
        .apply("guarded", "v5")
        .assert_exit(0, &["Applied: "]);
    assert_eq!(production.release_machines("v5").await.len(), 2);
    production.assert_converged("guarded", "v5").await;
}

async fn test_deploys(user: &'static UserManifest) {
    let production = Production::start(user).await;
    deploy_new_images(&production).await;
    deploy_crashing_image(&production).await;
    deploy_with_failing_release_command(&production).await;
}

/// Keeps release commands of this image running until the test ends them.
async fn hold_release_command(production: &Production, tag: &str) {
    production
        .add_rule(
            RELEASE_COMMAND_GROUP,
            tag,
            json!({ "exit_code": 0, "after_ms": FOREVER_MS }),
        )
        .await;
}

/// Interrupted during the release command: trimtab waits for the command, changes no machine, and
/// the next run does not repeat the command.
async fn interrupt_during_release_command(production: &Production) {
    let before = versions(&production.service_machines().await);
    hold_release_command(production, "v2").await;
    let mut run = production.start_apply("guarded", "v2");
    run.wait_for_release_command().await;
    run.interrupt().await;
    production.finish_release_command().await;
    run.wait().assert_exit(
        4,
        &[
            "not run: ",
            "because the run ended before",
            "run the same command again",
        ],
    );
    assert_eq!(
        versions(&production.service_machines().await),
        before,
        "no machine was written to"
    );
    production.assert_no_leases("v2").await;
    production.clear_rules().await;
    production
        .apply("guarded", "v2")
        .assert_exit(0, &["Applied: "]);
    assert_eq!(
        production.release_machines("v2").await.len(),
        1,
        "a command that has succeeded does not run again"
    );
    production.assert_converged("guarded", "v2").await;
}

/// Killed during the release command: the next run waits until the leases expire, and then for the
/// same command.
async fn kill_during_release_command(production: &Production) {
    hold_release_command(production, "v3").await;
    let mut run = production.start_apply("guarded", "v3");
    run.wait_for_release_command().await;
    run.kill();
    production.clear_rules().await;
    let commands = production.release_machines("v3").await;
    let mut run = production.start_apply("guarded", "v3");
    run.wait_for_lease_conflict().await;
    production.expire_leases();
    run.wait_for_request(
        "GET",
        &format!("/machines/{}", commands[0]["id"].as_str().unwrap()),
    )
    .await;
    production.finish_release_command().await;
    run.wait().assert_exit(0, &["Applied: "]);
    assert_eq!(
        production.release_machines("v3").await.len(),
        1,
        "a command is never cut off or doubled by a second run"
    );
    production.assert_converged("guarded", "v3").await;
}

/// Waits until a machine has the new image and cannot become healthy.
async fn begin_unhealthy_rollout<'s>(
    production: &'s Production,
    tag: &str,
) -> production::RunningApply<'s> {
    production
        .add_rule("app", tag, json!({ "checks": "critical" }))
        .await;
    let mut run = production.start_apply("guarded", tag);
    run.wait_for_request("POST", "/machines/").await;
    run
}

/// Interrupted during the rollout: machines in progress are finished, the others are left, and the
/// next run continues.
async fn interrupt_during_rollout(production: &Production) {
    let UserManifest {
        machine_count: fleet,
        max_unavailable: at_once,
        cron_count: crons,
        ..
    } = production.user;
    let before = versions(&production.cron_machines().await);
    let mut run = begin_unhealthy_rollout(production, "v4").await;
    run.interrupt().await;
    production.clear_rules().await;
    let output = run.wait();
    if fleet + crons > 1 {
        output.assert_exit(4, &["not run: ", "run the same command again"]);
    } else {
        // Everything is done, and nobody has looked at the result.
        output.assert_exit(4, &["Applied: "]);
    }
    let done = count_running(production, "v4").await;
    assert!((1..=*at_once).contains(&done), "{done} machines changed");
    for machine in production.service_machines().await {
        assert_eq!(machine["state"], "started", "{machine:#}");
        assert!(
            machine["config"]["metadata"]["trimtab_starting"].is_null(),
            "{machine:#}"
        );
    }
    assert_eq!(
        versions(&production.cron_machines().await),
        before,
        "cron machines stay as they are"
    );
    production.assert_no_leases("v4").await;
    production.apply("guarded", "v4").assert_exit(0, &[]);
    assert_eq!(production.release_machines("v4").await.len(), 1);
    production.assert_converged("guarded", "v4").await;
}

/// Killed during the rollout: the next run continues where the killed one stopped.
async fn kill_during_rollout(production: &Production) {
    begin_unhealthy_rollout(production, "v5").await.kill();
    assert!(count_running(production, "v5").await <= production.user.max_unavailable);
    production.clear_rules().await;
    production.expire_leases();
    production
        .apply("guarded", "v5")
        .assert_exit(0, &["Applied: "]);
    assert_eq!(production.release_machines("v5").await.len(), 1);
    production.assert_converged("guarded", "v5").await;
}

async fn test_interruptions(user: &'static UserManifest) {
    let production = Production::start(user).await;
    production.write_guarded_manifest("bin/migrate");
    production
        .apply("guarded", "v1")
        .assert_exit(0, &["Applied: "]);
    // In ordinary runs each user gets every second scenario.
    for scenario in sample(0..4, user.folder.len(), 2) {
        match scenario {
            0 => interrupt_during_release_command(&production).await,
            1 => kill_during_release_command(&production).await,
            2 => interrupt_during_rollout(&production).await,
            _ => kill_during_rollout(&production).await,
        }
    }
}

/// One test for each user and scenario, so that they run in parallel.
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

/// Without a check, a program in a crash loop looks healthy between two crashes.
#[tokio::test(flavor = "multi_thread")]
async fn crash_looping_machine_is_not_healthy() {
    let env = TestEnv::new(TWO_MACHINES_WITHOUT_CHECKS).await;
    env.apply().await;
    let url = format!("{}/_sandbox/rules", env.sandbox.url());
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
    env.write_manifest(&TWO_MACHINES_WITHOUT_CHECKS.replace(":good", ":bad"));
    assert!(!env.try_apply(None).await.unwrap().is_complete());
    let world = loop {
        let world = env.world().await;
        if world.fly_machine["web/app/ewr/0"].workload.state == "started" {
            break world;
        }
    };
    let plan = trimtab::plan::plan(&env.desired_with_digests().await.unwrap(), &world).unwrap();
    let report = apply_plan(plan, env.readers(None).await, world).await;
    assert_eq!(report.counts(), (0, 1, 1, 0), "{report:#?}");
}
