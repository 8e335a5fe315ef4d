//! Everything that goes wrong, at one log level: manifests with a secret in the wrong place, secrets that are missing,
//! refusals, faults at the very request that carries the secrets, servers that repeat what they were sent, programs that
//! print their environment, and signals.

use serde_json::json;
use trimtab_sandbox::{self as sandbox, SandboxOptions};

use super::{
    LogLevel,
    canaries::Canaries,
    echo_server::{EchoFormat, start},
    leak_test::{LeakTest, STATE_DIR},
    send_signal,
};

/// Ways to write a secret's value where it does not belong, `{}`.
const MISPLACED_SECRETS: [&str; 16] = [
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
const PASTED_SECRET: &str = "own.env";

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
const ECHO_CASES: [(Option<&str>, EchoFormat, &[&str]); 11] = [
    (None, EchoFormat::Json(401), &FLY_URL_VARIABLES),
    (None, EchoFormat::Text(403), &FLY_URL_VARIABLES),
    (Some("/secrets"), EchoFormat::Json(422), &FLY_URL_VARIABLES),
    (Some("/secrets"), EchoFormat::Text(400), &FLY_URL_VARIABLES),
    (Some("/secrets"), EchoFormat::Malformed, &FLY_URL_VARIABLES),
    (None, EchoFormat::Malformed, &FLY_URL_VARIABLES),
    (None, EchoFormat::Text(400), &["TRIMTAB_REGISTRY_BASE_URL"]),
    (
        None,
        EchoFormat::Xml("SignatureDoesNotMatch"),
        &["AWS_ENDPOINT_URL"],
    ),
    (None, EchoFormat::Xml("AccessDenied"), &["AWS_ENDPOINT_URL"]),
    (None, EchoFormat::Malformed, &["AWS_ENDPOINT_URL"]),
    (
        None,
        EchoFormat::Identity,
        &["AWS_ENDPOINT_URL", "ACTIONS_ID_TOKEN_REQUEST_URL"],
    ),
];
const FLY_URL_VARIABLES: [&str; 3] = [
    "FLY_FLAPS_BASE_URL",
    "FLY_API_BASE_URL",
    "FLY_UIEX_BASE_URL",
];

pub(super) fn run_failures<'m>(marks: &'m Canaries, nth: usize, level: &LogLevel) -> LeakTest<'m> {
    let mut stage = LeakTest::new(marks);
    level.configure(&mut stage);
    run_misplaced_secrets(&mut stage, nth, level);
    run_missing_secrets(&mut stage, level);
    let write = run_refusals(&mut stage, level);
    run_faults(&mut stage, level, write);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(make_release_command_print_secrets(&stage));
    run_program_that_prints_secrets(&mut stage, level);
    run_with_signals(&mut stage, level, write);
    run_with_former_plain_variable(&mut stage, nth, level);
    run_echo_cases(&mut stage, level, &runtime);
    stage
}

fn args_with_level<'a>(line: &'a str, level: &'a LogLevel) -> Vec<&'a str> {
    line.split_whitespace()
        .chain(level.args.iter().copied())
        .collect()
}

fn reset_state(stage: &LeakTest) {
    drop(std::fs::remove_dir_all(stage.path(STATE_DIR)));
}

fn run_misplaced_secrets(stage: &mut LeakTest, nth: usize, level: &LogLevel) {
    for (at, mistake) in MISPLACED_SECRETS.iter().enumerate() {
        let wrong = mistake.replace("{}", stage.canaries.value(PASTED_SECRET));
        stage.write_file(
            "environments/wrong.toml",
            &format!("project = \"vault\"\nextends = \"plain.toml\"\n{wrong}\n"),
        );
        // Both read manifests, and one of them reads secrets.
        let line = if (at + nth).is_multiple_of(2) {
            "validate wrong"
        } else {
            "plan wrong --sandbox=state"
        };
        let ran = stage.run(&args_with_level(line, level));
        assert_eq!(ran.code, Some(1), "{wrong}: {}{}", ran.stdout, ran.stderr);
    }
    std::fs::remove_file(stage.path("environments/wrong.toml")).unwrap();
}

