//! A proxy can read unencrypted requests, so requests to this machine must never go through one.

use std::{
    io::Read as _,
    net::TcpListener,
    process::Command,
    sync::{Arc, Mutex},
};

use crate::{aws::MANIFEST, support::TestEnv};

#[tokio::test(flavor = "multi_thread")]
async fn loopback_requests_bypass_proxy() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let address = start_recording_proxy(seen.clone());
    for command in ["plan", "apply", "status", "destroy"] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        let dir = env.dir.path();
        run.args([command, "test", "--environments"]).arg(dir);
        if command != "plan" && command != "status" {
            run.args(["--yes", "--allow-destroy", "aws.bucket/backups"]);
        }
        run.arg(format!("--sandbox={}", dir.join("sandbox").display()))
            .env_clear()
            .env("HOME", dir);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            run.env(name, &address);
        }
        let run = tokio::task::spawn_blocking(move || run.output().unwrap())
            .await
            .unwrap();
        assert!(
            run.status.code().is_some_and(|code| code < 3),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
    let seen = seen.lock().unwrap();
    assert!(seen.is_empty(), "it was asked: {seen:?}");
}

/// Starts a proxy that records what it receives and never answers.
fn start_recording_proxy(seen: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for asked in listener.incoming() {
            let mut text = [0; 400];
            let length = asked.unwrap().read(&mut text).unwrap_or(0);
            seen.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&text[..length]).into_owned());
        }
    });
    address
}
