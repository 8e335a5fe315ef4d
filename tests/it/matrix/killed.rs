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
use trimtab_sandbox::{self as sandbox, Options, Running};

use super::census;
use crate::support::{SPEED, copy};

/// What `kill -9` ends a process with.
const SIGKILL: i32 = 9;

/// An environment, and how far apart the writes are at which its apply is killed.
struct Killed {
    dir: &'static str,
    environment: &'static str,
    step: usize,
}

/// A folder, a sandbox that serves it, and the program.
struct Place {
    dir: tempfile::TempDir,
    sandbox: Running,
    environment: &'static str,
}

impl Killed {
    async fn place(&self) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.dir);
        copy(&manifests, &dir.path().join("environments"));
        let options = Options {
            speed: SPEED,
            ..Options::new(dir.path().join("sandbox"))
        };
        let sandbox = sandbox::start(options).await.unwrap();
        Place {
            dir,
            sandbox,
            environment: self.environment,
        }
    }
}

impl Place {
    fn start(&self) -> Child {
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
    async fn finish(&self) -> Output {
        let child = self.start();
        spawn_blocking(move || child.wait_with_output().unwrap())
            .await
            .unwrap()
    }

    /// Kills it at a write. Says whether it came so far.
    async fn kill(&self, n: usize, after: bool) -> bool {
        let when = if after { "after" } else { "before" };
        self.sandbox
            .set_faults(vec![format!("hold-{when}:w{n}").parse().unwrap()]);
        let mut child = self.start();
        let mut out = child.stdout.take().unwrap();
        let mut end = spawn_blocking(move || {
            let mut said = Vec::new();
            out.read_to_end(&mut said).unwrap();
        });
        let held = tokio::select! {
            ended = &mut end => { ended.unwrap(); false }
            () = self.sandbox.held() => true,
        };
        // It may have ended by itself.
        drop(child.kill());
        let signal = child.wait().unwrap().signal();
        assert!(!held || signal == Some(SIGKILL), "{signal:?}");
        self.sandbox.release();
        self.sandbox.set_faults(Vec::new());
        // What it held runs out.
        self.sandbox.advance(Duration::from_secs(600)).unwrap();
        held
    }

    fn census(&self) -> Value {
        self.sandbox.advance(Duration::from_secs(600)).unwrap();
        census::of(&self.sandbox.state())
    }
}

/// Kills an apply again and again, and says how often.
async fn all(killed: Killed) -> usize {
    let place = killed.place().await;
    let output = place.finish().await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (writes, should) = (
        usize::try_from(place.sandbox.writes()).unwrap(),
        place.census(),
    );
    let mut ran = 0;
    for n in (1..=writes).step_by(killed.step) {
        for after in [false, true] {
            let what = format!("{} killed at write {n}, after: {after}", killed.environment);
            let place = killed.place().await;
            ran += usize::from(place.kill(n, after).await);
            let output = place.finish().await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{what}: {said}");
            census::same(&place.census(), &should).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(
                place.finish().await.stderr.is_empty(),
                "{what}: nothing is left to do"
            );
        }
    }
    ran
}

/// Every how manieth write is struck at: `TRIMTAB_MATRIX=full` takes all.
fn step(usual: usize) -> usize {
    if matches!(super::Choice::of_environment(), super::Choice::All) {
        1
    } else {
        usual
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_itself_is_killed_and_run_again() {
    let fly = all(Killed {
        dir: "environments",
        environment: "staging",
        step: step(5),
    });
    let aws = all(Killed {
        dir: "tests/manifests/002",
        environment: "production",
        step: step(6),
    });
    let (fly, aws) = tokio::join!(fly, aws);
    super::say(&format!(
        "matrix: the program was killed {} times with SIGKILL",
        fly + aws
    ));
    assert!(fly >= 6 && aws >= 4, "{fly}, {aws}");
}
