//! Which steps an apply starts while others wait. Machines never finish their start here, so a step that waits for one waits until
//! the apply is aborted.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;
use trimtab::{
    apply::{ApplyEvent, ApplyOptions, ApplyReport, Outcome, apply},
    clouds::{ProgressSink, fly::FlyWriter},
    kinds::CloudWriters,
    plan::guard,
};

use crate::support::{TestEnv, allow_everything};

/// More machines than any limit of a few dozen steps.
const MANY: usize = 60;

/// A manifest of one app whose machines may all restart at once, and be slow.
fn manifest_with(machines: usize, tag: &str) -> String {
    format!(
        "project = \"p\"\nfly.org = \"acme\"\n[apps.web]\nprimary_region = \"ewr\"\n\
         image = \"registry.fly.io/web:{tag}\"\n\
         [apps.web.deploy]\nstrategy = \"immediate\"\nwait_timeout = \"24h\"\n\
         [apps.web.machines.app]\ncount = {machines}\n"
    )
}

/// Applies until `count` machines have been begun. Then asks the apply to stop, and aborts it.
async fn apply_until_begun(env: &TestEnv, options: ApplyOptions, count: usize) -> ApplyReport {
    let (plan, world) = (env.plan().await, env.world().await);
    let limits = allow_everything(&plan);
    let approved = guard(plan, &limits).unwrap();
    let clouds = CloudWriters {
        fly: FlyWriter::new(env.readers(None).await.fly),
        aws: None,
        lock: None,
        progress: ProgressSink::disabled(),
    };
    let (events, mut receiver) = unbounded_channel();
    let begun = async {
        let mut machines = 0;
        while machines < count {
            if let ApplyEvent::Started { address, .. } = receiver.recv().await.unwrap() {
                machines += usize::from(address.kind() == "fly.machine");
            }
        }
        options.stop.cancel();
        options.abort.cancel();
    };
    let (report, ()) = tokio::join!(apply(&approved, &clouds, world, &options, &events), begun);
    report
}

/// How many machines ended in each way.
fn count_outcomes(report: &ApplyReport) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for ended in &report.outcomes {
        if ended.address.kind() == "fly.machine" {
            let outcome = match &ended.outcome {
                Outcome::Unknown => "begun",
                Outcome::NotRun => "not run",
                outcome => panic!("{}: {outcome:?}", ended.address),
            };
            *counts.entry(outcome).or_default() += 1;
        }
    }
    counts
}

#[tokio::test]
async fn steps_that_wait_hold_back_no_other() {
    let env = TestEnv::new(&manifest_with(MANY, "one")).await;
    env.apply().await;
    let behave = json!({ "boot_ms": 1_000_000_000_000_i64 });
    let never = json!([{ "match": { "image_contains": ":two" }, "behave": behave }]);
    env.send_manual_request("POST", "/_sandbox/rules", never)
        .await;
    env.write_manifest(&manifest_with(MANY, "two"));
    let report = apply_until_begun(&env, ApplyOptions::default(), MANY).await;
    assert_eq!(count_outcomes(&report), BTreeMap::from([("begun", MANY)]));
}

#[tokio::test]
async fn creations_beyond_the_burst_are_not_begun_before_their_turn() {
    let env = TestEnv::with_stopped_clock(&manifest_with(9, "one")).await;
    // The turns come so slowly that the fourth does not come during the test.
    let options = ApplyOptions {
        speed: 0.000_1,
        ..ApplyOptions::default()
    };
    let report = apply_until_begun(&env, options, 3).await;
    let expected = BTreeMap::from([("begun", 3), ("not run", 6)]);
    assert_eq!(count_outcomes(&report), expected);
    assert!(report.stopped);
}

#[tokio::test]
async fn a_turn_after_the_deadline_is_not_waited_for() {
    let env = TestEnv::with_stopped_clock(&manifest_with(9, "one")).await;
    let options = ApplyOptions {
        // Eighteen seconds: enough for the first creations, and not for one that comes four seconds later.
        deadline: Some(std::time::Instant::now() + std::time::Duration::from_secs(180_000)),
        speed: 0.000_1,
        ..ApplyOptions::default()
    };
    let report = apply_until_begun(&env, options, 3).await;
    let expected = BTreeMap::from([("begun", 3), ("not run", 6)]);
    assert_eq!(count_outcomes(&report), expected);
    assert!(report.late, "the last turns are too late");
}
