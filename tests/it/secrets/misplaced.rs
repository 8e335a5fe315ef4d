//! A value that is known as a secret and stands where none belongs: in a tag, a policy, a description, a command, the tag of
//! an image, a header, and an option of the command line. No line of any output shows it.

use super::{
    canaries::{Canaries, MISPLACED},
    leak_test::{LeakTest, STATE_DIR},
};

/// Adds the value everywhere. `{}` is the value; the manifest also takes it as a variable.
const MANIFEST: &str = r#"
project = "vault"
extends = "vault.toml"
[vars.edge]
description = "what the CDN shows to the bucket"
[apps.web]
image = "registry.fly.io/vault:{}"
[apps.web.env]
EDGE_KEY = "${var.edge}"
EDGE_URL = "https://cdn.example/?key={}&more=1"
[apps.web.secrets]
EDGE = { env = "VAULT_MISPLACED" }
[apps.web.deploy]
release_command = "migrate --key {}"
[apps.web.processes]
app = "serve --key {}"
[apps.web.http_service]
internal_port = 8080
[[apps.web.http_service.checks]]
path = "/health?key={}"
headers = { Authorization = "Bearer {}" }
[buckets.backups]
tags = { note = "${var.edge}" }
[[buckets.backups.statements]]
Sid = "OnlyTheCdn"
Effect = "Deny"
Principal = { AWS = "123456789012" }
Action = "s3:GetObject"
Resource = "${buckets.backups.arn}/public/*"
Condition.StringNotEquals."aws:Referer" = "${var.edge}"
[roles.ops]
app = "web"
description = "edge ${var.edge}"
"#;

/// Runs a command with the value in an option, and returns what it printed.
fn run(test: &LeakTest<'_>, line: &str, expected: i32) -> String {
    let edge = format!("edge={}", test.canaries.value(MISPLACED));
    let state = format!("--sandbox={STATE_DIR}");
    let mut args: Vec<&str> = line.split_whitespace().collect();
    args.extend(["--var", &edge, &state]);
    let output = test.command(&args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(expected), "{line}: {text}");
    let leak = test.canaries.find_in(&text);
    assert!(leak.is_none(), "{line}: {leak:?} in {text}");
    text
}

#[test]
fn misplaced_secret_is_hidden_in_every_line() {
    let canaries = Canaries::new();
    let test = LeakTest::new(&canaries);
    let manifest = MANIFEST.replace("{}", canaries.value(MISPLACED));
    test.write_file("environments/edge.toml", &manifest);
    for format in ["text", "markdown", "json", "tf-json"] {
        let shown = run(&test, &format!("plan edge --format {format}"), 0);
        assert!(
            shown.contains("‹secret›") || shown.contains("(sensitive)"),
            "{shown}"
        );
    }
    // The command to repeat is in the comment, without the value.
    let comment = run(&test, "plan edge --format markdown", 0);
    assert!(
        comment.contains("trimtab apply edge --var edge=…"),
        "{comment}"
    );
    for line in [
        "-vv plan edge",
        "-vv --log-format json plan edge",
        "graph edge --plan",
        "graph edge --plan --format mermaid",
        "graph edge --plan --format dot",
        "permissions edge",
        "validate edge",
        "apply edge --yes",
        "status edge",
        "status edge --format json",
    ] {
        run(&test, line, 0);
    }
    let changed = manifest.replace("description = \"edge ", "description = \"changed ");
    let changed = changed.replace("note = \"", "note = \"changed ");
    test.write_file("environments/edge.toml", &changed);
    for format in ["text", "markdown", "json", "tf-json"] {
        run(&test, &format!("drift edge --format {format}"), 2);
    }
    let repair = run(&test, "drift edge", 2);
    assert!(
        repair.contains("To repair: trimtab apply edge --var edge=…"),
        "{repair}"
    );
    run(&test, "apply edge --yes --format json", 0);
}

/// A saved plan has to repeat its inputs, so it cannot be made when one of them is a secret.
#[test]
fn plan_file_with_a_secret_input_is_refused() {
    let canaries = Canaries::new();
    let test = LeakTest::new(&canaries);
    let manifest = MANIFEST.replace("{}", "v1");
    test.write_file("environments/edge.toml", &manifest);
    let output = run(&test, "plan edge --out home/plan", 1);
    assert!(
        output.contains("the value of --var edge is a secret"),
        "{output}"
    );
    assert!(!test.path("home/plan").exists());
}