fn run_missing_secrets(stage: &mut LeakTest, level: &LogLevel) {
    for (name, line) in [
        ("VAULT_ENV", "plan plain --sandbox=state"),
        ("FLY_API_TOKEN", "plan plain"),
    ] {
        stage.set_variable(name, "");
        assert_eq!(
            stage.run(&args_with_level(line, level)).code,
            Some(1),
            "{name}"
        );
        stage.variables.remove(name);
    }
    // A line that is none, in a file that is full of secrets.
    let text = format!("{}\nOTHER=1\n", stage.canaries.value(PASTED_SECRET));
    stage.write_file("sources/broken.env", &text);
    let ran = stage.run(&args_with_level(
        "plan plain --sandbox=state --env-file sources/broken.env",
        level,
    ));
    assert_eq!(ran.code, Some(1));
}

/// A plan that is refused; on the way, which write sets the secrets.
fn run_refusals(stage: &mut LeakTest, level: &LogLevel) -> usize {
    stage.set_variable(
        "TRIMTAB_SANDBOX_RECORD",
        stage.path("tmp/record").to_str().unwrap(),
    );
    let line = "apply plain --sandbox=state --yes --parallel 1";
    // Not searched: the record is elsewhere, and the next runs do the same.
    let output = stage
        .command(&args_with_level(line, level))
        .output()
        .unwrap();
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
        .position(|write| sets(&write) && sets_manifest_secrets(&write))
        .unwrap();
    let text = std::fs::read_to_string(stage.path("environments/plain.toml")).unwrap();
    stage.write_file(
        "environments/plain.toml",
        &text.replace("[apps.web]", "[apps.web]\nprotected = true"),
    );
    assert_eq!(stage.run(&args_with_level(line, level)).code, Some(0));
    assert_eq!(
        stage
            .run(&args_with_level(
                "destroy plain --sandbox=state --yes",
                level
            ))
            .code,
        Some(3)
    );
    stage.write_file("environments/plain.toml", &text);
    full + 1
}

/// Whether a request sets secrets of the manifest, and not only our mark.
fn sets_manifest_secrets(write: &serde_json::Value) -> bool {
    write["body"].as_str().unwrap().contains("FROM_ENV")
}

fn run_faults(stage: &mut LeakTest, level: &LogLevel, write: usize) {
    for fault in FAULTS {
        reset_state(stage);
        stage.set_variable(
            "TRIMTAB_SANDBOX_FAULT",
            &fault.replace('N', &write.to_string()),
        );
        let ran = stage.run(&args_with_level(
            "apply plain --sandbox=state --yes --parallel 1",
            level,
        ));
        assert!(ran.code.is_some(), "{fault}: {}{}", ran.stdout, ran.stderr);
    }
    stage.variables.remove("TRIMTAB_SANDBOX_FAULT");
}

