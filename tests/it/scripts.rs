//! Scripted sessions: each `tests/scripts/*.txt` has commands and their output. The commands run with the
//! real program against the sandbox in a temporary folder, and the output is compared with the file.
//! `SNAPSHOTS=overwrite` rewrites it.
//!
//! ```text
//! # A comment.
//! $ trimtab plan staging --sandbox       Runs the program. Shows stdout, then stderr with `! ` before each
//!                                        line, then `[exit N]` unless N is 0.
//! $ trimtab apply … > /dev/null 4        Shows nothing if the exit code is 4 (0 if no number is given).
//! $ trimtab apply … > stderr             Shows only stderr and the exit code.
//! $ NAME=VALUE trimtab …                 Sets variables for one command.
//! $ edit environments/staging.toml OLD => NEW
//! $ write environments/shop.toml         Writes a file with the following lines that begin with `> `.
//! > project = "shop"
//! $ api PATCH /v1/apps/x/…  {"json": 1}  Sends a manual request to the sandbox.
//! $ api POST /v1/apps/x/machines/{web/app/iad/0}/stop    With the id of the machine with this name.
//! $ play pull_request.opened {"branch": "topic"}    An event on the simulated GitHub; later commands run in its job.
//! $ github comments/delete {"id": 1}     What people do on the simulated GitHub.
//! $ comments 1                           Shows the comments of a pull request; `issues`, `summary` and `outputs` likewise.
//! $ leave job                            Later commands run in no job.
//! $ number ids                           From here on, machine ids are shown as numbers and plan ids are
//!                                        masked: ids of machines that are created late depend on the
//!                                        number of requests before.
//! ```

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use trimtab_sandbox::{self as sandbox, SandboxOptions};

use crate::support::{RECORD_VARIABLE, copy_files, record_path};

mod github;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The folder of one session.
pub(crate) struct ScriptSession {
    dir: tempfile::TempDir,
    /// The variables of the job on the simulated GitHub.
    job: RefCell<BTreeMap<String, String>>,
}

