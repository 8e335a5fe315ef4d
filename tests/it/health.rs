//! Waiting for machines that come up, and for those that do not: what is told meanwhile, and what the errors say.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use trimtab::clouds::{
    CloudError, Sign, Trouble, Voice,
    fly::{NewMachine, Waited, Writer, wire},
};

use crate::support::{Bare, SPEED};

/// Longer than any test may take: what is found before is found at once.
const LIMIT: u64 = 3_600;

async fn crashing(bare: &Bare, fly: &Writer, behave: Value) -> wire::Machine {
    bare.admin(
        "rules",
        json!({ "match": { "image_contains": "bad" }, "behave": behave }),
    )
    .await;
    bare.machine(
        fly,
        json!({ "image": "bad:1", "restart": { "policy": "on-failure", "max_retries": 100 } }),
    )
    .await
}

fn failed(error: &CloudError, parts: &[&str]) {
    assert_eq!(error.trouble, Trouble::Failed);
    for part in parts {
        assert!(
            error.answer.contains(part),
            "{part:?} is not in {}",
            error.answer
        );
    }
}

fn with_check() -> Value {
    json!({ "image": "web:1", "checks": { "up": { "type": "tcp", "port": 80 } } })
}

#[tokio::test]
async fn a_crash_loop_is_found_while_it_should_start_and_told_with_its_last_lines() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let behave = json!({ "exit_code": 1, "after_ms": 0, "logs": ["\u{1b}[31mno such table: users\u{1b}[0m"] });
    let made = crashing(&bare, &fly, behave).await;
    let error = fly
        .wait_for("web", &made.id, None, "started", LIMIT, &Voice::silent())
        .await
        .unwrap_err();
    failed(
        &error,
        &[
            "its program exited with code 1; it was restarted ",
            "; its last lines:\n  | ",
            "\n  | no such table: users\n  | INFO Main child exited normally with code: 1\n",
        ],
    );
    assert!(!error.answer.contains('\u{1b}'), "{error}");
    assert!(error.answer.lines().count() <= 11, "{error}");
}

#[tokio::test]
async fn a_program_that_dies_soon_after_it_started_is_not_steady() {
    for (behave, told) in [
        (
            json!({ "signal": 11, "after_ms": 1_000 }),
            "its program was ended by signal 11 (SIGSEGV); it was restarted",
        ),
        (
            json!({ "oom": true, "after_ms": 1_000 }),
            "it ran out of memory: give it more with `memory`",
        ),
    ] {
        let bare = Bare::new(SPEED).await;
        let fly = Writer::new(bare.reader());
        let made = crashing(&bare, &fly, behave).await;
        let error = fly
            .wait_until_steady("web", &made.id, LIMIT, &Voice::silent())
            .await
            .unwrap_err();
        failed(&error, &[told]);
    }
}

#[tokio::test]
async fn a_program_that_ends_is_no_machine_that_runs() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = crashing(&bare, &fly, json!({ "exit_code": 0, "after_ms": 3_000 })).await;
    let error = fly
        .wait_until_steady("web", &made.id, LIMIT, &Voice::silent())
        .await
        .unwrap_err();
    failed(&error, &["it is stopped; its program exited with code 0"]);
}

/// More often than events are kept, so that nothing can be told from how many there are.
#[tokio::test]
async fn a_program_that_begins_again_and_again_is_not_steady() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    bare.admin(
        "rules",
        json!({ "behave": { "exit_code": 0, "after_ms": 3_000 } }),
    )
    .await;
    let made = bare
        .machine(
            &fly,
            json!({ "image": "web:1", "restart": { "policy": "always" } }),
        )
        .await;
    let error = fly
        .wait_until_steady("web", &made.id, 300, &Voice::silent())
        .await
        .unwrap_err();
    failed(
        &error,
        &["its program exited with code 0; it was restarted "],
    );
}

#[tokio::test]
async fn a_machine_that_stays_up_is_steady() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = bare.machine(&fly, json!({ "image": "web:1" })).await;
    let first = bare.sandbox.requests().last().unwrap().at_ms;
    let machine = fly
        .wait_until_steady("web", &made.id, LIMIT, &Voice::silent())
        .await
        .unwrap();
    assert_eq!(machine.state, "started");
    let last = bare.sandbox.requests().last().unwrap().at_ms;
    assert!(last - first >= 10_000, "{}", last - first);
}

#[tokio::test]
async fn what_is_seen_is_told_once_for_each_change() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = bare.machine(&fly, with_check()).await;
    let heard: Arc<Mutex<Vec<Sign>>> = Arc::default();
    let ear = heard.clone();
    let voice = Voice::new(move |sign| ear.lock().unwrap().push(sign));
    fly.wait_until_passing("web", &made.id, LIMIT, &voice)
        .await
        .unwrap();
    let heard = heard.lock().unwrap();
    let last = Sign {
        state: "started".to_owned(),
        passing: 1,
        checks: 1,
        lines: Vec::new(),
    };
    assert_eq!(heard.last(), Some(&last));
    assert!(heard.windows(2).all(|pair| pair[0] != pair[1]), "{heard:?}");
    assert!(
        bare.sandbox
            .requests()
            .iter()
            .all(|request| !request.rate_limited)
    );
}

#[tokio::test]
async fn a_check_that_never_passes_is_told_with_what_it_says() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let behave =
        json!({ "checks": "critical", "check_output": "connect: \u{1b}[1mconnection refused" });
    bare.admin("rules", json!({ "behave": behave })).await;
    let made = bare.machine(&fly, with_check()).await;
    let error = fly
        .wait_until_passing("web", &made.id, 30, &Voice::silent())
        .await
        .unwrap_err();
    failed(
        &error,
        &["it is started; check up is critical: connect: connection refused"],
    );
}

#[tokio::test]
async fn what_an_earlier_version_did_is_not_held_against_the_next() {
    let bare = Bare::new(SPEED).await;
    let fly = Writer::new(bare.reader());
    let made = crashing(&bare, &fly, json!({ "exit_code": 1, "after_ms": 0 })).await;
    fly.wait_for("web", &made.id, None, "started", LIMIT, &Voice::silent())
        .await
        .unwrap_err();
    let update = NewMachine {
        region: "fra".to_owned(),
        config: json!({ "image": "web:2" }),
        ..NewMachine::default()
    };
    fly.update_machine("web", &made.id, &made.instance_id, &update)
        .await
        .unwrap();
    let waited = fly
        .wait_for("web", &made.id, None, "started", LIMIT, &Voice::silent())
        .await
        .unwrap();
    assert!(matches!(waited, Waited::There));
    fly.wait_until_steady("web", &made.id, LIMIT, &Voice::silent())
        .await
        .unwrap();
}

#[tokio::test]
async fn logs_that_cannot_be_read_hide_nothing() {
    let bare = Bare::new(SPEED).await;
    let mut settings = bare.settings();
    // A port that nobody listens on.
    settings.logs = Some("http://127.0.0.1:1".to_owned());
    let fly = Writer::new(trimtab::clouds::fly::Reader::new(&settings).unwrap());
    let made = crashing(&bare, &fly, json!({ "exit_code": 7, "after_ms": 0 })).await;
    let error = fly
        .wait_for("web", &made.id, None, "started", LIMIT, &Voice::silent())
        .await
        .unwrap_err();
    failed(&error, &["its program exited with code 7"]);
    assert!(!error.answer.contains("last lines"), "{error}");
}
