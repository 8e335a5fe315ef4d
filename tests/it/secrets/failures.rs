//! Everything that goes wrong, at one log level: manifests with a secret in the wrong place, secrets that are missing,
//! refusals, faults at the very request that carries the secrets, servers that repeat what they were sent, programs that
//! print their environment, and signals.

use serde_json::json;
use trimtab_sandbox::{self as sandbox, Options};

use super::{
    Level,
    echo::{Style, serve},
    marks::Marks,
    signal,
    stage::{STATE, Stage},
};

/// Ways to write a secret's value where it does not belong, `{}`.
const MISTAKES: [&str; 16] = [
    "[apps.web.secrets]\nOTHER = \"{}\"",
    "[apps.web.secrets]\nOTHER = { value = \"{}\" }",
    "[apps.web.secrets]\nOTHER = { env = \"{}\" }",
    "[apps.web.secrets]\nOTHER = [\"{}\"]",
    "[apps.web.secrets]\nOTHER = { env = [\"{}\"] }",
    "[apps.web.secrets]\nOTHER = {}",
    "[apps.web.secrets]\nOTHER = \"{}",
    "[apps.web.secrets]\nOTHER = { env = {} }",
    "[apps.web.secrets]\nOTHER = { value = \"{}\"",
    "[apps.web.secrets]\nOTHER = \"\"\"\n{}",
    "[apps.web]\nsecrets = \"{}\"",
    "[apps.web]\nsecrets = [\"{}\"]",
    "[apps.web]\nsecrets.OTHER = \"{}\"",
    "[apps.web]\nsecrets = { OTHER = \"{}\" }",
    "[fly]\ntoken = \"FlyV1 fm2_{}\"",
    "[fly]\ntoken = { env = \"fm2-{}\" }",
];
/// A secret as somebody would paste it. It may be no key of TOML's, and needs no escape in a text.
const PASTED: &str = "own.env";

/// What happens to the request that sets the secrets; `N` is its number among those that write.
const FAULTS: [&str; 7] = [
    "status:wN:500",
    "status:wN:408",
    "status:wN:400",
    "drop-after:wN",
    "truncate:wN",
    "429:wN:2",
    "expired:wN",
];

/// Who repeats what: the place (nothing is everywhere), how, and which variables lead there.
const ECHOES: [(Option<&str>, Style, &[&str]); 11] = [
    (None, Style::Json(401), &FLY),
    (None, Style::Text(403), &FLY),
    (Some("/secrets"), Style::Json(422), &FLY),
    (Some("/secrets"), Style::Text(400), &FLY),
    (Some("/secrets"), Style::Malformed, &FLY),
    (None, Style::Malformed, &FLY),
    (None, Style::Text(400), &["TRIMTAB_REGISTRY_BASE_URL"]),
    (
        None,
        Style::Xml("SignatureDoesNotMatch"),
        &["AWS_ENDPOINT_URL"],
    ),
    (None, Style::Xml("AccessDenied"), &["AWS_ENDPOINT_URL"]),
    (None, Style::Malformed, &["AWS_ENDPOINT_URL"]),
    (
        None,
        Style::Identity,
        &["AWS_ENDPOINT_URL", "ACTIONS_ID_TOKEN_REQUEST_URL"],
    ),
];
const FLY: [&str; 3] = [
    "FLY_FLAPS_BASE_URL",
    "FLY_API_BASE_URL",
    "FLY_UIEX_BASE_URL",
];

pub(super) fn play<'m>(marks: &'m Marks, nth: usize, level: &Level) -> Stage<'m> {
    let mut stage = Stage::new(marks);
    level.of(&mut stage);
    mistakes(&mut stage, nth, level);
    missing(&mut stage, level);
    let write = refusals_and_the_number_of_the_write(&mut stage, level);
    faults(&mut stage, level, write);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(printed(&stage));
    a_program_that_prints_its_secrets(&mut stage, level);
    signals(&mut stage, level, write);
    in_the_open_before(&mut stage, nth, level);
    echoes(&mut stage, level, &runtime);
    stage
}

fn args<'a>(line: &'a str, level: &'a Level) -> Vec<&'a str> {
    line.split_whitespace()
        .chain(level.args.iter().copied())
        .collect()
}

fn anew(stage: &Stage) {
    drop(std::fs::remove_dir_all(stage.path(STATE)));
}

