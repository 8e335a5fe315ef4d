//! The same with the program itself and a real SIGKILL: the sandbox holds back a request of an
//! apply, before or after its effect, and then the process is killed. If the environment has a
//! lock, it is held at that moment.

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

/// The signal of `kill -9`.
const SIGKILL: i32 = 9;

/// An environment, and the distance between the writes at which its apply is killed.
struct KillPlan {
    dir: &'static str,
    environment: &'static str,
    write_step: usize,
}

/// A folder with manifests, and a sandbox that the program uses.
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

    /// Runs an apply to its end.
    async fn run_apply(&self) -> Output {
        let child = self.spawn_apply();
        spawn_blocking(move || child.wait_with_output().unwrap())
            .await
            .unwrap()
    }

    /// Kills an apply at its n-th write. Returns whether it got that far.
    async fn kill_at_write(&self, n: usize, after: bool) -> bool {
        let when = if after { "after" } else { "before" };
        self.sandbox
            .set_faults(vec![format!("hold-{when}:w{n}").parse().unwrap()]);
        let mut child = self.spawn_apply();
        let mut stdout = child.stdout.take().unwrap();
        let mut end = spawn_blocking(move || {
            let mut stderr = Vec::new();
            stdout.read_to_end(&mut stderr).unwrap();
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
        // Let the leases and the lock of the killed process expire.
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

/// Kills an apply at every `write_step`-th write; returns how often it was killed.
async fn kill_at_every_write(plan: KillPlan) -> usize {
    let program = plan.start_sandbox().await;
    let output = program.run_apply().await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (writes, should) = (
        usize::try_from(program.sandbox.write_count()).unwrap(),
        program.normalized_state(),
    );
    let mut kills = 0;
    for n in (1..=writes).step_by(plan.write_step) {
        for after in [false, true] {
            let context = format!("{} killed at write {n}, after: {after}", plan.environment);
            let program = plan.start_sandbox().await;
            kills += usize::from(program.kill_at_write(n, after).await);
            let output = program.run_apply().await;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{context}: {stderr}");
            normalized_state::compare(&program.normalized_state(), &should)
                .unwrap_or_else(|why| panic!("{context}: {why}"));
            assert!(
                program.run_apply().await.stderr.is_empty(),
                "{context}: nothing is left to do"
            );
        }
    }
    kills
}

/// The distance between the writes at which an apply is killed: larger in an ordinary run than in CI.
fn write_step(sample: usize, large: usize) -> usize {
    match super::CaseSelection::from_env() {
        super::CaseSelection::Full => 1,
        super::CaseSelection::Large => large,
        super::CaseSelection::Sample | super::CaseSelection::Named(_) => sample,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_recovers_from_sigkill() {
    let fly = kill_at_every_write(KillPlan {
        dir: "environments",
        environment: "staging",
        write_step: write_step(15, 5),
    });
    let aws = kill_at_every_write(KillPlan {
        dir: "tests/manifests/ledger",
        environment: "production",
        write_step: write_step(12, 6),
    });
    let (fly, aws) = tokio::join!(fly, aws);
    super::print_line(&format!(
        "matrix: the program was killed {} times with SIGKILL",
        fly + aws
    ));
    assert!(fly >= 2 && aws >= 2, "{fly}, {aws}");
}
