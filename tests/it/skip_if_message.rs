//! `apply --skip-if-message`: a pipeline that deploys every push skips some of them by their commit
//! message. There are no manifests here: if a run is not skipped, it fails because they are
//! missing.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

const PATTERNS: [&str; 2] = [
    "--skip-if-message=[skip deploy]",
    "--skip-if-message=Create persona:*",
];

/// Runs an apply in an empty folder; returns the exit code, stdout and stderr.
fn run_apply(dir: &Path, variables: &[(&str, &str)], more: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trimtab"))
        .args(["apply", "production"])
        .args(PATTERNS)
        .args(more)
        .current_dir(dir)
        .env_clear()
        .env("PATH", dir)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn matching_message_skips_apply() {
    let dir = tempfile::tempdir().unwrap();
    let event = dir.path().join("event.json");
    let message = "create persona: Anna\n\n::error::no";
    let push =
        serde_json::json!({ "head_commit": { "id": "0a1b2c3d4e5f6a7b8c9d", "message": message } });
    std::fs::write(&event, push.to_string()).unwrap();
    let variables = [("GITHUB_EVENT_PATH", event.to_str().unwrap())];
    let skipped = "Skipped: the message of commit 0a1b2c3d4e5f matches `Create persona:*`; nothing was looked at or changed.\n";
    assert_eq!(
        run_apply(dir.path(), &variables, &[]),
        (0, skipped.to_owned(), String::new())
    );

    let (code, line, _) = run_apply(dir.path(), &variables, &["--format=json"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, line["type"].as_str()), (0, Some("skipped")));
    assert_eq!(line["@message"], skipped.trim_end());
}

#[test]
fn other_message_continues() {
    let dir = tempfile::tempdir().unwrap();
    let push = |message: &str| {
        let event = serde_json::json!({ "head_commit": { "id": "0a1b", "message": message } });
        std::fs::write(dir.path().join("event.json"), event.to_string()).unwrap();
        run_apply(dir.path(), &[("GITHUB_EVENT_PATH", "event.json")], &[])
    };
    let (code, out, error) = push("Fix how `Create persona:` is written");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("there is no folder environments"), "{error}");
    let (code, out, _) = push("Fix a typo\n\n[Skip Deploy]");
    assert_eq!(code, 0);
    assert!(out.contains("commit 0a1b matches `[skip deploy]`"), "{out}");
}

/// The code that came with it has to be deployed, and so has what somebody asks for by hand.
#[test]
fn push_with_other_commits_and_a_manual_run_continue() {
    let dir = tempfile::tempdir().unwrap();
    let commits = serde_json::json!([
        { "id": "0a1b", "message": "Fix the form" },
        { "id": "0a1c", "message": "Create persona: Anna" },
    ]);
    let event = serde_json::json!({ "commits": commits, "head_commit": commits[1] });
    std::fs::write(dir.path().join("event.json"), event.to_string()).unwrap();
    let variables = [("GITHUB_EVENT_PATH", "event.json")];
    let (code, out, error) = run_apply(dir.path(), &variables, &[]);
    assert_eq!(code, 1);
    assert_eq!(
        out,
        "Not skipped: the message of commit 0a1b in the same push matches no pattern.\n"
    );
    assert!(error.contains("there is no folder environments"), "{error}");

    let variables = [("GITHUB_EVENT_NAME", "workflow_dispatch")];
    let (code, out, error) = run_apply(dir.path(), &variables, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("there is no folder environments"), "{error}");
}

#[test]
fn unknown_message_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, error) = run_apply(dir.path(), &[], &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        error.contains("cannot tell the commit's message: git cannot be run"),
        "{error}"
    );
    let (code, _, error) = run_apply(dir.path(), &[("GITHUB_EVENT_PATH", "gone.json")], &[]);
    assert_eq!(code, 1);
    assert!(
        error.contains("cannot read GITHUB_EVENT_PATH, which is gone.json"),
        "{error}"
    );
}

#[test]
fn pattern_matching_everything_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = run_apply(dir.path(), &[], &["--skip-if-message=*"]);
    assert_eq!(code, 1);
    assert!(error.contains("it would skip every commit"), "{error}");
}

/// The configuration of a repository can name programs for git to run. It comes from a branch that nobody may have reviewed,
/// and this process has every secret in its environment.
#[test]
fn git_gets_no_secrets_and_runs_no_program_of_the_repository() {
    let dir = tempfile::tempdir().unwrap();
    let git = dir.path().join("git");
    let recorder = dir.path().join("seen");
    let script = format!(
        "#!/bin/sh\n{{ export -p; echo \"$@\"; }} > {}\nexit 1\n",
        recorder.display()
    );
    std::fs::write(&git, script).unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    let variables = [("FLY_API_TOKEN", "fo1_secret"), ("HOME", "/home/ci")];
    let (code, _, error) = run_apply(dir.path(), &variables, &[]);
    assert_eq!(code, 1, "{error}");
    let seen = std::fs::read_to_string(recorder).unwrap();
    assert!(!seen.contains("FLY_API_TOKEN"), "{seen}");
    assert!(seen.contains("/home/ci"), "{seen}");
    for setting in [
        "core.fsmonitor=false",
        "protocol.allow=never",
        "log.showSignature=false",
    ] {
        assert!(seen.contains(setting), "{seen}");
    }
    assert!(seen.contains("GIT_CONFIG_NOSYSTEM"), "{seen}");
}