fn mistakes(stage: &mut Stage, nth: usize, level: &Level) {
    for (at, mistake) in MISTAKES.iter().enumerate() {
        let wrong = mistake.replace("{}", stage.marks.value(PASTED));
        stage.write(
            "environments/wrong.toml",
            &format!("project = \"vault\"\nextends = \"plain.toml\"\n{wrong}\n"),
        );
        // Both read manifests, and one of them reads secrets.
        let line = if (at + nth).is_multiple_of(2) {
            "validate wrong"
        } else {
            "plan wrong --sandbox=state"
        };
        let ran = stage.run(&args(line, level));
        assert_eq!(ran.code, Some(1), "{wrong}: {}{}", ran.out, ran.err);
    }
    std::fs::remove_file(stage.path("environments/wrong.toml")).unwrap();
}

fn missing(stage: &mut Stage, level: &Level) {
    for (name, line) in [
        ("VAULT_ENV", "plan plain --sandbox=state"),
        ("FLY_API_TOKEN", "plan plain"),
    ] {
        stage.set(name, "");
        assert_eq!(stage.run(&args(line, level)).code, Some(1), "{name}");
        stage.variables.remove(name);
    }
    // A line that is none, in a file that is full of secrets.
    let text = format!("{}\nOTHER=1\n", stage.marks.value(PASTED));
    stage.write("sources/broken.env", &text);
    let ran = stage.run(&args(
        "plan plain --sandbox=state --env-file sources/broken.env",
        level,
    ));
    assert_eq!(ran.code, Some(1));
}

/// A plan that is refused; on the way, which write sets the secrets.
fn refusals_and_the_number_of_the_write(stage: &mut Stage, level: &Level) -> usize {
    stage.set(
        "TRIMTAB_SANDBOX_RECORD",
        stage.path("tmp/record").to_str().unwrap(),
    );
    let line = "apply plain --sandbox=state --yes --parallel 1";
    // Not searched: the record is elsewhere, and the next runs do the same.
    let output = stage.command(&args(line, level)).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let record = std::fs::read_to_string(stage.path("tmp/record")).unwrap();
    std::fs::remove_file(stage.path("tmp/record")).unwrap();
    stage.variables.remove("TRIMTAB_SANDBOX_RECORD");
    let exchanges = record
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut writes =
        exchanges.filter(|exchange| exchange["method"] != "GET" && exchange["method"] != "HEAD");
    let sets =
        |exchange: &serde_json::Value| exchange["path"].as_str().unwrap().ends_with("/secrets");
    let full = std::iter::from_fn(|| writes.next())
        .position(|write| sets(&write) && is_full(&write))
        .unwrap();
    let text = std::fs::read_to_string(stage.path("environments/plain.toml")).unwrap();
    stage.write(
        "environments/plain.toml",
        &text.replace("[apps.web]", "[apps.web]\nprotected = true"),
    );
    assert_eq!(stage.run(&args(line, level)).code, Some(0));
    assert_eq!(
        stage
            .run(&args("destroy plain --sandbox=state --yes", level))
            .code,
        Some(3)
    );
    stage.write("environments/plain.toml", &text);
    full + 1
}

/// Whether a request sets secrets of the manifest, and not only our mark.
fn is_full(write: &serde_json::Value) -> bool {
    write["body"].as_str().unwrap().contains("FROM_ENV")
}

fn faults(stage: &mut Stage, level: &Level, write: usize) {
    for fault in FAULTS {
        anew(stage);
        stage.set(
            "TRIMTAB_SANDBOX_FAULT",
            &fault.replace('N', &write.to_string()),
        );
        let ran = stage.run(&args(
            "apply plain --sandbox=state --yes --parallel 1",
            level,
        ));
        assert!(ran.code.is_some(), "{fault}: {}{}", ran.out, ran.err);
    }
    stage.variables.remove("TRIMTAB_SANDBOX_FAULT");
}

/// From now on, the release command prints its environment and fails.
async fn printed(stage: &Stage<'_>) {
    anew(stage);
    let running = sandbox::start(Options::new(stage.path(STATE)))
        .await
        .unwrap();
    let whole: Vec<String> = ["VAULT_ENV", "key.pem"]
        .iter()
        .map(|what| format!("{what}={}", stage.marks.value(what)))
        .collect();
    let rule = json!({
        "match": { "process_group": "fly_app_release_command" },
        "behave": { "exit_code": 1, "after_ms": 100, "logs": whole },
    });
    let url = format!("{}/_sandbox/rules", running.url());
    let answer = reqwest::Client::new()
        .post(url)
        .json(&rule)
        .send()
        .await
        .unwrap();
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap()
    );
    running.stop().await;
}

