//! `trimtab sandbox` as a server for other runs of trimtab: by the variables that it prints, and by its
//! folder.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// The pages of the app are looked at after each apply.
const MANIFEST: &str = r#"
project = "shop"
fly.org = "shop"

[apps.web]
primary_region = "iad"
image = "registry.fly.io/shop-web:v1"

[apps.web.http_service]
internal_port = 8080
auto_stop_machines = "off"

[apps.web.deploy]
verify = { path = "/health", retries = 1 }

[aws]
account = "123456789012"
region = "eu-central-1"

[buckets.data]
"#;

/// A server that ends with its test.
struct Server {
    process: Child,
    variables: Vec<(String, String)>,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut process = trimtab(dir)
            .args([
                "sandbox", "--dir", "state", "--org", "shop", "--speed", "200",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut variables = Vec::new();
        while let Some(line) = lines.next().map(Result::unwrap) {
            let pairs = line.strip_prefix("export ").unwrap_or_default();
            let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
            variables.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            if line.contains("FLY_SYNTHETICS_AGENT") {
                break;
            }
        }
        Self { process, variables }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn trimtab(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.current_dir(dir).env_clear().env("HOME", dir);
    command
}

#[track_caller]
fn assert_succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn printed_variables_are_all_that_a_run_needs() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("environments")).unwrap();
    let manifest = dir.path().join("environments/shop.toml");
    fs::write(&manifest, MANIFEST).unwrap();
    let server = Server::start(dir.path());
    let apply = || {
        let mut command = trimtab(dir.path());
        command.args(["apply", "shop", "--yes"]);
        command.envs(server.variables.clone()).output().unwrap()
    };
    assert_succeeded(&apply());
    // Verifying an update asks the sandbox as well, not the app's public address.
    fs::write(&manifest, MANIFEST.replace("web:v1", "web:v2")).unwrap();
    assert_succeeded(&apply());
}

#[test]
fn folder_of_running_server_can_be_joined() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("environments")).unwrap();
    fs::write(dir.path().join("environments/shop.toml"), MANIFEST).unwrap();
    let _server = Server::start(dir.path());
    let mut command = trimtab(dir.path());
    command.args(["apply", "shop", "--yes", "--sandbox=state"]);
    assert_succeeded(&command.output().unwrap());
}

#[test]
fn a_played_event_gives_the_files_and_variables_of_its_job() {
    let dir = tempfile::tempdir().unwrap();
    let play = |args: &[&str]| {
        let mut command = trimtab(dir.path());
        command.args(["sandbox", "github"]).args(args);
        command.args(["--dir", "state"]).output().unwrap()
    };
    let without_server = play(&["push"]);
    let error = String::from_utf8_lossy(&without_server.stderr).into_owned();
    assert_eq!(without_server.status.code(), Some(1), "{error}");
    assert!(error.contains("trimtab sandbox --dir state"), "{error}");
    let server = Server::start(dir.path());
    let played = play(&["pull_request.opened", "--branch", "it's", "--draft"]);
    assert_succeeded(&played);
    let lines = String::from_utf8(played.stdout).unwrap();
    // A shell reads them as a job would get them.
    let script = r#"echo "$GITHUB_EVENT_NAME $GITHUB_REF $GITHUB_HEAD_REF $GITHUB_API_URL"; cat "$GITHUB_EVENT_PATH""#;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{lines}{script}"));
    let said = shell.current_dir("/").output().unwrap();
    assert_succeeded(&said);
    let said = String::from_utf8(said.stdout).unwrap();
    let (first, payload) = said.split_once('\n').unwrap();
    let api = server
        .variables
        .iter()
        .find(|(name, _)| name == "GITHUB_API_URL");
    let api = &api.unwrap().1;
    assert_eq!(first, format!("pull_request refs/pull/1/merge it's {api}"));
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    assert_eq!(payload["pull_request"]["draft"], true);
    let unknown = play(&["issues.opened"]);
    let error = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot play issues.opened"), "{error}");
}
