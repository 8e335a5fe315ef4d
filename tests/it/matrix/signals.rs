//! SIGINT and SIGTERM in every phase of every command. The program ends by itself, and what it held is given back.
//!
//! While nothing can have been written, the signal ends the process as it ends any other. From the confirmation on the exit code is
//! that of an incomplete run, and the message says how to go on. The sandbox holds the phase until the signal has done its work, so
//! no test waits for a time to pass.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};

use super::operations::check_nothing_held;
use crate::support::{TestEnv, sample};

/// Slower than in other tests, so that a lock outlasts a busy machine.
const SPEED: f64 = 10.0;
/// How long to wait for a phase or the end of a process. Nothing takes as long.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How many programs run at once.
const PARALLEL_PROCESSES: usize = 4;
/// Longer than any test.
const FOREVER_MS: u64 = 1_000_000_000;

const MANIFEST: &str = r#"
project = "harbor"
fly.org = "acme"

[aws]
account = "123456789012"
region = "eu-central-1"

[buckets.backups]

[apps.web]
primary_region = "fra"
http_service = { internal_port = 8080, auto_stop_machines = "off" }
image = "web:v1"
deploy = { on_failure = "rollback", wait_timeout = "24h", release_command_timeout = "0s" }
machines.app.count = { fra = 1 }
"#;

/// How the process is expected to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    /// By the signal itself: nothing was written.
    Signal,
    /// By itself, with the exit code of an incomplete run.
    Incomplete,
}

