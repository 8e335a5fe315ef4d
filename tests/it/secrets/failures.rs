//! Everything that can go wrong, at one log level: misplaced and missing secrets, blocked plans,
//! faults at the request that sets the secrets, servers that repeat requests, programs that print
//! their environment, and signals.

use serde_json::json;
use trimtab_sandbox::{self as sandbox, SandboxOptions};

use super::{
    LogLevel,
    canaries::Canaries,
    echo_server::{EchoFormat, start},
    leak_test::{LeakTest, STATE_DIR},
    send_signal,
};

/// Manifests with a secret value (`{}`) where it does not belong.
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
/// A secret as somebody would paste it. It is not a valid TOML key, and needs no escapes in a
/// string.
const PASTED_SECRET: &str = "own.env";

/// Faults at the request that sets the secrets; `N` is its ordinal among the writes.
const FAULTS: [&str; 7] = [
    "status:wN:500",
    "status:wN:408",
    "status:wN:400",
    "drop-after:wN",
    "truncate:wN",
    "429:wN:2",
    "expired:wN",
];

/// The path suffix that is repeated (`None` for all), the form, and the variables that point to the
/// server.
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

pub(super) fn run_failures<'m>(
    canaries: &'m Canaries,
    level_index: usize,
    level: &LogLevel,
) -> LeakTest<'m> {
    let mut test = LeakTest::new(canaries);
    level.configure(&mut test);
    run_misplaced_secrets(&mut test, level_index, level);
    run_missing_secrets(&mut test, level);
    let write = run_refusals(&mut test, level);
    run_faults(&mut test, level, write);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(make_release_command_print_secrets(&test));
    run_program_that_prints_secrets(&mut test, level);
    run_with_signals(&mut test, level, write);
    run_with_former_plain_variable(&mut test, level_index, level);
    run_echo_cases(&mut test, level, &runtime);
    test
}

fn args_with_level<'a>(line: &'a str, level: &'a LogLevel) -> Vec<&'a str> {
    line.split_whitespace()
        .chain(level.args.iter().copied())
        .collect()
}

fn reset_state(test: &LeakTest) {
    drop(std::fs::remove_dir_all(test.path(STATE_DIR)));
}

fn run_misplaced_secrets(test: &mut LeakTest, level_index: usize, level: &LogLevel) {
    for (at, mistake) in MISPLACED_SECRETS.iter().enumerate() {
        let wrong = mistake.replace("{}", test.canaries.value(PASTED_SECRET));
        test.write_file(
            "environments/wrong.toml",
            &format!("project = \"vault\"\nextends = \"plain.toml\"\n{wrong}\n"),
        );
        // Both commands read manifests, but only one of them reads secrets.
        let line = if (at + level_index).is_multiple_of(2) {
            "validate wrong"
        } else {
            "plan wrong --sandbox=state"
        };
        let run = test.run(&args_with_level(line, level));
        assert_eq!(run.code, Some(1), "{wrong}: {}{}", run.stdout, run.stderr);
    }
    std::fs::remove_file(test.path("environments/wrong.toml")).unwrap();
}

fn run_missing_secrets(test: &mut LeakTest, level: &LogLevel) {
    for (name, line) in [
        ("VAULT_ENV", "plan plain --sandbox=state"),
        ("FLY_API_TOKEN", "plan plain"),
    ] {
        test.set_variable(name, "");
        assert_eq!(
            test.run(&args_with_level(line, level)).code,
            Some(1),
            "{name}"
        );
        test.variables.remove(name);
    }
    // An invalid line in a file full of secrets.
    let text = format!("{}\nOTHER=1\n", test.canaries.value(PASTED_SECRET));
    test.write_file("sources/broken.env", &text);
    let run = test.run(&args_with_level(
        "plan plain --sandbox=state --env-file sources/broken.env",
        level,
    ));
    assert_eq!(run.code, Some(1));
}

