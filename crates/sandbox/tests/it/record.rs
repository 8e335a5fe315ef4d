//! The record of HTTP exchanges: complete, verbatim, private, and invisible to the client.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use trimtab_sandbox::{SandboxOptions, StartError, start};

use crate::support::TestSandbox;

async fn recording_sandbox(file: &Path, fault: Option<&str>) -> TestSandbox {
    TestSandbox::with_options(|options| {
        options.record = Some(file.to_owned());
        options.faults = fault
            .into_iter()
            .map(|fault| fault.parse().unwrap())
            .collect();
    })
    .await
}

fn read_lines(file: &Path) -> Vec<Value> {
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn exchanges_are_recorded_verbatim() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("exchanges");
    let sandbox = recording_sandbox(&file, None).await;
    sandbox.create_app().await;
    // The double space checks that the body is recorded byte for byte.
    let body = r#"{ "values": { "KEY":  "canary" } }"#;
    let request = sandbox
        .request("POST", "/v1/apps/web/secrets")
        .header("fly-machine-lease-nonce", "abc");
    let response = sandbox.send(request.body(body)).await;
    sandbox
        .get("/v1/apps/web/machines?region=fra&summary=true")
        .await
        .assert_status(200);
    sandbox.get("/_sandbox/requests").await;
    let lines = read_lines(&file);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(
        [&lines[0]["method"], &lines[0]["status"]],
        [&json!("POST"), &json!(201)]
    );
    assert_eq!(lines[1]["path"], "/v1/apps/web/secrets");
    assert_eq!(
        [&lines[1]["body"], &lines[1]["answer"]],
        [&json!(body), &json!(response.text)]
    );
    assert_eq!(lines[1]["headers"]["fly-machine-lease-nonce"], "abc");
    let id = response.headers["fly-request-id"].to_str().unwrap();
    assert_eq!(lines[1]["answer_headers"]["fly-request-id"], id);
    assert_eq!(
        [&lines[2]["query"], &lines[2]["body"]],
        [&json!("region=fra&summary=true"), &json!("")]
    );
    assert_eq!(
        [&lines[2]["status"], &lines[2]["answer"]],
        [&json!(200), &json!("[]")]
    );
}

#[tokio::test]
async fn record_is_private_and_has_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("exchanges");
    fs::write(&file, "{\"there\":\"before\"}\n").unwrap();
    let sandbox = recording_sandbox(&file, None).await;
    sandbox.create_app().await;
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("{\"there\":\"before\"}\n{"), "{text}");
    assert!(
        text.contains("\"host\"") && !text.contains(&sandbox.token),
        "{text}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[tokio::test]
async fn cut_response_is_recorded_without_status() {
    let dir = tempfile::tempdir().unwrap();
    for fault in ["drop-after:1", "truncate:1"] {
        let file = dir.path().join(fault.replace(':', "-"));
        let sandbox = recording_sandbox(&file, Some(fault)).await;
        let body = json!({ "name": "web", "org_slug": "acme" });
        match sandbox.request("POST", "/v1/apps").json(&body).send().await {
            Ok(response) => drop(response.bytes().await.unwrap_err()),
            Err(error) => assert!(error.is_request(), "{error:?}"),
        }
        let lines = read_lines(&file);
        assert_eq!(
            [&lines[0]["status"], &lines[0]["answer"]],
            [&json!(0), &json!("")],
            "{fault}"
        );
        assert_eq!(lines[0]["body"], body.to_string());
        sandbox.get("/v1/apps/web").await.assert_status(200);
    }
}

#[tokio::test]
async fn unwritable_record_prevents_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = SandboxOptions::new(dir.path().join("state"));
    options.record = Some(dir.path().join("missing/exchanges"));
    let error = start(options).await.unwrap_err();
    assert!(
        matches!(&error, StartError::OpenRecording { path, .. } if path.ends_with("missing/exchanges")),
        "{error}"
    );
}
