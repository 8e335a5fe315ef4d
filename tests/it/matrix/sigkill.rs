//! The same with the program itself and a real SIGKILL: a request of its apply is held back by the sandbox, before its
//! effect or after it, and then the process is killed. The lock of an environment that has one is held by then.

use std::{
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::task::spawn_blocking;
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions};

use super::normalized_state;
use crate::support::{SPEED, copy_files};

/// What `kill -9` ends a process with.
const SIGKILL: i32 = 9;

/// An environment, and how far apart the writes are at which its apply is killed.
struct KillPlan {
    dir: &'static str,
    environment: &'static str,
    write_step: usize,
}

/// A folder, a sandbox that serves it, and the program.
struct ProgramSandbox {
    dir: tempfile::TempDir,
    sandbox: RunningSandbox,
    environment: &'static str,
}

impl KillPlan {
    async fn start_sandbox(&self) -> ProgramSandbox {
        let dir = tempfile::tempdir().unwrap();
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.dir);
        copy_files(&manifests, &dir.path().join("environments"));
        let options = SandboxOptions {
            speed: SPEED,
            ..SandboxOptions::new(dir.path().join("sandbox"))
        };
        let sandbox = sandbox::start(options).await.unwrap();
        ProgramSandbox {
            dir,
            sandbox,
            environment: self.environment,
        }
    }
}

impl ProgramSandbox {
    fn spawn_apply(&self) -> Child {
        let dir = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        command.args(["apply", self.environment, "--yes"]);
        let variables = dir.join("environments/example.env");
        if variables.exists() {
            command.arg("--env-file").arg(variables);
        }
        command
            .arg(format!("--sandbox={}", dir.join("sandbox").display()))
            .current_dir(dir)
            .env_clear()
            .env("HOME", dir)
            .env("USER", "ada")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it to its end.
    async fn run_apply(&self) -> Output {
        let child = self.spawn_apply();
        spawn_blocking(move || child.wait_with_output().unwrap())
            .await
            .unwrap()
    }

    /// Kills it at a write. Says whether it came so far.
    async fn kill_at_write(&self, n: usize, after: bool) -> bool {
        let when = if after { "after" } else { "before" };
        self.sandbox
            .set_faults(vec![format!("hold-{when}:w{n}").parse().unwrap()]);
        let mut child = self.spawn_apply();
        let mut out = child.stdout.take().unwrap();
        let mut end = spawn_blocking(move || {
            let mut said = Vec::new();
            out.read_to_end(&mut said).unwrap();
        });
        let held = tokio::select! {
            ended = &mut end => { ended.unwrap(); false }
            () = self.sandbox.wait_until_held() => true,
        };
        // It may have ended by itself.
        drop(child.kill());
        let signal = child.wait().unwrap().signal();
        assert!(!held || signal == Some(SIGKILL), "{signal:?}");
        self.sandbox.release_held_request();
        self.sandbox.set_faults(Vec::new());
        // What it held runs out.
        self.sandbox
            .advance_clock(Duration::from_secs(600))
            .unwrap();
        held
    }

    fn normalized_state(&self) -> Value {
        self.sandbox
            .advance_clock(Duration::from_secs(600))
            .unwrap();
        normalized_state::normalize(&self.sandbox.state())
    }
}

/// Kills an apply again and again, and says how often.
async fn kill_at_every_write(killed: KillPlan) -> usize {
    let place = killed.start_sandbox().await;
    let output = place.run_apply().await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (writes, should) = (
        usize::try_from(place.sandbox.write_count()).unwrap(),
        place.normalized_state(),
    );
    let mut ran = 0;
    for n in (1..=writes).step_by(killed.write_step) {
        for after in [false, true] {
            let what = format!("{} killed at write {n}, after: {after}", killed.environment);
            let place = killed.start_sandbox().await;
            ran += usize::from(place.kill_at_write(n, after).await);
            let output = place.run_apply().await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{what}: {said}");
            normalized_state::compare(&place.normalized_state(), &should)
                .unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(
                place.run_apply().await.stderr.is_empty(),
                "{what}: nothing is left to do"
            );
        }
    }
    ran
}

/// Every how manieth write is struck at: `TRIMTAB_MATRIX=full` takes all.
fn write_step(usual: usize) -> usize {
    if matches!(super::CaseSelection::from_env(), super::CaseSelection::All) {
        1
    } else {
        usual
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_recovers_from_sigkill() {
    let fly = kill_at_every_write(KillPlan {
        dir: "environments",
        environment: "staging",
        write_step: write_step(5),
    });
    let aws = kill_at_every_write(KillPlan {
        dir: "tests/manifests/ledger",
        environment: "production",
        write_step: write_step(6),
    });
    let (fly, aws) = tokio::join!(fly, aws);
    super::print_line(&format!(
        "matrix: the program was killed {} times with SIGKILL",
        fly + aws
    ));
    assert!(fly >= 6 && aws >= 4, "{fly}, {aws}");
}