/// How the test knows that the phase is reached, and keeps it there.
#[derive(Clone, Copy, Debug)]
enum Hold {
    /// The sandbox holds this request back.
    Request(&'static str),
    /// The sandbox holds back the request with this number from the end of an undisturbed run.
    RequestFromEnd(usize),
    /// The output says so, and something keeps the program there.
    Output(&'static str),
    /// The output says so, and a request with this method and end of its path has been answered since.
    OutputAndRequest(&'static str, &'static str),
}

/// What the environment is before the command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setup {
    /// Nothing is there yet.
    Empty,
    /// One release runs.
    Applied,
    /// Two releases ran, so that there is something to go back to.
    Released,
    /// Another run holds the lock.
    Locked,
    /// Somebody else leases the machine.
    Leased,
}

struct Phase {
    name: &'static str,
    command: &'static str,
    setup: Setup,
    /// A change of the manifest after that.
    edit: Option<(&'static str, &'static str)>,
    /// How programs behave from then on.
    rules: fn() -> Vec<Value>,
    hold: Hold,
    /// Whether the held request is answered after the program has noticed the signal.
    is_answered: bool,
    ending: Ending,
}

const fn reading(name: &'static str, command: &'static str) -> Phase {
    Phase {
        name,
        command,
        setup: Setup::Released,
        edit: None,
        rules: Vec::new,
        hold: Hold::Request("hold-before:2"),
        is_answered: false,
        ending: Ending::Signal,
    }
}

const fn writing(name: &'static str, command: &'static str, hold: Hold) -> Phase {
    Phase {
        hold,
        ending: Ending::Incomplete,
        edit: Some(("web:v1", "web:v2")),
        setup: Setup::Applied,
        ..reading(name, command)
    }
}

fn unhealthy(image: &str) -> Value {
    json!({ "match": { "image_contains": image }, "behave": { "checks": "critical", "boot_ms": FOREVER_MS } })
}

const APPLY: &str = "apply test --yes --stop-timeout 0s";
const DESTROY: &str = "destroy test --yes --stop-timeout 0s --allow-destroy aws.bucket/backups";

fn phases() -> Vec<Phase> {
    vec![
        reading("plan reads", "plan test"),
        reading("apply reads", "apply test --yes"),
        reading("drift reads", "drift test"),
        reading("rollback reads", "rollback test --yes"),
        reading("destroy reads", "destroy test --yes"),
        reading("status reads", "status test"),
        reading("unlock reads", "unlock test"),
        Phase {
            edit: None,
            setup: Setup::Locked,
            ..writing(
                "unlock writes",
                "unlock test --id dead0123",
                Hold::Request("hold-before:w1"),
            )
        },
        Phase {
            edit: None,
            setup: Setup::Empty,
            ..writing(
                "the lock's bucket is made",
                APPLY,
                Hold::Request("hold-before:w1"),
            )
        },
        Phase {
            setup: Setup::Locked,
            ..writing(
                "apply waits for the lock",
                APPLY,
                Hold::Output("Waiting for the lock"),
            )
        },
        writing("the lock is written", APPLY, Hold::Request("hold-after:w1")),
        writing(
            "the lock is verified",
            APPLY,
            Hold::Request("hold-after:w2"),
        ),
        // Three writes take the lock, and the plan is made again under it.
        writing(
            "the first lease is asked for",
            APPLY,
            Hold::Request("hold-before:w4"),
        ),
        Phase {
            is_answered: true,
            ..writing(
                "the first lease is given",
                APPLY,
                Hold::Request("hold-after:w4"),
            )
        },
        Phase {
            setup: Setup::Leased,
            ..writing(
                "apply waits for a lease",
                APPLY,
                Hold::Output("waiting for"),
            )
        },
        writing(
            "a machine is updated",
            APPLY,
            Hold::Request("hold-before:w5"),
        ),
        writing(
            "a machine was updated",
            APPLY,
            Hold::Request("hold-after:w5"),
        ),
        Phase {
            rules: || vec![unhealthy("v2")],
            ..writing(
                "a machine becomes healthy",
                APPLY,
                Hold::OutputAndRequest("updating", "POST"),
            )
        },
        Phase {
            edit: Some((
                "image = \"web:v1\"\ndeploy = {",
                "image = \"web:v2\"\ndeploy = { release_command = \"migrate\",",
            )),
            rules: || {
                vec![json!({
                    "match": { "process_group": "fly_app_release_command" },
                    "behave": { "exit_code": 0, "after_ms": FOREVER_MS },
                })]
            },
            ..writing(
                "a release command runs",
                APPLY,
                Hold::OutputAndRequest("release", "POST"),
            )
        },
        Phase {
            rules: || {
                vec![
                    unhealthy("v1"),
                    json!({ "match": { "image_contains": "v2" }, "behave": { "exit_code": 3, "after_ms": 100 } }),
                ]
            },
            ..writing(
                "it goes back after a failure",
                APPLY,
                Hold::Output("Rolling back web"),
            )
        },
        // The last request releases the lock, and the reads before it verify the result.
        writing("the result is verified", APPLY, Hold::RequestFromEnd(2)),
        Phase {
            edit: Some((
                "image = \"web:v1\"\ndeploy = {",
                "image = \"web:v2\"\ndeploy = { verify = { path = \"/health\", retries = 9 },",
            )),
            rules: || vec![json!({ "match": {}, "behave": { "http": { "status": 503 } } })],
            ..writing("the release is verified", APPLY, Hold::Output("verifying"))
        },
        Phase {
            setup: Setup::Released,
            edit: None,
            ..writing(
                "rollback shows what runs",
                "rollback test --yes --stop-timeout 0s",
                Hold::RequestFromEnd(3),
            )
        },
        Phase {
            setup: Setup::Released,
            edit: None,
            rules: || vec![unhealthy("v1")],
            ..writing(
                "rollback waits for a machine",
                "rollback test --yes --stop-timeout 0s",
                Hold::OutputAndRequest("updating", "POST"),
            )
        },
        Phase {
            edit: None,
            ..writing(
                "destroy deletes a machine",
                DESTROY,
                Hold::Request("hold-before:w6"),
            )
        },
    ]
}

/// A running program, whose output goes to files.
struct Running {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Running {
    fn start(env: &TestEnv, command: &str) -> Self {
        let (dir, output) = (env.dir.path(), tempfile::NamedTempFile::new().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .args(command.split(' '))
            .arg(format!("--sandbox={}", dir.join("sandbox").display()))
            .arg("--environments")
            .arg(dir)
            .env_clear()
            .env("HOME", dir)
            .env("USER", "ada")
            .stdin(Stdio::null())
            .stdout(output.reopen().unwrap())
            .stderr(output.reopen().unwrap())
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn text(&self) -> String {
        // The last character may not be there in full.
        String::from_utf8_lossy(&fs::read(self.output.path()).unwrap()).into_owned()
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([&format!("-{name}"), &self.child.id().to_string()]);
        assert!(sent.status().unwrap().success());
    }

    /// Waits until the phase is reached.
    async fn wait_for(&mut self, env: &TestEnv, hold: Hold) -> Result<(), String> {
        let reader = env.readers(None).await.fly;
        let before = env.sandbox.requests().len();
        let is_reached = |run: &Self| match hold {
            Hold::Request(_) | Hold::RequestFromEnd(_) => false,
            Hold::Output(text) => run.text().contains(text),
            Hold::OutputAndRequest(text, method) => {
                let requests = env.sandbox.requests().split_off(before);
                let mut writes = requests.iter().filter(|one| {
                    one.method == method
                        && one.path.contains("/machines")
                        && !one.path.ends_with("/lease")
                });
                run.text().contains(text) && writes.any(|one| one.status == 200)
            }
        };
        if let Hold::Request(_) | Hold::RequestFromEnd(_) = hold {
            env.sandbox.wait_until_held().await;
            return Ok(());
        }
        while !is_reached(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!(
                    "it ended before {hold:?}: {status}\n{}",
                    self.text()
                ));
            }
            reader.sleep_scaled(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Waits for the end. Returns how it ended, and the output.
    async fn wait(mut self) -> (ExitStatus, String) {
        let ended = spawn_blocking(move || (self.child.wait().unwrap(), self.text()));
        ended.await.unwrap()
    }
}

impl Drop for Running {
    /// A failing test leaves no process behind. Killing a process that has ended fails, which is fine.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Phase {
    async fn prepare(&self) -> TestEnv {
        let env = TestEnv::on_disk_with_speed(MANIFEST, Vec::new(), SPEED).await;
        if self.setup != Setup::Empty {
            env.apply().await;
        }
        match self.setup {
            Setup::Empty | Setup::Applied => {}
            Setup::Released => {
                env.write_manifest(&MANIFEST.replace("web:v1", "web:v2"));
                env.apply().await;
            }
            Setup::Locked => super::operations::lock_as_dead_run(&env).await,
            Setup::Leased => super::operations::lease_first_machine(&env, 3_600).await,
        }
        if let Some((from, to)) = self.edit {
            let manifest = MANIFEST.replace(from, to);
            assert_ne!(manifest, MANIFEST, "{}", self.name);
            env.write_manifest(&manifest);
        }
        for rule in (self.rules)() {
            env.send_manual_request("POST", "/_sandbox/rules", rule)
                .await;
        }
        env
    }

    /// The number of requests of an undisturbed run.
    async fn count_requests(&self) -> usize {
        let env = self.prepare().await;
        let before = env.sandbox.requests().len();
        let (status, text) = Running::start(&env, self.command).wait().await;
        assert!(status.success(), "{text}");
        env.sandbox.requests().len() - before
    }

    /// Sends a signal in this phase.
    ///
    /// # Errors
    /// When the program ends in another way than expected, or something is held afterwards.
    async fn check(&self, signal: &str) -> Result<(), String> {
        let env = self.prepare().await;
        let faults = match self.hold {
            Hold::Request(fault) => vec![fault.parse().unwrap()],
            Hold::RequestFromEnd(number) => {
                let all = self.count_requests().await;
                vec![format!("hold-before:{}", all - number).parse().unwrap()]
            }
            Hold::Output(_) | Hold::OutputAndRequest(..) => Vec::new(),
        };
        env.sandbox.set_faults(faults);
        let mut run = Running::start(&env, self.command);
        let reached = tokio::time::timeout(TIMEOUT, run.wait_for(&env, self.hold)).await;
        reached.unwrap_or_else(|_| Err("it was not reached".to_owned()))?;
        run.signal(signal);
        if self.is_answered {
            run.wait_for(&env, Hold::Output("stopping")).await?;
            env.sandbox.release_held_request();
        }
        // Otherwise the held request stays held: the program must not need its answer.
        let ended = tokio::time::timeout(TIMEOUT, run.wait()).await;
        let (status, text) = ended.map_err(|_| "it did not end".to_owned())?;
        env.sandbox.release_held_request();
        env.sandbox.set_faults(Vec::new());
        let (number, expected) = (if signal == "INT" { 2 } else { 15 }, self.ending);
        let is_expected = match expected {
            Ending::Signal => status.signal() == Some(number),
            Ending::Incomplete => {
                status.code() == Some(4) && text.contains("run the same command again")
            }
        };
        if !is_expected {
            return Err(format!("{expected:?} was expected: {status}\n{text}"));
        }
        // What others hold is still theirs.
        if !matches!(self.setup, Setup::Locked | Setup::Leased) {
            check_nothing_held(&env)
                .await
                .map_err(|why| format!("{why}\n{text}"))?;
        }
        Ok(())
    }
}

/// A shell without job control starts what runs in its background with SIGINT ignored, and so would be every program of this test.
/// A signal that this process handles has its default effect in the programs that it starts (POSIX, `exec`).
pub(super) fn stop_ignoring_interrupts() {
    const INTERRUPT_BIT: u64 = 1 << 1;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.is_some_and(|mask| mask & INTERRUPT_BIT != 0) {
        drop(signal(SignalKind::interrupt()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_in_any_phase_leaves_nothing_held() {
    stop_ignoring_interrupts();
    let cases = phases().into_iter().flat_map(|phase| {
        let phase = Arc::new(phase);
        ["INT", "TERM"].map(|signal| (Arc::clone(&phase), signal))
    });
    let mut running = stream::iter(sample(cases, 1, 18))
        .map(|(phase, signal)| async move {
            let result = phase.check(signal).await;
            result
                .err()
                .map(|why| format!("{}, SIG{signal}: {why}", phase.name))
        })
        .buffer_unordered(PARALLEL_PROCESSES);
    let mut failures = Vec::new();
    while let Some(failure) = running.next().await {
        failures.extend(failure);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
