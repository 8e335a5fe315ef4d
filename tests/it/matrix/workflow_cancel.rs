//! A deployment that GitHub cancels. The scripts of the generated workflow run as the runner runs
//! them: each in its own `bash -e`, with the variables of its `env`. A cancelled run gets SIGINT in
//! the process that the runner has started, and nowhere else; then SIGTERM, and then the whole tree
//! is killed. Whether trimtab hears of it depends on the script.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::task::spawn_blocking;
use trimtab::workflows::{Project, generate};
use yaml_serde::Value;

use super::{operations::check_nothing_held, signals::stop_ignoring_interrupts};
use crate::support::TestEnv;

/// Slower than in other tests, so that a lock outlasts a busy machine.
const SPEED: f64 = 10.0;
/// How long to wait for what must happen.
const TIMEOUT: Duration = Duration::from_secs(120);
const ACCOUNT: &str = "123456789012";

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
secrets.KEY = { env = "KEY" }
machines.app.count = { fra = 1 }

[github]
branches = ["main"]
concurrency = "cancel"
setup = [{ name = "A step of the user's own", run = 'echo "$GREETING" > greeting', env = { GREETING = "hello ${{ github.repository }}" } }]

[github.workflows]
install.steps = [{ run = 'echo "$TRIMTAB_FOLDER" >> "$GITHUB_PATH"' }]
"#;

/// A runner's machine: a checkout, and what GitHub knows.
struct Runner<'e> {
    env: &'e TestEnv,
    secrets: BTreeMap<String, String>,
    path: String,
}

impl<'e> Runner<'e> {
    fn new(env: &'e TestEnv) -> Self {
        let token = env.sandbox.org_token("acme").unwrap();
        let own = [
            ("${{ secrets.FLY_API_TOKEN }}", token),
            ("${{ secrets.KEY }}", "only for the sandbox".to_owned()),
            ("${{ github.repository }}", "acme/harbor".to_owned()),
            // The access keys of the sandbox take the place of the role.
            ("${{ vars.AWS_ROLE_ARN }}", String::new()),
        ];
        let secrets = own.map(|(name, value)| (name.to_owned(), value));
        Self {
            env,
            secrets: secrets.into(),
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        }
    }

    /// Starts the script of a step.
    fn start(&self, step: &Value, script: &str) -> Child {
        let dir = self.env.dir.path();
        let file = dir.join("script.sh");
        fs::write(&file, script).unwrap();
        let sandbox = &self.env.sandbox;
        let keys = sandbox.aws_keys(ACCOUNT).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_trimtab"));
        let mut command = Command::new("bash");
        command
            .arg("-e")
            .arg(&file)
            .current_dir(dir)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", dir)
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_PATH", dir.join("github-path"))
            .env("TRIMTAB_FOLDER", program.parent().unwrap())
            .env("TRIMTAB_SANDBOX_SPEED", SPEED.to_string())
            .env("AWS_ENDPOINT_URL", sandbox.aws_url())
            .env("AWS_ACCESS_KEY_ID", keys.id)
            .env("AWS_SECRET_ACCESS_KEY", keys.secret)
            .env("AWS_REGION", "eu-central-1");
        for name in [
            "FLY_FLAPS_BASE_URL",
            "FLY_API_BASE_URL",
            "FLY_UIEX_BASE_URL",
            "TRIMTAB_REGISTRY_BASE_URL",
            "TRIMTAB_PUBLIC_BASE_URL",
        ] {
            command.env(name, sandbox.url());
        }
        let pairs = step.get("env").and_then(Value::as_mapping);
        for (name, value) in pairs.into_iter().flatten() {
            let mut value = value.as_str().unwrap().to_owned();
            for (expression, known) in &self.secrets {
                value = value.replace(expression, known);
            }
            assert!(!value.contains("${{"), "{value}");
            command.env(name.as_str().unwrap(), value);
        }
        let output = fs::File::create(dir.join("output")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap()
    }

    /// What a step appended for later steps.
    fn take_path(&mut self) {
        let file = self.env.dir.path().join("github-path");
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            self.path = format!("{line}:{}", self.path);
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.env.dir.path().join("output")).unwrap()
    }
}

