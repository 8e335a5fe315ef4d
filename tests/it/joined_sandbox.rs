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
