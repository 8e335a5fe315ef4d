//! One user's production environment in a sandbox, and the program as the user runs it: in its own
//! process, which can be observed, interrupted and killed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use trimtab::{
    clouds::{ClientConfig, fly::FlyReader},
    model::Secret,
};
use trimtab_sandbox::{self as sandbox, RequestRecord, RunningSandbox, SandboxOptions};

/// Slower than in other tests, so that requests within Fly's rate limits also arrive within them on
/// a busy machine.
const SPEED: f64 = 10.0;
const LONGER_THAN_LEASE: Duration = Duration::from_secs(61);
/// The process group of release commands; flyctl uses the same name.
pub(super) const RELEASE_COMMAND_GROUP: &str = "fly_app_release_command";

/// A user's manifest, and what the tests must know about it.
pub(super) struct UserManifest {
    /// The folder in `tests/manifests`.
    pub(super) folder: &'static str,
    /// The app's key in the manifest.
    pub(super) app: &'static str,
    /// The app's name on Fly.
    pub(super) fly_name: &'static str,
    /// The variables that hold secret values.
    pub(super) secrets: &'static [&'static str],
    /// The number of service machines, and how many of them may be unavailable at once.
    pub(super) machine_count: usize,
    pub(super) max_unavailable: usize,
    /// The number of scheduled machines.
    pub(super) cron_count: usize,
    /// Whether the services have checks.
    pub(super) has_checks: bool,
}

pub(super) struct Production {
    pub(super) user: &'static UserManifest,
    pub(super) sandbox: RunningSandbox,
    dir: tempfile::TempDir,
    reader: FlyReader,
}

#[derive(Debug)]
pub(super) struct ApplyOutput {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    stderr: String,
    pub(super) requests: Vec<RequestRecord>,
}

impl ApplyOutput {
    /// Asserts the exit code, and that stdout contains these texts.
    pub(super) fn assert_exit(&self, code: i32, expected: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for part in expected {
            assert!(
                self.stdout.contains(part),
                "{part:?} is missing:\n{}\n{}",
                self.stdout,
                self.stderr
            );
        }
    }

    /// The writes of the run as method and path, without leases and the lock.
    pub(super) fn writes(&self) -> Vec<String> {
        // IAM and STS use POST for reads too.
        let asks = |path: &str| {
            ["sts:", "iam:Get", "iam:List"]
                .iter()
                .any(|read| path.starts_with(read))
        };
        let rights = |path: &str| path.ends_with("/lease") || path.contains("/.trimtab/locks/");
        let writes = self
            .requests
            .iter()
            .filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD"));
        let writes = writes.filter(|request| !asks(&request.path) && !rights(&request.path));
        writes
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}

pub(super) struct RunningApply<'s> {
    production: &'s Production,
    child: Child,
    requests_before: usize,
    /// Files of its own, so that runs in parallel do not mix their output.
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
}

impl Production {
    pub(super) async fn start(user: &'static UserManifest) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/manifests")
            .join(user.folder);
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        let mut options = SandboxOptions::new(dir.path().join("sandbox"));
        options.speed = SPEED;
        let sandbox = sandbox::start(options).await.unwrap();
        let token = Secret::new(sandbox.user_token().unwrap());
        let reader =
            FlyReader::new(&ClientConfig::for_sandbox(sandbox.url(), token, SPEED)).unwrap();
        Self {
            user,
            sandbox,
            dir,
            reader,
        }
    }

    /// Writes `guarded.toml`: production with this release command, checks, and no timeouts, so
    /// that a test can hold a step as long as it needs.
    pub(super) fn write_guarded_manifest(&self, command: &str) {
        let UserManifest {
            app, has_checks, ..
        } = self.user;
        let checks =
            format!("[[apps.{app}.http_service.checks]]\npath = \"/up\"\ninterval = \"15s\"\n");
        // One file must describe an environment, so the other becomes a base.
        let base = self.dir.path().join("_production.toml");
        if !base.exists() {
            fs::rename(self.dir.path().join("production.toml"), base).unwrap();
        }
        let text = format!(
            "extends = \"_production.toml\"\nname = \"production\"\n[apps.{app}.deploy]\n\
             release_command = \"{command}\"\nrelease_command_timeout = \"0s\"\nwait_timeout = \"24h\"\n{}",
            if *has_checks { "" } else { &checks }
        );
        fs::write(self.dir.path().join("guarded.toml"), text).unwrap();
    }

