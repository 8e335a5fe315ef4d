//! A checkout with a manifest, a sandbox, and builders that record what they get.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;
use tokio::task::spawn_blocking;

use crate::support::{TestEnv, default_inputs};

/// The digest that a builder pushes.
pub(crate) const DIGEST: &str =
    "sha256:feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface";

/// Both builders. It records its arguments, environment and configuration, says something, and pushes what it is told to.
const BUILDER: &str = r#"#!/usr/bin/env bash
name=${0##*/}
{
  echo "call $name"
  printf 'arg %s\n' "$@"
  env | grep -E '^(FLY_A|TRIMTAB_BUILD_SECRET|DOCKER_BUILDKIT|NPM_TOKEN|GITHUB_TOKEN)' | grep -v BASE_URL | sort | sed 's/^/env /'
} >> "$FAKE_LOG"
echo "fake output of $name" >&2
if [ -n "$FAKE_SAYS" ]; then printf '%s\n' "$FAKE_SAYS"; fi
if [ -n "$FAKE_TELLS" ]; then printf 'npm uses %s\n' "$TRIMTAB_BUILD_SECRET_0"; fi
app='' label='' tag='' metadata=''
words=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --app) app=$2 ;;
    --image-label) label=$2 ;;
    --tag) tag=$2 ;;
    --metadata-file) metadata=$2 ;;
    --config) sed 's/^/config /' "$2" >> "$FAKE_LOG" ;;
  esac
  shift
done
case $FAKE_MODE in
  fail) exit 7 ;;
  silent) exit 0 ;;
  hang)
    trap 'echo interrupted >> "$FAKE_LOG"; exit 130' INT
    sleep 1000 &
    echo ready
    wait ;;
esac
if [ "$name" = flyctl ]; then tag=registry.fly.io/$app:$label; fi
if [ "${words[0]}" = push ]; then tag=${words[1]}; fi
if [ "$FAKE_MODE" = metadata ]; then echo "{\"containerimage.digest\": \"$FAKE_DIGEST\"}" > "$metadata"; fi
body="{\"reference\":\"$tag\",\"digest\":\"$FAKE_DIGEST\"}"
exec 3<>"/dev/tcp/127.0.0.1/$FAKE_PORT"
printf 'POST /_sandbox/images HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
  "$FAKE_PORT" "${#body}" "$body" >&3
cat <&3 > /dev/null
"#;

/// A call of a builder.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) config: String,
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) struct Workshop {
    pub(crate) env: TestEnv,
    pub(crate) token: String,
    outside: tempfile::TempDir,
}

impl Workshop {
    pub(crate) async fn new(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        fs::write(dir.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let env = TestEnv::with_manifests(dir, "test", default_inputs(), Vec::new()).await;
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("bin")).unwrap();
        for name in ["flyctl", "docker"] {
            let file = outside.path().join("bin").join(name);
            fs::write(&file, BUILDER).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let token = env.sandbox.org_token("acme").unwrap();
        let workshop = Self {
            env,
            token,
            outside,
        };
        workshop.git(&["init", "--quiet", "--initial-branch=main"]);
        workshop.commit_all();
        for app in ["harbor-web", "harbor-worker", "harbor-jobs"] {
            let body = json!({ "app_name": app, "org_slug": "acme" });
            workshop
                .env
                .send_manual_request("POST", "/v1/apps", body)
                .await;
        }
        workshop
    }

    /// The folder of the checkout, as the program sees it.
    pub(crate) fn checkout(&self) -> PathBuf {
        fs::canonicalize(self.env.dir.path()).unwrap()
    }

    /// A folder outside of the checkout.
    pub(crate) fn outside(&self) -> &Path {
        self.outside.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.checkout().join(name), text).unwrap();
    }

    pub(crate) fn commit_all(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "a change"]);
    }

    pub(crate) fn commit(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=n", "-c", "user.email=e@localhost"];
        let output = Command::new("git")
            .args(identity)
            .args(args)
            .current_dir(self.checkout())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The program with these words, in a checkout and with builders on its path.
    pub(crate) fn command(&self, words: &[&str], variables: &[(&str, &str)]) -> Command {
        let url = self.env.sandbox.url();
        let port = url.rsplit(':').next().unwrap().to_owned();
        let path = format!(
            "{}/bin:/usr/local/bin:/usr/bin:/bin",
            self.outside().display()
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        command
            .args(words)
            .arg("--environments")
            .arg(self.checkout())
            .current_dir(self.outside())
            .env_clear()
            .env("HOME", self.outside())
            .env("PATH", path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("FLY_API_TOKEN", &self.token)
            .env("FLY_ACCESS_TOKEN", "fo1_of_another_organization")
            .env("TRIMTAB_SANDBOX_SPEED", self.env.speed.to_string())
            .env("FAKE_LOG", self.outside().join("log"))
            .env("FAKE_PORT", port)
            .env("FAKE_DIGEST", DIGEST)
            .envs(BASE_URLS.map(|name| (name, url.clone())))
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    pub(crate) async fn run_words(&self, words: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(words, variables);
        let output = spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub(crate) async fn run(&self, line: &str, variables: &[(&str, &str)]) -> Ran {
        let words: Vec<&str> = line.split(' ').collect();
        self.run_words(&words, variables).await
    }

    /// The image that the build of an app makes, which the registry does not have from now on.
    pub(crate) async fn unbuilt_image(&self, app: &str) -> String {
        self.unbuilt_image_with(app, &[]).await
    }

    pub(crate) async fn unbuilt_image_with(&self, app: &str, variables: &[(&str, &str)]) -> String {
        let run = self.run(&format!("build test {app}"), variables).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
        let image = run.stdout.trim().split_once('=').unwrap().1;
        let image = image.split_once('@').unwrap().0.to_owned();
        let missing = json!({ "reference": image, "missing": true });
        self.env
            .send_manual_request("POST", "/_sandbox/images", missing)
            .await;
        image
    }

    /// What the builders have recorded.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        for line in self.log().lines() {
            let (kind, text) = line.split_once(' ').unwrap_or((line, ""));
            match (kind, calls.last_mut()) {
                ("call", _) => calls.push(Call::default()),
                ("arg", Some(call)) => call.args.push(text.to_owned()),
                ("env", Some(call)) => call.env.push(text.to_owned()),
                ("config", Some(call)) => call.config += &format!("{text}\n"),
                _ => {}
            }
        }
        calls
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.outside().join("log")).unwrap_or_default()
    }
}

/// The variables that lead to the sandbox.
const BASE_URLS: [&str; 5] = [
    "FLY_FLAPS_BASE_URL",
    "FLY_API_BASE_URL",
    "FLY_UIEX_BASE_URL",
    "TRIMTAB_REGISTRY_BASE_URL",
    "TRIMTAB_PUBLIC_BASE_URL",
];