/// The steps of the job that deploys, as another program reads them.
fn deploy_steps(env: &TestEnv) -> Vec<Value> {
    let project = Project::from_manifests(&[env.load()], ".")
        .unwrap()
        .unwrap();
    let files = generate(&project);
    let file = files
        .iter()
        .find(|file| file.name == "trimtab-deploy-test.yml")
        .unwrap();
    let workflow: Value = yaml_serde::from_str(&file.text).unwrap();
    workflow["jobs"]["deploy"]["steps"]
        .as_sequence()
        .unwrap()
        .clone()
}

fn send(signal: &str, process: u32) {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{signal}"), &process.to_string()])
        .stderr(Stdio::null());
    // A process that has ended already gets none.
    drop(kill.status());
}

async fn wait(mut child: Child) {
    let ended = spawn_blocking(move || child.wait().unwrap());
    tokio::time::timeout(TIMEOUT, ended).await.unwrap().unwrap();
}

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

/// Runs the steps of a deployment up to the write of a machine, and cancels the run there.
async fn cancelled_deployment(change_script: fn(&str) -> String) -> Result<(), String> {
    stop_ignoring_interrupts();
    let mut env = TestEnv::on_disk_with_speed(MANIFEST, Vec::new(), SPEED).await;
    env.inputs = crate::support::inputs_with(&[("KEY", "only for the sandbox")]);
    env.apply().await;
    env.write_manifest(&MANIFEST.replace("web:v1", "web:v2"));
    let steps = deploy_steps(&env);
    let mut runner = Runner::new(&env);
    let mut is_cancelled = false;
    for step in &steps {
        let Some(script) = step.get("run").and_then(Value::as_str) else {
            continue;
        };
        if step.get("id").and_then(Value::as_str) != Some("apply") {
            wait(runner.start(step, script)).await;
            runner.take_path();
            continue;
        }
        let environment_lock_lease_and_update = "hold-before:w4";
        env.sandbox
            .set_faults(vec![environment_lock_lease_and_update.parse().unwrap()]);
        let child = runner.start(step, &change_script(script));
        let held = tokio::time::timeout(TIMEOUT, env.sandbox.wait_until_held()).await;
        held.unwrap_or_else(|_| panic!("{}", runner.output()));
        let entry = child.id();
        let started = children(entry);
        // A deployment holds something by now; else this test would show nothing.
        check_nothing_held(&env).await.unwrap_err();
        send("INT", entry);
        if started.is_empty() {
            wait(child).await;
        } else {
            // A shell that waits for its program ends by the second signal, and the program is killed.
            send("TERM", entry);
            wait(child).await;
            started.iter().for_each(|process| send("KILL", *process));
        }
        env.sandbox.release_held_request();
        env.sandbox.set_faults(Vec::new());
        is_cancelled = true;
    }
    assert!(is_cancelled);
    let greeting = fs::read_to_string(env.dir.path().join("greeting")).unwrap();
    assert_eq!(greeting, "hello acme/harbor\n");
    let held = check_nothing_held(&env).await;
    held.map_err(|why| format!("{why}\n{}", runner.output()))
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_deployment_leaves_nothing_held() {
    let held = cancelled_deployment(str::to_owned).await;
    held.unwrap_or_else(|why| panic!("{why}"));
}

/// The reason for `exec`: the same script without it.
#[tokio::test(flavor = "multi_thread")]
async fn without_exec_a_cancelled_deployment_would_hold_its_locks() {
    // The second command keeps bash from replacing itself by the last one.
    let without_exec = |script: &str| {
        let command = script.strip_prefix("exec ").unwrap();
        format!("{command}\necho done\n")
    };
    cancelled_deployment(without_exec).await.unwrap_err();
}