    /// Starts an apply with this tag of the app's image.
    pub(super) fn start_apply(&self, environment: &str, tag: &str) -> RunningApply<'_> {
        let (out, err) = (
            tempfile::NamedTempFile::new().unwrap(),
            tempfile::NamedTempFile::new().unwrap(),
        );
        let UserManifest {
            app,
            fly_name: name,
            secrets,
            ..
        } = self.user;
        let before = self.sandbox.requests().len();
        let child = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .args(["apply", environment, "--yes", "--environments", "."])
            // The tests end the steps under way.
            .args(["--stop-timeout", "24h"])
            .args([
                "--image",
                &format!("{app}=registry.fly.io/{name}:{tag}"),
                "--sandbox=sandbox",
            ])
            .current_dir(self.dir.path())
            .env_clear()
            .envs(
                secrets
                    .iter()
                    .map(|secret| (secret, format!("canary of {secret}"))),
            )
            .stdin(Stdio::null())
            .stdout(out.reopen().unwrap())
            .stderr(err.reopen().unwrap())
            .spawn()
            .unwrap();
        RunningApply {
            production: self,
            child,
            requests_before: before,
            stdout: out,
            stderr: err,
        }
    }

    /// Applies and waits for the end.
    pub(super) fn apply(&self, environment: &str, tag: &str) -> ApplyOutput {
        self.start_apply(environment, tag).wait()
    }

    /// Sends a request to the sandbox's admin API.
    async fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}/_sandbox/{path}", self.sandbox.url());
        let request = reqwest::Client::new()
            .request(method.parse().unwrap(), url)
            .bearer_auth(self.sandbox.user_token().unwrap())
            .json(body);
        let response = request.send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{method} {path}: {}",
            response.status()
        );
        response.json().await.unwrap()
    }

    /// Makes programs with this process group and image behave as described.
    pub(super) async fn add_rule(&self, group: &str, tag: &str, behave: Value) {
        let rule = json!({ "match": { "process_group": group, "image_contains": format!(":{tag}@") }, "behave": behave });
        self.admin("POST", "rules", &rule).await;
    }

    pub(super) async fn clear_rules(&self) {
        self.admin("DELETE", "rules", &Value::Null).await;
    }

    /// The app's objects of one type, as the sandbox stores them.
    async fn stored_objects(&self, context: &str) -> Vec<Value> {
        let state = self.admin("GET", "state", &Value::Null).await;
        let all = state["apps"][self.user.fly_name][context]
            .as_object()
            .cloned()
            .unwrap_or_default();
        all.into_iter().map(|(_, value)| value).collect()
    }

    async fn machines(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.stored_objects("machines")
            .await
            .into_iter()
            .filter(matches)
            .collect()
    }

    pub(super) async fn service_machines(&self) -> Vec<Value> {
        self.machines(|machine| is_present(machine) && process_group(machine) == "app")
            .await
    }

    pub(super) async fn cron_machines(&self) -> Vec<Value> {
        self.machines(|machine| is_present(machine) && machine["config"]["schedule"].is_string())
            .await
    }

    /// The machines of this image's release commands, including destroyed ones.
    pub(super) async fn release_machines(&self, tag: &str) -> Vec<Value> {
        self.machines(|machine| {
            process_group(machine) == RELEASE_COMMAND_GROUP && runs_image(machine, tag)
        })
        .await
    }

    /// Advances the clock until the leases of a killed run have expired.
    pub(super) fn expire_leases(&self) {
        self.sandbox.advance_clock(LONGER_THAN_LEASE).unwrap();
    }

    async fn running_release_machine(&self) -> Option<Value> {
        let runs = |machine: &Value| {
            process_group(machine) == RELEASE_COMMAND_GROUP && machine["state"] == "started"
        };
        self.machines(runs).await.pop()
    }

    /// Stops the running release command, as if it had finished its work.
    pub(super) async fn finish_release_command(&self) {
        let command = self.running_release_machine().await.unwrap();
        let id = command["id"].as_str().unwrap();
        let url = format!(
            "{}/v1/apps/{}/machines/{id}/stop",
            self.sandbox.url(),
            self.user.fly_name
        );
        let token = self.sandbox.user_token().unwrap();
        let response = reqwest::Client::new()
            .post(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{}", response.status());
    }

    /// Must hold after every complete apply: all machines run this image, nothing is left over, no
    /// lease is held, no request was rate limited, and a second apply changes nothing.
    pub(super) async fn assert_converged(&self, environment: &str, tag: &str) {
        let UserManifest {
            machine_count: fleet,
            cron_count: crons,
            ..
        } = self.user;
        let (serving, scheduled) = (self.service_machines().await, self.cron_machines().await);
        assert_eq!((serving.len(), scheduled.len()), (*fleet, *crons), "{tag}");
        assert_eq!(
            self.machines(is_present).await.len(),
            fleet + crons,
            "{tag}: nothing is left over"
        );
        for machine in serving.iter().chain(&scheduled) {
            assert!(runs_image(machine, tag), "{tag}: {machine:#}");
        }
        for machine in &serving {
            assert_eq!(machine["state"], "started", "{tag}: {machine:#}");
            assert!(
                machine["config"]["metadata"]["trimtab_starting"].is_null(),
                "{tag}: {machine:#}"
            );
        }
        for volume in self.stored_objects("volumes").await {
            assert!(volume["attached"].is_string(), "{tag}: {volume:#}");
        }
        self.assert_no_leases(tag).await;
        let again = self.apply(environment, tag);
        again.assert_exit(0, &[]);
        assert_eq!(
            again.writes(),
            Vec::<String>::new(),
            "{tag}: a second apply has nothing to do"
        );
        self.assert_not_rate_limited();
    }

    /// No lease is held. Leases of a killed run may still be stored, but must have expired.
    pub(super) async fn assert_no_leases(&self, tag: &str) {
        let now = self.admin("GET", "clock", &Value::Null).await["now_ms"]
            .as_i64()
            .unwrap();
        for machine in self.machines(is_present).await {
            let until = machine["lease"]["expires_ms"].as_i64().unwrap_or(0);
            assert!(until <= now, "{tag}: a lease is left: {machine:#}");
        }
    }

    pub(super) fn assert_not_rate_limited(&self) {
        let requests = self.sandbox.requests();
        let refused: Vec<&RequestRecord> = requests.iter().filter(|r| r.status == 429).collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

impl RunningApply<'_> {
    /// The requests that the run has sent so far.
    fn requests(&self) -> Vec<RequestRecord> {
        self.production
            .sandbox
            .requests()
            .split_off(self.requests_before)
    }

    fn read_output(file: &tempfile::NamedTempFile) -> String {
        fs::read_to_string(file.path()).unwrap()
    }

    /// Waits until a condition holds; panics if the run ends before.
    async fn wait_until(&mut self, context: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            self.sleep_while_running(context).await;
        }
    }

    /// Sleeps for a moment; panics if the run has ended.
    async fn sleep_while_running(&mut self, context: &str) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let (out, err) = (
                Self::read_output(&self.stdout),
                Self::read_output(&self.stderr),
            );
            panic!("it ended ({status}) before: {context}\n{out}\n{err}");
        }
        self.production
            .reader
            .sleep_scaled(Duration::from_millis(200))
            .await;
    }

    pub(super) async fn wait_for_release_command(&mut self) {
        while self.production.running_release_machine().await.is_none() {
            self.sleep_while_running("the release command runs").await;
        }
    }

    /// Waits for a conflict about a lease, or for the lease itself if it has just expired.
    pub(super) async fn wait_for_lease_conflict(&mut self) {
        let matches = |request: &RequestRecord| {
            request.path.ends_with("/lease") && matches!(request.status, 201 | 409)
        };
        self.wait_until("a lease is asked for", |run| {
            run.requests().iter().any(matches)
        })
        .await;
    }

    /// Waits for a successful request with this method, and this path after the app's name.
    pub(super) async fn wait_for_request(&mut self, method: &str, path: &str) {
        let path = format!("/v1/apps/{}{path}", self.production.user.fly_name);
        let matches = |request: &RequestRecord| {
            request.method == method
                && request.path.starts_with(&path)
                && !request.path.ends_with("/lease")
                && request.status == 200
        };
        self.wait_until(&format!("{method} {path}"), |run| {
            run.requests().iter().any(matches)
        })
        .await;
    }

    /// Sends SIGINT, as ctrl-C does, and waits until the program has noticed.
    pub(super) async fn interrupt(&mut self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        self.wait_until("it says that it stops", |run| {
            Self::read_output(&run.stderr).contains("stopping: ")
        })
        .await;
    }

    /// Kills it without time to clean up.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().code(), None, "it was killed");
    }

    pub(super) fn wait(mut self) -> ApplyOutput {
        let code = self.child.wait().unwrap().code();
        ApplyOutput {
            code,
            stdout: Self::read_output(&self.stdout),
            stderr: Self::read_output(&self.stderr),
            requests: self.requests(),
        }
    }
}

impl Drop for RunningApply<'_> {
    /// A failing test leaves no process behind. Killing a process that has ended fails, which is
    /// fine.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_present(machine: &Value) -> bool {
    !matches!(machine["state"].as_str(), Some("destroyed" | "destroying"))
}

fn process_group(machine: &Value) -> &str {
    machine["config"]["metadata"]["fly_process_group"]
        .as_str()
        .unwrap_or_default()
}

/// Whether a machine runs this tag of its image.
pub(super) fn runs_image(machine: &Value, tag: &str) -> bool {
    machine["config"]["image"]
        .as_str()
        .unwrap_or_default()
        .contains(&format!(":{tag}@"))
}

/// The ids and versions of machines. A version changes with every update, and with nothing else.
pub(super) fn versions(machines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    machines
        .iter()
        .map(|machine| (text(&machine["id"]), text(&machine["instance_id"])))
        .collect()
}
