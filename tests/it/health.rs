//! Waiting for machines to become healthy: the progress that is reported meanwhile, and the errors
//! for those that do not.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use trimtab::clouds::{
    CloudError, ErrorKind, MachineStatus, ProgressSink,
    fly::{FlyWriter, MachineRequest, WaitOutcome, wire},
};

use crate::support::{BareSandbox, SPEED};

/// Longer than any test may take: failures must be found long before the timeout.
const TIMEOUT_SECS: u64 = 3_600;

async fn create_crashing_machine(
    bare: &BareSandbox,
    fly: &FlyWriter,
    behave: Value,
) -> wire::MachineResponse {
    bare.post_admin(
        "rules",
        json!({ "match": { "image_contains": "bad" }, "behave": behave }),
    )
    .await;
    bare.create_machine(
        fly,
        json!({ "image": "bad:1", "restart": { "policy": "on-failure", "max_retries": 100 } }),
    )
    .await
}

fn assert_failed(error: &CloudError, parts: &[&str]) {
    assert_eq!(error.kind, ErrorKind::Failed);
    for part in parts {
        assert!(
            error.message.contains(part),
            "{part:?} is not in {}",
            error.message
        );
    }
}

fn config_with_check() -> Value {
    json!({ "image": "web:1", "checks": { "up": { "type": "tcp", "port": 80 } } })
}

#[tokio::test]
async fn crash_loop_on_start_is_reported_with_logs() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let behave = json!({ "exit_code": 1, "after_ms": 0, "logs": ["\u{1b}[31mno such table: users\u{1b}[0m"] });
    let machine = create_crashing_machine(&bare, &fly, behave).await;
    let error = fly
        .wait_for_state(
            "web",
            &machine.id,
            None,
            "started",
            TIMEOUT_SECS,
            &ProgressSink::disabled(),
        )
        .await
        .unwrap_err();
    assert_failed(
        &error,
        &[
            "its program exited with code 1; it was restarted ",
            "; its last lines:\n  | ",
            "\n  | no such table: users\n  | INFO Main child exited normally with code: 1\n",
        ],
    );
    assert!(!error.message.contains('\u{1b}'), "{error}");
    assert!(error.message.lines().count() <= 11, "{error}");
}

#[tokio::test]
async fn early_crash_is_not_steady() {
    for (behave, expected) in [
        (
            json!({ "signal": 11, "after_ms": 1_000 }),
            "its program was ended by signal 11 (SIGSEGV); it was restarted",
        ),
        (
            json!({ "oom": true, "after_ms": 1_000 }),
            "it ran out of memory: give it more with `memory`",
        ),
    ] {
        let bare = BareSandbox::new(SPEED).await;
        let fly = FlyWriter::new(bare.reader());
        let machine = create_crashing_machine(&bare, &fly, behave).await;
        let error = fly
            .wait_until_stable("web", &machine.id, TIMEOUT_SECS, &ProgressSink::disabled())
            .await
            .unwrap_err();
        assert_failed(&error, &[expected]);
    }
}

#[tokio::test]
async fn exited_program_is_not_steady() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine =
        create_crashing_machine(&bare, &fly, json!({ "exit_code": 0, "after_ms": 3_000 })).await;
    let error = fly
        .wait_until_stable("web", &machine.id, TIMEOUT_SECS, &ProgressSink::disabled())
        .await
        .unwrap_err();
    assert_failed(&error, &["it is stopped; its program exited with code 0"]);
}

/// The machine restarts more often than the sandbox keeps events, so that counting events is not
/// enough.
#[tokio::test]
async fn restart_loop_is_not_steady() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    bare.post_admin(
        "rules",
        json!({ "behave": { "exit_code": 0, "after_ms": 3_000 } }),
    )
    .await;
    let machine = bare
        .create_machine(
            &fly,
            json!({ "image": "web:1", "restart": { "policy": "always" } }),
        )
        .await;
    let error = fly
        .wait_until_stable("web", &machine.id, 300, &ProgressSink::disabled())
        .await
        .unwrap_err();
    assert_failed(
        &error,
        &["its program exited with code 0; it was restarted "],
    );
}

