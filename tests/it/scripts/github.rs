//! The commands of a script that concern the simulated GitHub.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};
use trimtab_sandbox::{self as sandbox, SandboxOptions};

use super::ScriptSession;

/// The repository of all scripts.
const REPOSITORY: &str = "acme/shop";
/// The files of a job, in the folder of the session.
const EVENT: &str = "event.json";
const SUMMARY: &str = "summary.md";
const OUTPUTS: &str = "outputs.txt";

pub(super) fn run(session: &ScriptSession, command: &str, rest: &str) -> String {
    match command {
        "play" => play(session, rest),
        "github" => set_up(session, rest),
        "comments" => quote(&list(
            session,
            &format!("issues/{rest}/comments"),
            show_comment,
        )),
        "issues" => quote(&list(session, "issues?state=all", show_issue)),
        "summary" => quote(&take_file(session, SUMMARY)),
        "outputs" => quote(&take_file(session, OUTPUTS)),
        "leave" => {
            session.job.borrow_mut().clear();
            String::new()
        }
        other => panic!("`{other}` is no command of a script"),
    }
}

/// Text that may hold lines which a script would take for its own.
fn quote(text: &str) -> String {
    mask_durations(text)
        .lines()
        .map(|line| format!("| {line}").trim_end().to_owned() + "\n")
        .collect()
}

fn with_sandbox<T>(
    session: &ScriptSession,
    action: impl AsyncFnOnce(&sandbox::RunningSandbox) -> T,
) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut options = SandboxOptions::new(session.dir.path().join(".trimtab/sandbox"));
        options.speed = 200.0;
        let running = sandbox::start(options).await.unwrap();
        let result = action(&running).await;
        running.stop().await;
        result
    })
}

/// The command and its body, with the repository added.
fn parse(text: &str) -> (&str, Value) {
    let (command, body) = text.split_once(' ').unwrap_or((text, "{}"));
    let mut body: Value = serde_json::from_str(body).unwrap();
    if command != "repositories" {
        body["repository"] = REPOSITORY.into();
    }
    (command, body)
}

/// Makes an event happen. What follows runs in the job that it starts.
fn play(session: &ScriptSession, text: &str) -> String {
    let (event, mut body) = parse(text);
    body["event"] = event.into();
    let played = with_sandbox(session, async |running| {
        running.github().run("play", &body).unwrap()
    });
    session.write_file(EVENT, &played["payload"].to_string());
    let path = |file: &str| session.dir.path().join(file).display().to_string();
    for file in [SUMMARY, OUTPUTS] {
        session.write_file(file, "");
    }
    let mut job = session.job.borrow_mut();
    job.clear();
    let variables = played["variables"].as_object().unwrap();
    job.extend(
        variables
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))),
    );
    job.insert("GITHUB_EVENT_PATH".to_owned(), path(EVENT));
    job.insert("GITHUB_STEP_SUMMARY".to_owned(), path(SUMMARY));
    job.insert("GITHUB_OUTPUT".to_owned(), path(OUTPUTS));
    job.insert("GITHUB_WORKSPACE".to_owned(), path("."));
    String::new()
}

/// `LAST_COMMENT` stands for the id of the newest comment of pull request 1.
fn set_up(session: &ScriptSession, text: &str) -> String {
    let text = if text.contains("LAST_COMMENT") {
        let ids = list(session, "issues/1/comments", |comment| {
            comment["id"].to_string()
        });
        &text.replace("LAST_COMMENT", ids.lines().last().unwrap())
    } else {
        text
    };
    let (command, body) = parse(text);
    let result = with_sandbox(session, async |running| {
        running.github().run(command, &body)
    });
    result
        .err()
        .map_or_else(String::new, |error| format!("[{error}]\n"))
}

fn list(session: &ScriptSession, path: &str, show: fn(&Value) -> String) -> String {
    let listed: Value = with_sandbox(session, async |running| {
        let body = json!({ "kind": "classic", "repositories": [REPOSITORY] });
        let made = running.github().run("tokens", &body).unwrap();
        let url = format!("{}/repos/{REPOSITORY}/{path}", running.github_url());
        let request = reqwest::Client::new()
            .get(url)
            .header("user-agent", "script")
            .bearer_auth(made["token"].as_str().unwrap());
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    });
    let listed = listed.as_array().unwrap_or_else(|| panic!("{listed}"));
    let shown: Vec<String> = listed
        .iter()
        .filter(|one| one.get("pull_request").is_none())
        .map(show)
        .collect();
    mask_commits(&shown.join("\n"))
}

fn show_comment(comment: &Value) -> String {
    let text = |path: &str| {
        comment
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "comment {} by {}:\n{}\n",
        comment["id"],
        text("/user/login"),
        text("/body").trim_end()
    )
}

fn show_issue(issue: &Value) -> String {
    let text = |key: &str| issue[key].as_str().unwrap_or_default();
    let labels: Vec<&str> = issue["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|label| label["name"].as_str())
        .collect();
    format!(
        "#{} {} {} [{}] {}\n{}\n",
        issue["number"],
        text("state"),
        text("state_reason"),
        labels.join(", "),
        text("title"),
        text("body").trim_end()
    )
}

/// Shows a file of the job and empties it, as each step has its own.
fn take_file(session: &ScriptSession, file: &str) -> String {
    let path = session.dir.path().join(file);
    let text = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, "").unwrap();
    mask_commits(&text)
}

/// Masks how long an apply took.
fn mask_durations(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let is_time = |time: &str| time.starts_with(|c: char| c.is_ascii_digit());
        match line.trim_end().rsplit_once(" in ") {
            Some((before, time)) if line.starts_with("### apply") && is_time(time) => {
                writeln!(out, "{before} in TIME").unwrap();
            }
            _ => out.push_str(line),
        }
    }
    out
}

/// Masks ids of commits and runs.
fn mask_commits(text: &str) -> String {
    const SHA: usize = 40;
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let id = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if id.len() == SHA && id.bytes().all(|c| c.is_ascii_hexdigit()) {
            write!(out, "SHA{}", &word[SHA..]).unwrap();
        } else {
            out.push_str(word);
        }
    }
    out
}
