//! The environments that operations are struck in, and how each came to be what it is.

use serde_json::{Value, json};
use trimtab::{
    clouds::{CrashPoint, aws::AwsWriter},
    lock::{self, LockHolder, LockRecord, LockTimings},
    ops,
};
use trimtab_sandbox::SandboxSnapshot;

use super::{SPEED, Scenario};
use crate::{
    aws,
    support::{TestEnv, inputs_with, operations::Operation},
};

/// Two groups, a cron machine, and three releases: what a rollback goes back through.
const ROLLING: &str = r#"
project = "harbor"
fly.org = "acme"

[apps.web]
primary_region = "fra"
image = "web:IMAGE"
secrets.SECRET_KEY = { env = "SECRET_KEY" }
processes = { app = "serve", jobs = "work" }
machines.app.count = { fra = 2 }
cron.digest = { schedule = "daily", command = ["digest"] }
"#;

/// The old machines stay until the verification, which fails for one image.
const BLUE_GREEN: &str = r#"
project = "harbor"
fly.org = "acme"

[apps.web]
primary_region = "fra"
image = "web:IMAGE"
http_service = { internal_port = 8080, auto_stop_machines = "off" }
deploy = { strategy = "bluegreen", verify = { path = "/health", retries = 1 } }
machines.app.count = { fra = 2 }
"#;

/// The manifest goes back by itself when a release does not start.
const ON_FAILURE: &str = r#"
project = "harbor"
fly.org = "acme"

[apps.web]
primary_region = "fra"
image = "web:IMAGE"
secrets.SECRET_KEY = { env = "SECRET_KEY" }
deploy = { on_failure = "rollback", max_unavailable = 2 }
machines.app.count = { fra = 3 }
"#;

/// An environment with a lock.
pub(super) const LOCKED: &str = r#"
project = "harbor"
fly.org = "acme"

[aws]
account = "123456789012"
region = "eu-central-1"

[buckets.backups]

[apps.web]
primary_region = "fra"
image = "web:1"
machines.app.count = { fra = 1 }
"#;

fn with_image(manifest: &str, image: &str) -> String {
    manifest.replace("IMAGE", image)
}

/// Applies releases one after the other; returns the environment after the last one.
async fn apply_releases(manifest: &str, images: &[&str]) -> TestEnv {
    let mut env = TestEnv::new(&with_image(manifest, images[0])).await;
    env.inputs = inputs_with(&[("SECRET_KEY", "canary of a key")]);
    env.apply().await;
    for image in &images[1..] {
        env.write_manifest(&with_image(manifest, image));
        env.apply().await;
    }
    env
}

async fn add_rule(env: &TestEnv, image: &str, behave: Value) {
    let rule = json!({ "match": { "image_contains": image }, "behave": behave });
    env.send_manual_request("POST", "/_sandbox/rules", rule)
        .await;
}

/// The state for the cases, in which no run holds anything any more.
fn settled(env: &TestEnv) -> SandboxSnapshot {
    env.expire_leases();
    env.sandbox.snapshot()
}

/// Somebody else leases a machine, and changes nothing.
pub(in super::super) async fn lease_first_machine(env: &TestEnv, ttl_secs: u64) {
    let (name, machine) = env.world().await.fly_machine.into_iter().next().unwrap();
    let app = &env.desired().fly_app[&name.root()].name;
    let path = format!("/v1/apps/{app}/machines/{}/lease", machine.workload.id);
    let body = json!({ "ttl": ttl_secs, "description": "somebody else" });
    env.send_manual_request("POST", &path, body).await;
}

fn scenario(name: &'static str, operation: Operation, manifest: &str) -> Scenario {
    Scenario {
        name,
        operation,
        manifest: manifest.to_owned(),
        manifest_after: Some(manifest.to_owned()),
        completes: true,
        adopt: false,
        allow_destroy: &[],
        snapshot: SandboxSnapshot::default(),
        is_leased: false,
    }
}

pub(super) async fn all() -> Vec<Scenario> {
    let (rollbacks, others, apps) = tokio::join!(rollbacks(), with_lock(), applies());
    rollbacks.into_iter().chain(others).chain(apps).collect()
}

async fn rollbacks() -> Vec<Scenario> {
    let rollback = || Operation::Rollback(Vec::new());
    let rolling = apply_releases(ROLLING, &["v1", "v2", "v3"]).await;
    // The verification of the last release fails, so the old machines are still there.
    let blue_green = apply_releases(BLUE_GREEN, &["v1", "v2"]).await;
    add_rule(&blue_green, "v3", json!({ "http": { "status": 503 } })).await;
    blue_green.write_manifest(&with_image(BLUE_GREEN, "v3"));
    let failed = blue_green.try_apply(None).await.unwrap();
    assert!(!failed.is_complete(), "{failed:#?}");
    let replaced = apply_releases(BLUE_GREEN, &["v1", "v2", "v3"]).await;
    vec![
        Scenario {
            manifest_after: Some(with_image(ROLLING, "v2")),
            snapshot: settled(&rolling),
            ..scenario("rollback", rollback(), &with_image(ROLLING, "v3"))
        },
        Scenario {
            manifest_after: Some(with_image(BLUE_GREEN, "v2")),
            snapshot: settled(&blue_green),
            ..scenario(
                "rollback to old machines",
                rollback(),
                &with_image(BLUE_GREEN, "v3"),
            )
        },
        Scenario {
            manifest_after: Some(with_image(BLUE_GREEN, "v2")),
            snapshot: settled(&replaced),
            ..scenario(
                "rollback of replaced machines",
                rollback(),
                &with_image(BLUE_GREEN, "v3"),
            )
        },
    ]
}