impl ScriptSession {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_files(
            &Path::new(ROOT).join("environments"),
            &dir.path().join("environments"),
        );
        Self {
            dir,
            job: RefCell::default(),
        }
    }

    pub(crate) fn run(&self, line: &str) -> String {
        let (variables, line) = line.split_at(line.find("trimtab ").unwrap_or(0));
        let variables = variables
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        let variables: Vec<(&str, &str)> = variables.collect();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "trimtab" if rest.ends_with(" > stderr") => {
                let out = self.run_trimtab(&variables, rest.trim_end_matches(" > stderr"));
                let is_shown = |line: &&str| line.starts_with(['!', '[']);
                let shown = out.split_inclusive('\n').filter(is_shown);
                shown.collect()
            }
            "trimtab" => match rest.split_once(" > /dev/null") {
                None => {
                    let out = self.run_trimtab(&variables, rest);
                    // Steps that run in parallel finish in any order.
                    let steps = out
                        .lines()
                        .filter(|line| line.ends_with(" in TIME"))
                        .count();
                    assert!(
                        steps < 2 || rest.contains("--parallel 1"),
                        "`{rest}` needs --parallel 1:\n{out}"
                    );
                    out
                }
                Some((rest, code)) => {
                    let out = self.run_trimtab(&variables, rest);
                    let expected = match code.trim() {
                        "" => !out.contains("[exit "),
                        code => out.ends_with(&format!("[exit {code}]\n")),
                    };
                    if expected { String::new() } else { out }
                }
            },
            "edit" => self.edit_file(rest),
            "push" => {
                let commit = serde_json::json!({ "id": "0a1b2c3d", "message": rest });
                let event = serde_json::json!({ "head_commit": commit });
                self.write_file("event.json", &event.to_string());
                String::new()
            }
            "api" => self.send_api_request(&self.substitute_ids(rest)),
            "play" | "github" | "comments" | "issues" | "summary" | "outputs" | "leave" => {
                github::run(self, command, rest)
            }
            other => panic!("`{other}` is no command of a script"),
        }
    }

    /// Runs the program with nothing of this machine's environment.
    fn run_trimtab(&self, variables: &[(&str, &str)], args: &str) -> String {
        let args = split_args(args);
        let output = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .args(&args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("COLUMNS", "100")
            .env("TRIMTAB_SANDBOX_SPEED", "200")
            .envs(record_path().map(|file| (RECORD_VARIABLE, file)))
            .envs(self.job.borrow().iter())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for line in String::from_utf8(output.stderr).unwrap().lines() {
            writeln!(text, "! {line}").unwrap();
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => writeln!(text, "[exit {code}]").unwrap(),
            None => writeln!(text, "[killed]").unwrap(),
        }
        normalize_output(&text)
    }

    fn write_file(&self, file: &str, text: &str) {
        fs::write(self.dir.path().join(file), text).unwrap();
    }

    /// Replaces `{web/app/iad/0}` by the id of the machine with this name.
    fn substitute_ids(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for part in text.split('{').skip(1) {
            if let Some(name) = part
                .split('}')
                .next()
                .filter(|name| name.contains('/') && !name.contains('"'))
            {
                out = out.replace(&format!("{{{name}}}"), &self.machine_id(name));
            }
        }
        out
    }

    fn machine_id(&self, name: &str) -> String {
        let apps = fs::read_dir(self.dir.path().join(".trimtab/sandbox/apps")).unwrap();
        let ids = apps.flat_map(|app| {
            let app: Value =
                serde_json::from_slice(&fs::read(app.unwrap().path()).unwrap()).unwrap();
            let machines = app["machines"].as_object().unwrap().values();
            let named = machines.filter(|machine| {
                machine["config"]["metadata"]["trimtab_name"] == name
                    && machine["state"] != "destroyed"
            });
            named
                .map(|machine| machine["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        });
        ids.last()
            .unwrap_or_else(|| panic!("no machine is called {name}"))
    }

    fn edit_file(&self, args: &str) -> String {
        let (file, change) = args.split_once(' ').unwrap();
        let (old, new) = change.split_once(" => ").unwrap();
        let path = self.dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let (old, new) = (old.replace("\\n", "\n"), new.replace("\\n", "\n"));
        assert!(text.contains(&old), "{file} has no `{old}`");
        fs::write(path, text.replacen(&old, &new, 1)).unwrap();
        String::new()
    }

    /// Sends a manual request. Only a failure is shown.
    fn send_api_request(&self, args: &str) -> String {
        let mut parts = args.splitn(3, ' ');
        let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
        let body: Value = parts
            .next()
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let status = runtime.block_on(async {
            let mut options = SandboxOptions::new(self.dir.path().join(".trimtab/sandbox"));
            options.speed = 200.0;
            options.record = record_path();
            let running = sandbox::start(options).await.unwrap();
            let request = reqwest::Client::new()
                .request(method.parse().unwrap(), format!("{}{path}", running.url()))
                .bearer_auth(running.user_token().unwrap());
            let request = if body.is_null() {
                request
            } else {
                request.json(&body)
            };
            let status = request.send().await.unwrap().status();
            running.stop().await;
            status
        });
        if status.is_success() {
            String::new()
        } else {
            format!("[{}]\n", status.as_u16())
        }
    }
}

/// Masks what differs from run to run, such as times and the number of requests.
fn normalize_output(text: &str) -> String {
    // Leases last two seconds here instead of a minute, so a busy machine may refresh one late; it
    // is retried.
    const LATE: &str = "WARN refreshing the lease hangs";
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.contains(LATE)) {
        let line = match line.find("live read:") {
            // With colors, the text begins with an escape that must be closed.
            Some(at) if line.contains('\u{1b}') => &format!("{}\u{1b}[0m", line[..at].trim_end()),
            Some(at) => line[..at].trim_end(),
            None => line.trim_end(),
        };
        let line = &mask_restart_counts(&mask_times(line));
        match line.rsplit_once(" in ") {
            Some((done, time))
                if line.ends_with(" s") && time.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                write!(out, "{done} in TIME").unwrap();
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Masks dates, times and request ids.
fn mask_times(line: &str) -> String {
    if let Some((before, _)) = line.split_once("request id: ") {
        return format!("{before}request id: ID");
    }
    // Requests that are sent at once are numbered in any order.
    if let Some((before, rest)) = line.split_once("(request ")
        && let Some((_, after)) = rest.split_once(')')
    {
        return format!("{before}(request ID){after}");
    }
    ["0000-00-00 00:00 UTC", "0000-00-00T00:00:00Z"]
        .iter()
        .fold(line.to_owned(), |line, form| {
            let fits = |part: &[u8]| {
                let like = |(c, form): (&u8, u8)| {
                    if form == b'0' {
                        c.is_ascii_digit()
                    } else {
                        *c == form
                    }
                };
                part.iter().zip(form.bytes()).all(like)
            };
            match line.as_bytes().windows(form.len()).position(fits) {
                Some(at) => format!("{}TIME{}", &line[..at], &line[at + form.len()..]),
                None => line,
            }
        })
}

/// Masks how often a program in a crash loop was restarted.
fn mask_restart_counts(line: &str) -> String {
    let Some((before, rest)) = line.split_once("it was restarted ") else {
        return line.to_owned();
    };
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    match after.strip_prefix(" times").filter(|_| after != rest) {
        Some(after) => format!("{before}it was restarted N times{after}"),
        None => line.to_owned(),
    }
}

/// Replaces the ids of machines by numbers in the order of their appearance, and masks plan ids.
fn number_ids(text: &str, numbers: &mut Vec<String>) -> String {
    const ID: usize = 14;
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with("Plan id: ") {
            out.push_str("Plan id: ID\n");
            continue;
        }
        for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let id = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if id.len() != ID || !id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
                out.push_str(word);
                continue;
            }
            let at = numbers
                .iter()
                .position(|known| known == id)
                .unwrap_or_else(|| {
                    numbers.push(id.to_owned());
                    numbers.len() - 1
                });
            write!(out, "{:0>ID$}{}", at + 1, &word[ID..]).unwrap();
        }
    }
    out
}

/// Splits a command line at spaces, except within single quotes.
fn split_args(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, part) in text.split('\'').enumerate() {
        if at % 2 == 1 {
            out.push(part.to_owned());
        } else {
            out.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    out
}

/// Runs a script and returns it with its actual output.
fn run_script(script: &str) -> String {
    let session = ScriptSession::new();
    let mut out = String::new();
    let mut lines = script.lines().peekable();
    let mut in_comment = false;
    let mut numbers: Option<Vec<String>> = None;
    while let Some(line) = lines.next() {
        let continues = std::mem::replace(&mut in_comment, line.starts_with("# "));
        if let Some(file) = line.strip_prefix("$ write ") {
            writeln!(out, "{line}").unwrap();
            let mut text = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('>')) {
                writeln!(out, "{line}").unwrap();
                writeln!(text, "{}", line[1..].trim_start_matches(' ')).unwrap();
            }
            session.write_file(file, &text);
        } else if line == "$ number ids" {
            writeln!(out, "{line}").unwrap();
            numbers = Some(Vec::new());
        } else if let Some(command) = line.strip_prefix("$ ") {
            writeln!(out, "{line}").unwrap();
            let told = session.run(command);
            match &mut numbers {
                Some(numbers) => out.push_str(&number_ids(&told, numbers)),
                None => out.push_str(&told),
            }
        } else if line.starts_with("# ") {
            let gap = if continues { "" } else { "\n" };
            writeln!(out, "{gap}{line}").unwrap();
        }
    }
    out.trim_start().to_owned()
}

fn script_paths() -> Vec<PathBuf> {
    let dir = Path::new(ROOT).join("tests/scripts");
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    paths
}

#[test]
fn recorded_scripts_are_up_to_date() {
    let paths = script_paths();
    assert!(!paths.is_empty());
    // A few at a time: their machines take real time, and more of them than cores would only wait
    // for each other.
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(&PathBuf, String)> {
        let take = || paths.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take)
            .map(|path| (path, run_script(&fs::read_to_string(path).unwrap())))
            .collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        for (path, played) in workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
        {
            snapbox::Assert::new()
                .action_env("SNAPSHOTS")
                .eq(played, snapbox::Data::read_from(path, None).raw());
        }
    });
}