/// From now on, the release command prints its environment and fails.
async fn make_release_command_print_secrets(stage: &LeakTest<'_>) {
    reset_state(stage);
    let running = sandbox::start(SandboxOptions::new(stage.path(STATE_DIR)))
        .await
        .unwrap();
    let whole: Vec<String> = ["VAULT_ENV", "key.pem"]
        .iter()
        .map(|what| format!("{what}={}", stage.canaries.value(what)))
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

fn run_program_that_prints_secrets(stage: &mut LeakTest, level: &LogLevel) {
    // The rule is in the state, and the log in the record of the answers.
    stage.state_is_searched = false;
    stage.set_variable("TRIMTAB_SANDBOX_RECORD", "");
    let ran = stage.run(&args_with_level("apply plain --sandbox=state --yes", level));
    assert_eq!(ran.code, Some(4), "{}{}", ran.stdout, ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    if !said.contains("VAULT_ENV=‹secret›") {
        stage
            .leaks
            .push(format!("the line is not told without the secret: {said}"));
    }
    stage.variables.remove("TRIMTAB_SANDBOX_RECORD");
    stage.state_is_searched = true;
    reset_state(stage);
}

fn run_with_signals(stage: &mut LeakTest, level: &LogLevel, write: usize) {
    stage.set_variable("TRIMTAB_SANDBOX_FAULT", &format!("hold-after:w{write}"));
    for name in ["INT", "TERM"] {
        reset_state(stage);
        let mut sent = 0;
        let line = "apply plain --sandbox=state --yes --parallel 1 --format json";
        let ran = stage.run_until(&args_with_level(line, level), |id, said| {
            let (begun, stops) = (
                said.contains("fly.secrets/web"),
                said.contains("\"stopping\""),
            );
            if (begun && sent == 0) || (stops && sent == 1) {
                sent += 1;
                send_signal(id, name);
            }
        });
        assert!(sent > 0, "{}{}", ran.stdout, ran.stderr);
    }
    stage.variables.remove("TRIMTAB_SANDBOX_FAULT");
}

/// What is a secret now was a variable in the open before, and still is one in the machine.
fn run_with_former_plain_variable(stage: &mut LeakTest, nth: usize, level: &LogLevel) {
    reset_state(stage);
    let text = std::fs::read_to_string(stage.path("environments/plain.toml")).unwrap();
    let open = serde_json::to_string(stage.canaries.value("VAULT_ENV")).unwrap();
    stage.write_file(
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
    stage.write_file("environments/plain.toml", &text);
    drop(std::fs::remove_file(stage.path("record.jsonl")));
    stage.state_is_searched = false;
    stage.set_variable("TRIMTAB_SANDBOX_RECORD", ""); // the machine's configuration is in it
    // As many as there are levels.
    let format = ["text", "markdown", "json", "tf-json"][nth];
    let line = format!("plan plain --sandbox=state --out tmp/plan --format {format}");
    assert_eq!(stage.run(&args_with_level(&line, level)).code, Some(0));
    let (drift, status) = (
        "drift plain --sandbox=state",
        "status plain --sandbox=state --format json",
    );
    for line in [drift, status, "graph plain --plan --sandbox=state"] {
        stage.run(&args_with_level(line, level));
    }
    stage.variables.remove("TRIMTAB_SANDBOX_RECORD");
    stage.state_is_searched = true;
    reset_state(stage);
}

fn run_echo_cases(stage: &mut LeakTest, level: &LogLevel, runtime: &tokio::runtime::Runtime) {
    let identity = stage.canaries.value("GITHUB_OIDC").to_owned();
    let faithful = runtime.block_on(start(Some("nothing"), EchoFormat::Malformed, &identity));
    for (place, style, variables) in ECHO_CASES {
        let echo = runtime.block_on(start(place, style, &identity));
        for name in FLY_URL_VARIABLES
            .iter()
            .chain(&["TRIMTAB_REGISTRY_BASE_URL", "AWS_ENDPOINT_URL"])
        {
            stage.set_variable(
                name,
                if variables.contains(name) {
                    &echo
                } else {
                    &faithful
                },
            );
        }
        if matches!(style, EchoFormat::Identity) {
            stage.set_variable("AWS_ACCESS_KEY_ID", "");
            stage.set_variable("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/deploy");
            stage.set_variable("ACTIONS_ID_TOKEN_REQUEST_URL", &echo);
        }
        let environment = if variables.contains(&"AWS_ENDPOINT_URL") {
            "vault"
        } else {
            "plain"
        };
        let line = format!("apply {environment} --yes --parallel 1");
        let ran = stage.run(&args_with_level(&line, level));
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.code != Some(0),
            "{style:?} for {variables:?} at {place:?}: {said}"
        );
        if place.is_some() && !said.contains("‹secret›") {
            stage.leaks.push(format!(
                "what was refused is not told without the secret: {said}"
            ));
        }
    }
}