fn a_program_that_prints_its_secrets(stage: &mut Stage, level: &Level) {
    // The rule is in the state, and the log in the record of the answers.
    stage.state_is_searched = false;
    stage.set("TRIMTAB_SANDBOX_RECORD", "");
    let ran = stage.run(&args("apply plain --sandbox=state --yes", level));
    assert_eq!(ran.code, Some(4), "{}{}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    if !said.contains("VAULT_ENV=‹secret›") {
        stage
            .wrong
            .push(format!("the line is not told without the secret: {said}"));
    }
    stage.variables.remove("TRIMTAB_SANDBOX_RECORD");
    stage.state_is_searched = true;
    anew(stage);
}

fn signals(stage: &mut Stage, level: &Level, write: usize) {
    stage.set("TRIMTAB_SANDBOX_FAULT", &format!("hold-after:w{write}"));
    for name in ["INT", "TERM"] {
        anew(stage);
        let mut sent = 0;
        let line = "apply plain --sandbox=state --yes --parallel 1 --format json";
        let ran = stage.run_until(&args(line, level), |id, said| {
            let (begun, stops) = (
                said.contains("fly.secrets/web"),
                said.contains("\"stopping\""),
            );
            if (begun && sent == 0) || (stops && sent == 1) {
                sent += 1;
                signal(id, name);
            }
        });
        assert!(sent > 0, "{}{}", ran.out, ran.err);
    }
    stage.variables.remove("TRIMTAB_SANDBOX_FAULT");
}

/// What is a secret now was a variable in the open before, and still is one in the machine.
fn in_the_open_before(stage: &mut Stage, nth: usize, level: &Level) {
    anew(stage);
    let text = std::fs::read_to_string(stage.path("environments/plain.toml")).unwrap();
    let open = serde_json::to_string(stage.marks.value("VAULT_ENV")).unwrap();
    stage.write(
        "environments/plain.toml",
        &text.replace("[apps.web]", &format!("[apps.web]\nenv.OPEN = {open}")),
    );
    let output = stage
        .command(&["apply", "plain", "--sandbox=state", "--yes"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stage.write("environments/plain.toml", &text);
    drop(std::fs::remove_file(stage.path("record.jsonl")));
    stage.state_is_searched = false;
    stage.set("TRIMTAB_SANDBOX_RECORD", ""); // the machine's configuration is in it
    // As many as there are levels.
    let format = ["text", "markdown", "json", "tf-json"][nth];
    let line = format!("plan plain --sandbox=state --out tmp/plan --format {format}");
    assert_eq!(stage.run(&args(&line, level)).code, Some(0));
    let (drift, status) = (
        "drift plain --sandbox=state",
        "status plain --sandbox=state --format json",
    );
    for line in [drift, status, "graph plain --plan --sandbox=state"] {
        stage.run(&args(line, level));
    }
    stage.variables.remove("TRIMTAB_SANDBOX_RECORD");
    stage.state_is_searched = true;
    anew(stage);
}

fn echoes(stage: &mut Stage, level: &Level, runtime: &tokio::runtime::Runtime) {
    let identity = stage.marks.value("GITHUB_OIDC").to_owned();
    let faithful = runtime.block_on(serve(Some("nothing"), Style::Malformed, &identity));
    for (place, style, variables) in ECHOES {
        let echo = runtime.block_on(serve(place, style, &identity));
        for name in FLY
            .iter()
            .chain(&["TRIMTAB_REGISTRY_BASE_URL", "AWS_ENDPOINT_URL"])
        {
            stage.set(
                name,
                if variables.contains(name) {
                    &echo
                } else {
                    &faithful
                },
            );
        }
        if matches!(style, Style::Identity) {
            stage.set("AWS_ACCESS_KEY_ID", "");
            stage.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/deploy");
            stage.set("ACTIONS_ID_TOKEN_REQUEST_URL", &echo);
        }
        let environment = if variables.contains(&"AWS_ENDPOINT_URL") {
            "vault"
        } else {
            "plain"
        };
        let line = format!("apply {environment} --yes --parallel 1");
        let ran = stage.run(&args(&line, level));
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            ran.code != Some(0),
            "{style:?} for {variables:?} at {place:?}: {said}"
        );
        if place.is_some() && !said.contains("‹secret›") {
            stage.wrong.push(format!(
                "what was refused is not told without the secret: {said}"
            ));
        }
    }
}