async fn applies() -> Vec<Scenario> {
    let failing = apply_releases(ON_FAILURE, &["v0", "v1"]).await;
    add_rule(&failing, "v2", json!({ "exit_code": 3, "after_ms": 500 })).await;
    let leased = apply_releases(ROLLING, &["v1"]).await;
    let by_hand = TestEnv::new(&with_image(ON_FAILURE, "v1")).await;
    by_hand.sandbox.org_token("acme").unwrap();
    for (path, body) in [
        (
            "/v1/apps",
            json!({ "name": "harbor-web-test", "org_slug": "acme" }),
        ),
        (
            "/v1/apps/harbor-web-test/machines",
            json!({ "region": "fra", "config": { "image": "web:v0", "env": { "BY": "hand" } } }),
        ),
        (
            "/v1/apps/harbor-web-test/machines",
            json!({ "region": "fra", "config": { "image": "web:v0" } }),
        ),
    ] {
        by_hand.send_manual_request("POST", path, body).await;
    }
    vec![
        Scenario {
            manifest_after: Some(with_image(ON_FAILURE, "v1")),
            completes: false,
            snapshot: settled(&failing),
            ..scenario(
                "apply that goes back",
                Operation::Apply,
                &with_image(ON_FAILURE, "v2"),
            )
        },
        Scenario {
            adopt: true,
            snapshot: settled(&by_hand),
            ..scenario("adopt", Operation::Apply, &with_image(ON_FAILURE, "v1"))
        },
        Scenario {
            snapshot: settled(&leased),
            is_leased: true,
            ..scenario(
                "apply that waits for a lease",
                Operation::Apply,
                &with_image(ROLLING, "v2"),
            )
        },
    ]
}

async fn with_lock() -> Vec<Scenario> {
    let locked = TestEnv::new(LOCKED).await;
    locked.apply().await;
    let next = LOCKED.replace("web:1", "web:2");
    locked.write_manifest(&next);
    let second = TestEnv::from_snapshot(LOCKED, settled(&locked), SPEED).await;
    locked.apply().await;
    vec![
        scenario("first apply with its lock", Operation::Apply, aws::MANIFEST),
        Scenario {
            snapshot: settled(&second),
            ..scenario("apply under the lock", Operation::Apply, &next)
        },
        Scenario {
            manifest_after: Some(LOCKED.to_owned()),
            snapshot: settled(&locked),
            ..scenario(
                "rollback under the lock",
                Operation::Rollback(Vec::new()),
                &next,
            )
        },
        Scenario {
            manifest_after: None,
            allow_destroy: &["aws.bucket/backups"],
            snapshot: settled(&locked),
            ..scenario("destroy", Operation::Destroy, &next)
        },
    ]
}

const DEAD_RUN: &str = "dead0123456789abcdef";

/// An environment whose lock belongs to a run that died.
pub(super) async fn locked_environment() -> SandboxSnapshot {
    let env = TestEnv::new(LOCKED).await;
    env.apply().await;
    lock_as_dead_run(&env).await;
    env.sandbox.snapshot()
}

/// Takes the lock, and never releases it.
pub(in super::super) async fn lock_as_dead_run(env: &TestEnv) {
    let location = ops::lock_location(&env.desired().meta).unwrap();
    let writer = AwsWriter::new(env.readers(None).await.aws.unwrap());
    let holder = LockHolder {
        nonce: DEAD_RUN.to_owned(),
        holder: "ada".to_owned(),
        host: "runner".to_owned(),
        pid: 42,
        run_url: None,
        command: "trimtab apply test".to_owned(),
    };
    let (timings, clock) = (LockTimings::at_speed(env.speed), || {
        jiff::Timestamp::UNIX_EPOCH
    });
    let lease = lock::acquire(&writer, &location, &holder, timings, clock, |_, _| {}).await;
    drop(lease.unwrap());
}

/// Ends the lock of the run that died, as `trimtab unlock --id` does.
pub(super) async fn unlock(
    env: &TestEnv,
    crash: Option<CrashPoint>,
) -> Result<LockRecord, lock::LockError> {
    let location = ops::lock_location(&env.desired().meta).unwrap();
    let writer = AwsWriter::new(env.readers(crash).await.aws.unwrap());
    let clock = || jiff::Timestamp::UNIX_EPOCH;
    lock::unlock(&writer, &location, DEAD_RUN, clock).await
}