/// Runs a plan that is blocked. Returns the ordinal of the write that sets the secrets.
fn run_refusals(test: &mut LeakTest, level: &LogLevel) -> usize {
    test.set_variable(
        "TRIMTAB_SANDBOX_RECORD",
        test.path("tmp/record").to_str().unwrap(),
    );
    let line = "apply plain --sandbox=state --yes --parallel 1";
    // Not searched: the record is in another place, and later runs do the same.
    let output = test
        .command(&args_with_level(line, level))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let record = std::fs::read_to_string(test.path("tmp/record")).unwrap();
    std::fs::remove_file(test.path("tmp/record")).unwrap();
    test.variables.remove("TRIMTAB_SANDBOX_RECORD");
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
    let text = std::fs::read_to_string(test.path("environments/plain.toml")).unwrap();
    test.write_file(
        "environments/plain.toml",
        &text.replace("[apps.web]", "[apps.web]\nprotected = true"),
    );
    assert_eq!(test.run(&args_with_level(line, level)).code, Some(0));
    assert_eq!(
        test.run(&args_with_level(
            "destroy plain --sandbox=state --yes",
            level
        ))
        .code,
        Some(3)
    );
    test.write_file("environments/plain.toml", &text);
    full + 1
}

/// Whether a request sets secrets of the manifest, not only our ownership label.
fn sets_manifest_secrets(write: &serde_json::Value) -> bool {
    write["body"].as_str().unwrap().contains("FROM_ENV")
}

fn run_faults(test: &mut LeakTest, level: &LogLevel, write: usize) {
    for fault in FAULTS {
        reset_state(test);
        test.set_variable(
            "TRIMTAB_SANDBOX_FAULT",
            &fault.replace('N', &write.to_string()),
        );
        let run = test.run(&args_with_level(
            "apply plain --sandbox=state --yes --parallel 1",
            level,
        ));
        assert!(run.code.is_some(), "{fault}: {}{}", run.stdout, run.stderr);
    }
    test.variables.remove("TRIMTAB_SANDBOX_FAULT");
}

/// Makes the release command print its environment and fail.
async fn make_release_command_print_secrets(test: &LeakTest<'_>) {
    reset_state(test);
    let running = sandbox::start(SandboxOptions::new(test.path(STATE_DIR)))
        .await
        .unwrap();
    let whole: Vec<String> = ["VAULT_ENV", "key.pem"]
        .iter()
        .map(|what| format!("{what}={}", test.canaries.value(what)))
        .collect();
    let rule = json!({
        "match": { "process_group": "fly_app_release_command" },
        "behave": { "exit_code": 1, "after_ms": 100, "logs": whole },
    });
    let url = format!("{}/_sandbox/rules", running.url());
    let response = reqwest::Client::new()
        .post(url)
        .json(&rule)
        .send()
        .await
        .unwrap();
    assert!(
        response.status().is_success(),
        "{}",
        response.text().await.unwrap()
    );
    running.stop().await;
}

fn run_program_that_prints_secrets(test: &mut LeakTest, level: &LogLevel) {
    // The rule is in the sandbox's state, and the log in the recorded responses.
    test.state_is_searched = false;
    test.set_variable("TRIMTAB_SANDBOX_RECORD", "");
    let run = test.run(&args_with_level("apply plain --sandbox=state --yes", level));
    assert_eq!(run.code, Some(4), "{}{}", run.stdout, run.stderr);
    let output = format!("{}{}", run.stdout, run.stderr);
    if !output.contains("VAULT_ENV=‹secret›") {
        test.leaks
            .push(format!("the line is not told without the secret: {output}"));
    }
    test.variables.remove("TRIMTAB_SANDBOX_RECORD");
    test.state_is_searched = true;
    reset_state(test);
}

