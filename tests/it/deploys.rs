//! What the five users do every day, with the program itself: new images, an image that does not start, a release command
//! that fails, and runs that are interrupted and killed half-way. Each test is one production, from its manifest.

use serde_json::json;

use crate::support::{Team, carry_out};
use shop::{COMMANDS, Shop, User, runs, versions};

#[path = "deploys/shop.rs"]
mod shop;

const PRISM: User = User {
    folder: "000",
    app: "web",
    name: "prism",
    secrets: &[],
    fleet: 1,
    at_once: 1,
    crons: 0,
    has_checks: false,
};
const VIBEGRAPHER: User = User {
    folder: "001",
    app: "api",
    name: "vibegrapher-api",
    secrets: &["OPENAI_API_KEY"],
    fleet: 5,
    at_once: 2,
    crons: 0,
    has_checks: true,
};
const LEDGER: User = User {
    folder: "002",
    app: "app",
    name: "ledger-app-production",
    secrets: &[],
    fleet: 1,
    at_once: 1,
    crons: 0,
    has_checks: true,
};
const DRAFTGURU: User = User {
    folder: "003",
    app: "web",
    name: "draft-app-prod",
    secrets: &["PROD_DATABASE_URL", "PROD_SECRET_KEY"],
    fleet: 1,
    at_once: 1,
    crons: 1,
    has_checks: false,
};
const REIFY: User = User {
    folder: "004",
    app: "web",
    name: "reify",
    secrets: &["SECRET_KEY_BASE"],
    fleet: 2,
    at_once: 1,
    crons: 0,
    has_checks: false,
};

/// Longer than any test waits.
const FOR_EVER_MS: u64 = 1_000_000_000;

/// How many machines run this image.
async fn on(shop: &Shop, tag: &str) -> usize {
    shop.fleet()
        .await
        .iter()
        .filter(|machine| runs(machine, tag))
        .count()
}

/// New images one after the other, each applied twice.
async fn new_images(shop: &Shop) {
    for tag in ["v1", "v2", "v3"] {
        shop.apply("production", tag).demand(0, &["Applied: "]);
        shop.whole("production", tag).await;
    }
}

/// An image whose program crashes stops at the first machines; the next image heals them.
async fn bad_image(shop: &Shop) {
    let crons = versions(&shop.crons().await);
    // Between two crashes it is up, for most of the time.
    let crash = json!({ "exit_code": 3, "after_ms": 2_000, "checks": "critical", "logs": ["no such table: users"] });
    shop.rule("app", "bad", crash).await;
    let said = [
        "FAILED: could not update fly.machine/",
        "its program exited with code 3",
        "| no such table: users",
        "Incomplete: ",
        "run the same command again",
    ];
    // Another try fails as well, and goes no further.
    for _ in 0..2 {
        shop.apply("production", "bad").demand(4, &said);
        let down = on(shop, "bad").await;
        assert!((1..=shop.user.at_once).contains(&down), "{down} are down");
        let others = shop
            .fleet()
            .await
            .into_iter()
            .filter(|machine| !runs(machine, "bad"));
        for machine in others {
            assert!(
                runs(&machine, "v3") && machine["state"] == "started",
                "{machine:#}"
            );
        }
        assert_eq!(
            versions(&shop.crons().await),
            crons,
            "cron machines stay as they are"
        );
        shop.nobody_holds("bad").await;
    }
    shop.apply("production", "v4").demand(0, &["Applied: "]);
    shop.whole("production", "v4").await;
    shop.forget_rules().await;
}

/// A release command that fails stops everything before the first machine; another command goes through.
async fn failing_command(shop: &Shop) {
    let all = async || [versions(&shop.fleet().await), versions(&shop.crons().await)];
    let before = all().await;
    let wrong =
        json!({ "exit_code": 2, "after_ms": 300, "logs": ["relation \"users\" does not exist"] });
    shop.rule(COMMANDS, "v5", wrong).await;
    shop.guard("bin/migrate --wrong");
    let ran = shop.apply("guarded", "v5");
    ran.demand(
        4,
        &[
            &format!("run the release command of {}", shop.user.name),
            "its program exited with code 2",
            "| relation \"users\" does not exist",
            "run the same command again",
        ],
    );
    assert_eq!(
        ran.writes(),
        [format!("POST /v1/apps/{}/machines", shop.user.name)]
    );
    assert_eq!(all().await, before, "no machine was written to");
    shop.nobody_holds("v5").await;
    shop.forget_rules().await;
    shop.guard("bin/migrate");
    shop.apply("guarded", "v5").demand(0, &["Applied: "]);
    assert_eq!(shop.commands("v5").await.len(), 2);
    shop.whole("guarded", "v5").await;
}

async fn deploys(user: &'static User) {
    let shop = Shop::open(user).await;
    new_images(&shop).await;
    bad_image(&shop).await;
    failing_command(&shop).await;
}

/// Lets release commands of this image run until the test ends them.
async fn hold_command(shop: &Shop, tag: &str) {
    shop.rule(
        COMMANDS,
        tag,
        json!({ "exit_code": 0, "after_ms": FOR_EVER_MS }),
    )
    .await;
}

