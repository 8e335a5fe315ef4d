//! A folder with an environment whose secrets are canaries, and the search through everything that
//! a run leaves behind: output, files, requests, and arguments of processes.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::canaries::Canaries;

/// Secrets from every source, a file made of one, a release command, and the AWS sections.
const MANIFEST: &str = r#"
project = "vault"
dotenv = "../sources/all.env"
[fly]
org = "acme"
[aws]
account = "123456789012"
region = "eu-central-1"
[buckets.backups]
[identities.backup]
app = "web"
buckets.backups = {}
[apps.web]
primary_region = "fra"
image = "registry.fly.io/vault:v1"
deploy.release_command = "migrate"
machines.app.count = { fra = 1 }
[apps.web.secrets]
FROM_ENV = { env = "VAULT_ENV" }
FROM_FILE = { file = "../sources/key.pem" }
FROM_DOTENV = { dotenv = "../sources/own.env", key = "OWN" }
FROM_FALLBACK = { env = "VAULT_FALLBACK" }
[[apps.web.files]]
guest_path = "/etc/key"
secret_name = "FROM_FILE"
[github]
branches = ["main"]
[github.workflows]
install.cargo = "1.2.3"
"#;
/// The manifest without AWS, so that the ordinals of writes count Fly's alone, and with half of the
/// secrets, whose fingerprints take most of a run's time.
fn manifest_without_aws() -> String {
    let (from, to) = (
        MANIFEST.find("[aws]").unwrap(),
        MANIFEST.find("[apps.web]").unwrap(),
    );
    let text = format!("{}{}", &MANIFEST[..from], &MANIFEST[to..]);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("FROM_DOTENV") && !line.starts_with("FROM_FALLBACK"));
    lines.fold(String::new(), |text, line| format!("{text}{line}\n"))
}

/// The files that hold the secret values; they are not searched.
const SOURCES_DIR: &str = "sources";
/// The state folder of the embedded sandbox.
pub(super) const STATE_DIR: &str = "state";
const RECORD_FILE: &str = "record.jsonl";

pub(super) struct LeakTest<'m> {
    pub(super) dir: tempfile::TempDir,
    pub(super) canaries: &'m Canaries,
    /// Added to the environment of every run; an empty value removes a variable.
    pub(super) variables: BTreeMap<String, String>,
    /// Whether the state may hold canaries only in its secrets.
    pub(super) state_is_searched: bool,
    /// The files that were searched, with the content at that time.
    searched: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) runs: usize,
    pub(super) leaks: Vec<String>,
}

#[derive(Default)]
pub(super) struct RunOutput {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl<'m> LeakTest<'m> {
    pub(super) fn new(canaries: &'m Canaries) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in [SOURCES_DIR, "environments", "home", "tmp", "bin"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let stage = Self {
            dir,
            canaries,
            variables: BTreeMap::new(),
            state_is_searched: true,
            searched: BTreeMap::new(),
            runs: 0,
            leaks: Vec::new(),
        };
        stage.write_file("environments/vault.toml", MANIFEST);
        stage.write_file("environments/plain.toml", &manifest_without_aws());
        stage.write_file(
            "sources/key.pem",
            &format!("{}\n", canaries.value("key.pem")),
        );
        stage.write_file(
            "sources/own.env",
            &format!("OWN='{}'\n", canaries.value("own.env")),
        );
        stage.write_file(
            "sources/all.env",
            &format!("VAULT_FALLBACK={}\n", canaries.value("all.env")),
        );
        // A `git` that records its arguments and its environment, and prints a commit.
        stage.write_file(
            "bin/git",
            "#!/bin/sh\n{ echo git \"$@\"; env; } >> \"$HOME/called\"\necho 0a1b2c\necho message\n",
        );
        fs::set_permissions(stage.path("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
        stage
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(super) fn write_file(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    pub(super) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        let given = [
            "FLY_API_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "VAULT_ENV",
            "VAULT_MISPLACED",
        ];
        let given = given.into_iter().chain(["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]);
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(given.map(|name| (name, self.canaries.value(name))))
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("bin").display()),
            )
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("GITHUB_STEP_SUMMARY", self.path("home/summary"))
            .env("GITHUB_OUTPUT", self.path("home/output"))
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LOG", "trace")
            .env("TRIMTAB_SANDBOX_SPEED", "200")
            .env("TRIMTAB_SANDBOX_RECORD", self.path(RECORD_FILE))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.variables {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        command
    }

    /// Runs the program and searches everything that it leaves behind.
    pub(super) fn run(&mut self, args: &[&str]) -> RunOutput {
        self.run_until(args, |_, _| {})
    }

    /// The same; `heard` is called with the process id and the output so far whenever there is new
    /// output.
    pub(super) fn run_until(
        &mut self,
        args: &[&str],
        mut on_output: impl FnMut(u32, &str),
    ) -> RunOutput {
        let mut child = self.command(args).spawn().unwrap();
        let id = child.id();
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (mut output, mut called) = (RunOutput::default(), String::new());
        std::thread::scope(|scope| {
            let talk = scope.spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).unwrap();
                String::from_utf8_lossy(&text).into_owned()
            });
            let (mut stdout_bytes, mut part) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stdout.read(&mut part) {
                stdout_bytes.extend_from_slice(&part[..count]);
                collect_arguments(id, &mut called);
                on_output(id, &String::from_utf8_lossy(&stdout_bytes));
            }
            output.stdout = String::from_utf8_lossy(&stdout_bytes).into_owned();
            output.stderr = talk.join().unwrap();
        });
        output.code = child.wait().unwrap().code();
        self.runs += 1;
        let what = args.join(" ");
        let stdout_bytes = [
            ("its output", &output.stdout),
            ("what it said", &output.stderr),
            ("its arguments", &called),
        ];
        for (location, text) in stdout_bytes {
            self.search_text(&what, location, text);
        }
        self.search_files(&what);
        if output.code == Some(101) || output.stderr.contains("panicked at") {
            self.leaks
                .push(format!("`{what}` panicked:\n{}", output.stderr));
        }
        output
    }