fn run_with_signals(test: &mut LeakTest, level: &LogLevel, write: usize) {
    test.set_variable("TRIMTAB_SANDBOX_FAULT", &format!("hold-after:w{write}"));
    for name in ["INT", "TERM"] {
        reset_state(test);
        let mut sent = 0;
        let line = "apply plain --sandbox=state --yes --parallel 1 --format json";
        let run = test.run_until(&args_with_level(line, level), |id, output| {
            let (begun, stops) = (
                output.contains("fly.secrets/web"),
                output.contains("\"stopping\""),
            );
            if (begun && sent == 0) || (stops && sent == 1) {
                sent += 1;
                send_signal(id, name);
            }
        });
        assert!(sent > 0, "{}{}", run.stdout, run.stderr);
    }
    test.variables.remove("TRIMTAB_SANDBOX_FAULT");
}

/// A value that is now a secret was a plain variable before, and still is one in the live machine.
fn run_with_former_plain_variable(test: &mut LeakTest, level_index: usize, level: &LogLevel) {
    reset_state(test);
    let text = std::fs::read_to_string(test.path("environments/plain.toml")).unwrap();
    let open = serde_json::to_string(test.canaries.value("VAULT_ENV")).unwrap();
    test.write_file(
        "environments/plain.toml",
        &text.replace("[apps.web]", &format!("[apps.web]\nenv.OPEN = {open}")),
    );
    let output = test
        .command(&["apply", "plain", "--sandbox=state", "--yes"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    test.write_file("environments/plain.toml", &text);
    drop(std::fs::remove_file(test.path("record.jsonl")));
    test.state_is_searched = false;
    test.set_variable("TRIMTAB_SANDBOX_RECORD", ""); // the machine's configuration is in it
    // One format for each log level.
    let format = ["text", "markdown", "json", "tf-json"][level_index];
    let line = format!("plan plain --sandbox=state --out tmp/plan --format {format}");
    assert_eq!(test.run(&args_with_level(&line, level)).code, Some(0));
    let (drift, status) = (
        "drift plain --sandbox=state",
        "status plain --sandbox=state --format json",
    );
    for line in [drift, status, "graph plain --plan --sandbox=state"] {
        test.run(&args_with_level(line, level));
    }
    test.variables.remove("TRIMTAB_SANDBOX_RECORD");
    test.state_is_searched = true;
    reset_state(test);
}

fn run_echo_cases(test: &mut LeakTest, level: &LogLevel, runtime: &tokio::runtime::Runtime) {
    let identity = test.canaries.value("GITHUB_OIDC").to_owned();
    let faithful = runtime.block_on(start(Some("nothing"), EchoFormat::Malformed, &identity));
    for (place, style, variables) in ECHO_CASES {
        let echo = runtime.block_on(start(place, style, &identity));
        for name in FLY_URL_VARIABLES
            .iter()
            .chain(&["TRIMTAB_REGISTRY_BASE_URL", "AWS_ENDPOINT_URL"])
        {
            test.set_variable(
                name,
                if variables.contains(name) {
                    &echo
                } else {
                    &faithful
                },
            );
        }
        if matches!(style, EchoFormat::Identity) {
            test.set_variable("AWS_ACCESS_KEY_ID", "");
            test.set_variable("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/deploy");
            test.set_variable("ACTIONS_ID_TOKEN_REQUEST_URL", &echo);
        }
        let environment = if variables.contains(&"AWS_ENDPOINT_URL") {
            "vault"
        } else {
            "plain"
        };
        let line = format!("apply {environment} --yes --parallel 1");
        let run = test.run(&args_with_level(&line, level));
        let output = format!("{}{}", run.stdout, run.stderr);
        assert!(
            run.code != Some(0),
            "{style:?} for {variables:?} at {place:?}: {output}"
        );
        if place.is_some() && !output.contains("‹secret›") {
            test.leaks.push(format!(
                "what was refused is not told without the secret: {output}"
            ));
        }
    }
}