#[tokio::test]
async fn running_machine_becomes_steady() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine = bare.create_machine(&fly, json!({ "image": "web:1" })).await;
    let first = bare.sandbox.requests().last().unwrap().at_ms;
    let machine = fly
        .wait_until_stable("web", &machine.id, TIMEOUT_SECS, &ProgressSink::disabled())
        .await
        .unwrap();
    assert_eq!(machine.state, "started");
    let last = bare.sandbox.requests().last().unwrap().at_ms;
    assert!(last - first >= 10_000, "{}", last - first);
}

#[tokio::test]
async fn progress_is_reported_once_per_change() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine = bare.create_machine(&fly, config_with_check()).await;
    let reported: Arc<Mutex<Vec<MachineStatus>>> = Arc::default();
    let sink = reported.clone();
    let progress = ProgressSink::new(move |status| sink.lock().unwrap().push(status));
    fly.wait_until_checks_pass("web", &machine.id, TIMEOUT_SECS, &progress)
        .await
        .unwrap();
    let reported = reported.lock().unwrap();
    let last = MachineStatus {
        state: "started".to_owned(),
        checks_passing: 1,
        checks_total: 1,
        output: Vec::new(),
    };
    assert_eq!(reported.last(), Some(&last));
    assert!(
        reported.windows(2).all(|pair| pair[0] != pair[1]),
        "{reported:?}"
    );
    assert!(
        bare.sandbox
            .requests()
            .iter()
            .all(|request| !request.rate_limited)
    );
}

#[tokio::test]
async fn failing_check_is_reported_with_output() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let behave =
        json!({ "checks": "critical", "check_output": "connect: \u{1b}[1mconnection refused" });
    bare.post_admin("rules", json!({ "behave": behave })).await;
    let machine = bare.create_machine(&fly, config_with_check()).await;
    let error = fly
        .wait_until_checks_pass("web", &machine.id, 30, &ProgressSink::disabled())
        .await
        .unwrap_err();
    assert_failed(
        &error,
        &["it is started; check up is critical: connect: connection refused"],
    );
}

#[tokio::test]
async fn crashes_of_previous_version_are_ignored() {
    let bare = BareSandbox::new(SPEED).await;
    let fly = FlyWriter::new(bare.reader());
    let machine =
        create_crashing_machine(&bare, &fly, json!({ "exit_code": 1, "after_ms": 0 })).await;
    fly.wait_for_state(
        "web",
        &machine.id,
        None,
        "started",
        TIMEOUT_SECS,
        &ProgressSink::disabled(),
    )
    .await
    .unwrap_err();
    let update = MachineRequest {
        region: "fra".to_owned(),
        config: json!({ "image": "web:2" }),
        ..MachineRequest::default()
    };
    fly.update_machine("web", &machine.id, &machine.instance_id, &update)
        .await
        .unwrap();
    let waited = fly
        .wait_for_state(
            "web",
            &machine.id,
            None,
            "started",
            TIMEOUT_SECS,
            &ProgressSink::disabled(),
        )
        .await
        .unwrap();
    assert!(matches!(waited, WaitOutcome::Reached));
    fly.wait_until_stable("web", &machine.id, TIMEOUT_SECS, &ProgressSink::disabled())
        .await
        .unwrap();
}

#[tokio::test]
async fn unreadable_logs_do_not_hide_exit_code() {
    let bare = BareSandbox::new(SPEED).await;
    let mut settings = bare.settings();
    // A port that nobody listens on.
    settings.logs_url = Some("http://127.0.0.1:1".to_owned());
    let fly = FlyWriter::new(trimtab::clouds::fly::FlyReader::new(&settings).unwrap());
    let machine =
        create_crashing_machine(&bare, &fly, json!({ "exit_code": 7, "after_ms": 0 })).await;
    let error = fly
        .wait_for_state(
            "web",
            &machine.id,
            None,
            "started",
            TIMEOUT_SECS,
            &ProgressSink::disabled(),
        )
        .await
        .unwrap_err();
    assert_failed(&error, &["its program exited with code 7"]);
    assert!(!error.message.contains("last lines"), "{error}");
}