/// Interrupted while the release command runs: it is waited for, no machine changes, and it does not run again.
async fn interrupted_early(shop: &Shop) {
    let before = versions(&shop.fleet().await);
    hold_command(shop, "v2").await;
    let mut run = shop.begin("guarded", "v2");
    run.until_command().await;
    run.interrupt().await;
    shop.end_command().await;
    run.end().demand(
        4,
        &[
            "not run: ",
            "because the run ended before",
            "run the same command again",
        ],
    );
    assert_eq!(
        versions(&shop.fleet().await),
        before,
        "no machine was written to"
    );
    shop.nobody_holds("v2").await;
    shop.forget_rules().await;
    shop.apply("guarded", "v2").demand(0, &["Applied: "]);
    assert_eq!(
        shop.commands("v2").await.len(),
        1,
        "a command that has succeeded does not run again"
    );
    shop.whole("guarded", "v2").await;
}

/// Killed while the release command runs: the next run waits for the leases to run out and for that very command.
async fn killed_early(shop: &Shop) {
    hold_command(shop, "v3").await;
    let mut run = shop.begin("guarded", "v3");
    run.until_command().await;
    run.kill();
    shop.forget_rules().await;
    let commands = shop.commands("v3").await;
    let mut run = shop.begin("guarded", "v3");
    run.until_kept_out().await;
    shop.outlive();
    run.until_sent(
        "GET",
        &format!("/machines/{}", commands[0]["id"].as_str().unwrap()),
    )
    .await;
    shop.end_command().await;
    run.end().demand(0, &["Applied: "]);
    assert_eq!(
        shop.commands("v3").await.len(),
        1,
        "a command is never cut off or doubled by a second run"
    );
    shop.whole("guarded", "v3").await;
}

/// Waits until a machine has the new image, and cannot become healthy.
async fn half_way<'s>(shop: &'s Shop, tag: &str) -> shop::UnderWay<'s> {
    shop.rule("app", tag, json!({ "checks": "critical" })).await;
    let mut run = shop.begin("guarded", tag);
    run.until_sent("POST", "/machines/").await;
    run
}

/// Interrupted while machines change: those under way are finished, the others are left, and the next run goes on.
async fn interrupted_half_way(shop: &Shop) {
    let User {
        fleet,
        at_once,
        crons,
        ..
    } = shop.user;
    let before = versions(&shop.crons().await);
    let mut run = half_way(shop, "v4").await;
    run.interrupt().await;
    shop.forget_rules().await;
    let ran = run.end();
    if fleet + crons > 1 {
        ran.demand(4, &["not run: ", "run the same command again"]);
    } else {
        ran.demand(0, &["Applied: "]);
    }
    let done = on(shop, "v4").await;
    assert!((1..=*at_once).contains(&done), "{done} machines changed");
    for machine in shop.fleet().await {
        assert_eq!(machine["state"], "started", "{machine:#}");
        assert!(
            machine["config"]["metadata"]["trimtab_starting"].is_null(),
            "{machine:#}"
        );
    }
    assert_eq!(
        versions(&shop.crons().await),
        before,
        "cron machines stay as they are"
    );
    shop.nobody_holds("v4").await;
    shop.apply("guarded", "v4").demand(0, &[]);
    assert_eq!(shop.commands("v4").await.len(), 1);
    shop.whole("guarded", "v4").await;
}

/// Killed while machines change: the next run finds out how far it came, and goes on.
async fn killed_half_way(shop: &Shop) {
    half_way(shop, "v5").await.kill();
    assert!(on(shop, "v5").await <= shop.user.at_once);
    shop.forget_rules().await;
    shop.outlive();
    shop.apply("guarded", "v5").demand(0, &["Applied: "]);
    assert_eq!(shop.commands("v5").await.len(), 1);
    shop.whole("guarded", "v5").await;
}

async fn interruptions(user: &'static User) {
    let shop = Shop::open(user).await;
    shop.guard("bin/migrate");
    shop.apply("guarded", "v1").demand(0, &["Applied: "]);
    interrupted_early(&shop).await;
    killed_early(&shop).await;
    interrupted_half_way(&shop).await;
    killed_half_way(&shop).await;
}

/// A test for each user and story, so that they run beside each other.
macro_rules! stories {
    ($($user:ident: $deploys:ident, $interruptions:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $deploys() {
            deploys(&$user).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $interruptions() {
            interruptions(&$user).await;
        }
    )*};
}

stories! {
    PRISM: prism_deploys, prism_is_interrupted;
    VIBEGRAPHER: vibegrapher_deploys, vibegrapher_is_interrupted;
    LEDGER: ledger_deploys, ledger_is_interrupted;
    DRAFTGURU: draftguru_deploys, draftguru_is_interrupted;
    REIFY: reify_deploys, reify_is_interrupted;
}

/// Two machines without checks.
const BARE: &str = r#"
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
async fn a_machine_between_two_crashes_is_not_taken_for_well() {
    let team = Team::new(BARE).await;
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
    team.write(&BARE.replace(":good", ":bad"));
    assert!(!team.try_apply(None).await.unwrap().is_complete());
    let world = loop {
        let world = team.world().await;
        if world.fly_machine["web/app/ewr/0"].workload.state == "started" {
            break world;
        }
    };
    let plan = trimtab::plan::plan(&team.pinned().await.unwrap(), &world).unwrap();
    let report = carry_out(plan, team.readers(None).await, world).await;
    assert_eq!(report.counts(), (0, 1, 1, 0), "{report:#?}");
}