    fn search_text(&mut self, run: &str, location: &str, text: &str) {
        if let Some(found) = self.canaries.find_in(text) {
            let mut text = text.to_owned();
            text.truncate(text.floor_char_boundary(3000));
            self.leaks
                .push(format!("`{run}`: {found} is in {location}:\n{text}"));
        }
    }

    fn search_files(&mut self, run: &str) {
        let mut files = Vec::new();
        collect_files(self.dir.path(), &mut files);
        for file in files {
            let name = file.strip_prefix(self.dir.path()).unwrap().to_owned();
            if name.starts_with(SOURCES_DIR)
                || name.starts_with("environments")
                || (name.starts_with(STATE_DIR) && !self.state_is_searched)
            {
                continue;
            }
            // The sandbox may have removed the file in between.
            let Ok(bytes) = fs::read(&file) else { continue };
            if self.searched.get(&file) == Some(&bytes) {
                continue;
            }
            let text = self.without_allowed_secrets(run, &name, &String::from_utf8_lossy(&bytes));
            self.search_text(run, &name.display().to_string(), &text);
            self.searched.insert(file, bytes);
        }
        // Each run's exchanges are searched once.
        drop(fs::remove_file(self.path(RECORD_FILE)));
    }

    /// The text of a file without the values that belong there: the sandbox's secrets in
    /// `apps/NAME.json`, and the bodies of requests that set secrets in the record. Both must be
    /// private.
    fn without_allowed_secrets(&mut self, run: &str, name: &Path, text: &str) -> String {
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        if name.starts_with(format!("{STATE_DIR}/apps")) {
            assert_eq!(
                mode(&self.path(STATE_DIR)),
                0o700,
                "`{run}`: others can read the sandbox's state"
            );
            let mut app: Value = serde_json::from_str(text).unwrap();
            for secret in app["secrets"].as_object_mut().unwrap().values_mut() {
                secret["value"] = Value::Null;
            }
            return app.to_string();
        }
        if name == Path::new(RECORD_FILE) {
            assert_eq!(
                mode(&self.path(RECORD_FILE)),
                0o600,
                "`{run}`: others can read the record"
            );
            let line = |line: &str| {
                let mut exchange: Value = serde_json::from_str(line).unwrap();
                let path = exchange["path"].as_str().unwrap();
                if exchange["method"] == "POST"
                    && path.starts_with("/v1/apps/")
                    && path.ends_with("/secrets")
                {
                    exchange["body"] = Value::Null;
                }
                format!("{exchange}\n")
            };
            return text.lines().map(line).collect();
        }
        text.to_owned()
    }
}

fn collect_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// Collects the command lines of a process and its children, where `/proc` has them.
fn collect_arguments(id: u32, out: &mut String) {
    let Ok(called) = fs::read_to_string(format!("/proc/{id}/cmdline")) else {
        return;
    };
    out.push_str(&called.replace('\0', " "));
    out.push('\n');
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    for thread in threads {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            collect_arguments(child, out);
        }
    }
}
