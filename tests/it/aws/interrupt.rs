//! A signal while the bucket of the lock is being created stops the run, and the next run does the rest.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::json;

use super::{
    BUCKET, MANIFEST, SdkClients,
    permissions::{LimitedRun, real_speed_env},
    post_admin,
};

/// How long to wait for a line of output; nothing else takes as long.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// The lines that a process writes to stderr.
struct Lines(Receiver<String>);

impl Lines {
    fn of(child: &mut Child) -> Self {
        let (sender, receiver) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        Self(receiver)
    }

    /// Waits for a line that contains this text.
    fn wait_for(&self, text: &str) {
        let mut seen = Vec::new();
        loop {
            match self.0.recv_timeout(LINE_TIMEOUT) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no `{text}` ({error}): {seen:#?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_while_the_locks_bucket_is_made_stops_the_run() {
    let env = real_speed_env(&MANIFEST.replace("count = { fra = 1 }", "count = 0")).await;
    let run = LimitedRun::for_purpose(&env, "apply").await;
    env.sandbox
        .set_faults(vec!["hold-before:w1".parse().unwrap()]);
    let mut command = run.command(&["apply", "test", "--yes", "--stop-timeout", "24h"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(&mut child);
    lines.wait_for("aws.bucket/backups: creating");
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    lines.wait_for("stopping");
    post_admin(&env, "release", json!({})).await;
    let code = tokio::task::spawn_blocking(move || child.wait().unwrap().code())
        .await
        .unwrap();
    assert_eq!(code, Some(4));
    lines.wait_for("stopped after the bucket that holds the lock was made");
    let SdkClients { s3, iam, .. } = SdkClients::administrator(&env);
    let head = s3.head_bucket().bucket(BUCKET).send().await;
    assert!(head.is_ok(), "the step under way was finished");
    let roles = iam.list_roles().send().await.unwrap();
    assert!(roles.roles().is_empty(), "nothing else was begun");
    run.assert_succeeds(&["apply", "test", "--yes"]).await;
}
