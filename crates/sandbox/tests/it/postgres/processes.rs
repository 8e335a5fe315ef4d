//! `exec`: the programs that run in machines.

use serde_json::{Value, json};

use super::support::{admin, create_cluster, psql_request, run_script};
use crate::support::{TestSandbox, nginx_machine};

async fn started_machine(sandbox: &TestSandbox) -> String {
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(3_000);
    path
}

async fn exec(sandbox: &TestSandbox, path: &str, body: Value) -> Value {
    let response = sandbox.post(&format!("{path}/exec"), body).await;
    sandbox.advance_ms(1_000);
    response.assert_status(200)
}

#[tokio::test]
async fn cat_returns_standard_input() {
    let sandbox = TestSandbox::scripted().await;
    let path = started_machine(&sandbox).await;
    let response = exec(
        &sandbox,
        &path,
        json!({ "command": ["cat"], "stdin": "a\n'b'\n" }),
    )
    .await;
    let expected = json!({ "exit_code": 0, "exit_signal": 0, "stdout": "a\n'b'\n", "stderr": "" });
    assert_eq!(response, expected);
    // Without a shell, the pipe is an argument.
    let response = exec(&sandbox, &path, json!({ "cmd": "echo 'a b' | cat" })).await;
    assert_eq!(response["stdout"], "a b | cat\n");
    sandbox.post_admin("execs", json!({ "stdin": false })).await;
    let response = exec(&sandbox, &path, json!({ "command": ["cat"], "stdin": "a" })).await;
    assert_eq!(response["stdout"], "");
}

#[tokio::test]
async fn exec_is_refused_with_the_documented_status() {
    let sandbox = TestSandbox::scripted().await;
    let path = started_machine(&sandbox).await;
    let cat = json!({ "command": ["cat"], "timeout": 61 });
    sandbox
        .post(&format!("{path}/exec"), cat)
        .await
        .assert_error(400, "invalid timeout");
    sandbox
        .post(
            "/v1/apps/web/machines/none/exec",
            json!({ "command": ["cat"] }),
        )
        .await
        .assert_error(404, "machine not found");
    sandbox
        .post(&format!("{path}/lease?ttl=60"), Value::Null)
        .await
        .assert_status(201);
    sandbox
        .post(&format!("{path}/exec"), json!({ "command": ["cat"] }))
        .await
        .assert_error(409, "lease currently held");
    sandbox.advance_ms(60_000);
    sandbox
        .post_admin("execs", json!({ "max_body_bytes": 100 }))
        .await;
    let long = json!({ "command": ["cat"], "stdin": "x".repeat(100) });
    sandbox
        .post(&format!("{path}/exec"), long)
        .await
        .assert_error(413, "too large");
    sandbox
        .post(&format!("{path}/stop"), json!({}))
        .await
        .assert_status(200);
    sandbox.advance_ms(2_000);
    sandbox
        .post(&format!("{path}/exec"), json!({ "command": ["cat"] }))
        .await
        .assert_error(412, "failed_precondition: machine not running");
    let statuses: Vec<u16> = sandbox
        .running
        .execs()
        .iter()
        .map(|exec| exec.status)
        .collect();
    assert_eq!(statuses, [400, 404, 409, 413, 412]);
}

#[tokio::test]
async fn program_that_runs_too_long_times_out() {
    let sandbox = TestSandbox::with_options(|options| {
        options.clock = trimtab_sandbox::ClockMode::Stepped;
    })
    .await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    for _ in 0..3 {
        sandbox.machine_state(&path).await;
    }
    let response = sandbox
        .post(
            &format!("{path}/exec"),
            json!({ "command": ["sleep", "5"], "timeout": 10 }),
        )
        .await;
    assert_eq!(response.assert_status(200)["exit_code"], 0);
    sandbox
        .post(
            &format!("{path}/exec"),
            json!({ "command": ["sleep", "20"], "timeout": 10 }),
        )
        .await
        .assert_error(408, "deadline_exceeded");
}

/// A test can search all that a client sent for a password.
#[tokio::test]
async fn requests_are_recorded_whole() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    run_script(&sandbox, &path, "SELECT 'in the script';").await;
    let execs = sandbox.running.execs();
    let last = execs.last().unwrap();
    assert_eq!(last.app, "db");
    assert_eq!(last.request, psql_request("SELECT 'in the script';"));
    assert_eq!(last.response["stdout"], "in the script\n");
    let listed = sandbox.get("/_sandbox/execs").await.assert_status(200);
    assert_eq!(listed[0]["request"]["stdin"], "SELECT 'in the script';");
}

/// A script may also come as an argument, where standard input does not arrive.
#[tokio::test]
async fn script_can_be_an_argument() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    sandbox.post_admin("execs", json!({ "stdin": false })).await;
    use base64::Engine as _;
    let script = base64::engine::general_purpose::STANDARD.encode("SELECT 6 * 7;");
    let pipeline = "printf %s \"$1\" | base64 -d | psql -XqAt -U postgres -p 5433 -d postgres -f -";
    let response = exec(
        &sandbox,
        &path,
        json!({ "command": ["bash", "-c", pipeline, "_", script] }),
    )
    .await;
    assert_eq!(response["stdout"], "42\n");
    let response = exec(
        &sandbox,
        &path,
        json!({ "command": ["bash", "-c", "true"] }),
    )
    .await;
    assert_eq!(response["exit_code"], 127);
}

#[tokio::test]
async fn psql_says_why_it_cannot_connect() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    let psql = async |arguments: &[&str]| {
        let command: Vec<&str> = ["psql", "-XqAt"].iter().chain(arguments).copied().collect();
        let response = exec(
            &sandbox,
            &path,
            json!({ "command": command, "stdin": "SELECT 1;" }),
        )
        .await;
        assert_eq!(response["exit_code"], 2, "{response}");
        response["stderr"].as_str().unwrap().to_owned()
    };
    let wrong_port = psql(&["-U", "postgres", "-d", "postgres"]).await;
    assert!(wrong_port.contains(".s.PGSQL.5432\" failed: No such file or directory"));
    let no_database = psql(&["-U", "postgres", "-p", "5433", "-d", "none"]).await;
    assert!(no_database.contains("FATAL:  database \"none\" does not exist"));
    let no_user = psql(&["-p", "5433", "-d", "postgres"]).await;
    assert!(no_user.contains("no pg_hba.conf entry for host \"[local]\", user \"root\""));
    let no_password = psql(&["-h", "db.internal", "-U", "postgres"]).await;
    assert!(no_password.contains("no password supplied"));
}

/// A script that waits for a lock ends with the request, or once the lock is free.
#[tokio::test]
async fn script_waits_for_advisory_lock() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    let session = json!({ "app": "db", "role": "postgres", "database": "postgres", "locks": [7] });
    let session = admin(&sandbox, "session", session).await;
    let url = format!("{path}/exec");
    let script = psql_request("SELECT pg_advisory_lock(7) \\gset\nCREATE ROLE web;");
    let waiting = sandbox.post(&url, script.clone());
    let release = async {
        while sandbox.running.requests().last().unwrap().path != url {
            tokio::task::yield_now().await;
        }
        sandbox.advance_ms(61_000);
    };
    let (response, ()) = tokio::join!(waiting, release);
    response.assert_error(408, "deadline_exceeded");
    admin(
        &sandbox,
        "session/close",
        json!({ "app": "db", "pid": session["pid"] }),
    )
    .await;
    let response = sandbox.post(&url, script).await.assert_status(200);
    assert_eq!(response["exit_code"], 0);
}
