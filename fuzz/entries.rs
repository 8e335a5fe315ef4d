//! Entry points for untrusted text, and the properties that must hold of each: one function per
//! format. The fuzz targets call them with generated data, and `cargo test` with every file of the
//! corpus, so that a bug that was found once stays fixed.
//!
//! None of them may panic. Output for people has no control characters, and JSON output is valid
//! JSON.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use trimtab::{
    cli,
    clouds::{aws, fly::wire},
    iam::policy::PolicyDocument,
    kinds::{Desired, World},
    manifest::{
        self, Inputs, SecretsMode, SourceFiles,
        fly_toml::{canonicalize, parse},
    },
    model::Name,
    observe::{self, AppExistence, AppSnapshot, AwsSnapshot, BucketSnapshot, FlySnapshot},
    plan::{Limits, Plan, plan, refusals},
    render::{Headline, TextOptions, graph, json, markdown, text, tfjson},
    status::EnvironmentStatus,
};

/// A Markdown budget that most plans exceed.
const MARKDOWN_BUDGET: usize = 4000;
/// Plain text: with colors, the output would have escapes of our own.
const PLAIN: TextOptions = TextOptions {
    color: false,
    width: 100,
};

/// A manifest is either rejected with diagnostics, or makes a plan that can be rendered.
pub(crate) fn manifest(data: &[u8]) {
    let Ok(manifest) = std::str::from_utf8(data) else {
        return;
    };
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    std::fs::write(folder.path().join("x.toml"), manifest).expect("it can be written to");
    match manifest::load(folder.path(), "x", &inputs()) {
        Err(diagnostics) => {
            let rendered = diagnostics.render(false, 80);
            assert!(!rendered.is_empty(), "a refusal without words");
            assert_no_control_characters(&rendered);
        }
        Ok(loaded) => {
            let plan = plan_and_render(&loaded.desired, &World::default());
            assert!(
                !plan.is_some_and(|plan| plan.is_empty() && !loaded.desired.fly_app.is_empty())
            );
        }
    }
}

/// A fly.toml, a fly.json and a dotenv file, all of which have parsers of our own.
pub(crate) fn fly_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    drop(manifest::syntax::dotenv::parse(text));
    for name in ["fly.toml", "fly.json"] {
        let mut files = SourceFiles::default();
        let file = files.add(name.into(), text.to_owned());
        let (node, errors) = parse(&files, file);
        for diagnostic in &errors {
            let at = diagnostic
                .location
                .as_ref()
                .expect("a mistake in the syntax has a place");
            assert!(files.line_column(at).0 > 0);
        }
        let modern = canonicalize(node);
        for diagnostic in modern.errors.iter().chain(&modern.warnings) {
            if let Some(at) = &diagnostic.location {
                assert!(
                    at.span.start <= at.span.end && at.span.end <= text.len(),
                    "a place outside the file"
                );
                assert!(files.line_column(at).0 > 0);
            }
        }
    }
}

pub(crate) fn plan_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    drop(cli::plan_file::validate(text));
}

/// Responses of Fly and AWS about one environment, as one JSON object with each list under its
/// name.
pub(crate) fn api_responses(data: &[u8]) {
    let Ok(all) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    drop(parse_part::<wire::LeaseResponse>(&all, "lease").map(wire::LeaseResponse::into_lease));
    drop(parse_part::<Vec<wire::MachineVersion>>(&all, "versions"));
    let events = parse_part::<Vec<wire::MachineEvent>>(&all, "events");
    drop(events.map(|events| {
        events
            .iter()
            .map(|event| event.exit_event().cloned())
            .collect::<Vec<_>>()
    }));
    drop(parse_part::<wire::OrgMachinesResponse>(
        &all,
        "org_machines",
    ));
    let snapshot = AppSnapshot {
        fly_name: "shop-web-staging".to_owned(),
        existence: parse_part::<wire::AppResponse>(&all, "app")
            .map_or(AppExistence::NameTaken, AppExistence::Exists),
        machines: parse_part(&all, "machines").unwrap_or_default(),
        destroyed_machines: parse_part(&all, "destroyed_machines").unwrap_or_default(),
        volumes: parse_part(&all, "volumes").unwrap_or_default(),
        secrets: parse_part(&all, "secrets").unwrap_or_default(),
        ips: parse_part(&all, "ips").unwrap_or_default(),
        certificates: parse_part(&all, "certificates").unwrap_or_default(),
    };
    let mut fly = FlySnapshot::default();
    fly.apps.insert(parse_name("web"), snapshot);
    let desired = desired_of_every_kind();
    match observe::assemble_world(&fly, &aws_snapshot(&all), desired) {
        // The server's text is sanitized where it is shown.
        Err(error) => drop(error.to_string()),
        Ok(world) => drop(plan_and_render(desired, &world)),
    }
}

/// A policy document keeps its meaning when it is written and parsed again, and has no differences
/// to itself.
pub(crate) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let policy = match PolicyDocument::parse(text) {
        Ok(policy) => policy,
        Err(error) => return drop(error.to_string()),
    };
    let reparsed =
        PolicyDocument::parse(&policy.to_json_string()).expect("what is written is a policy");
    assert_eq!(policy, reparsed, "it means something else");
    assert_eq!(
        policy.to_json_string(),
        reparsed.to_json_string(),
        "the canonical form is not final"
    );
    assert_eq!(
        PolicyDocument::from_json(&policy.to_json()).as_ref(),
        Ok(&policy),
        "JSON and text differ"
    );
    assert!(
        PolicyDocument::diff_lines("policy", Some(&policy), Some(&reparsed)).is_empty(),
        "it differs from itself"
    );
    assert_eq!(policy.describe().len(), policy.statements().count());
    assert!(
        policy.statements().count() == 0
            || !PolicyDocument::diff_lines("policy", None, Some(&policy)).is_empty()
    );
}

/// Plans, and renders the plan in every format. `None` if the manifest's references are circular.
fn plan_and_render(desired: &Desired, world: &World) -> Option<Plan> {
    let plan = plan(desired, world).ok()?;
    let refusals = refusals(&plan, &Limits::default());
    for text in [
        text::plan(&plan, &refusals, &headline(), &PLAIN),
        text::drift(&plan, &headline(), &PLAIN),
        text::status(
            &EnvironmentStatus::from_world(desired, world),
            &headline(),
            &PLAIN,
        ),
        text::versions(&EnvironmentStatus::from_world(desired, world), &PLAIN),
        markdown::plan(&plan, &refusals, &headline(), MARKDOWN_BUDGET),
        graph::mermaid(&plan),
        graph::dot(&plan),
        graph::svg(&plan),
    ] {
        assert_no_control_characters(&text);
    }
    drop(json::plan(&plan, &refusals, &headline()));
    drop(tfjson::plan(&plan));
    drop(EnvironmentStatus::from_world(desired, world).to_json());
    Some(plan)
}

/// Asserts that a text has no control characters that a terminal obeys, and none that change the
/// direction of text.
pub(crate) fn assert_no_control_characters(text: &str) {
    let is_forbidden = |c: &char| {
        c.is_control() && *c != '\n'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(c) = text.chars().find(is_forbidden) {
        panic!("{} reaches the reader: {text:?}", c.escape_unicode());
    }
}

/// One of the responses, if it can be parsed.
fn parse_part<T: DeserializeOwned>(all: &Value, key: &str) -> Option<T> {
    serde_json::from_value(all.get(key)?.clone()).ok()
}

fn string_at(all: &Value, path: &str) -> String {
    all.pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn tags_at(all: &Value, path: &str) -> BTreeMap<String, String> {
    let tags = all
        .pointer(path)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Responses of AWS. The SDK parses them, so only the texts in them are untrusted.
fn aws_snapshot(all: &Value) -> AwsSnapshot {
    let bucket = aws::types::BucketDescription {
        region: string_at(all, "/bucket/region"),
        versioning: all
            .get("bucket")
            .map(|_| string_at(all, "/bucket/versioning")),
        policy: all
            .pointer("/bucket/policy")
            .map(|_| string_at(all, "/bucket/policy")),
        tags: tags_at(all, "/bucket/tags"),
        ..aws::types::BucketDescription::default()
    };
    let role = aws::types::RoleDescription {
        name: string_at(all, "/role/name"),
        arn: string_at(all, "/role/arn"),
        path: string_at(all, "/role/path"),
        trust_policy: string_at(all, "/role/trust"),
        description: string_at(all, "/role/description"),
        tags: tags_at(all, "/role/tags"),
        inline_policies: tags_at(all, "/role/inline"),
        attached_policies: tags_at(all, "/role/attached").into_values().collect(),
        ..aws::types::RoleDescription::default()
    };
    let mut snapshot = AwsSnapshot {
        fly_org_slug: Some("acme".to_owned()),
        ..AwsSnapshot::default()
    };
    if all.get("bucket").is_some() {
        let look = aws::types::BucketLookup::Found(Box::new(bucket));
        let holds = all
            .pointer("/bucket/holds")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let bucket_snapshot = BucketSnapshot {
            name: string_at(all, "/bucket/name"),
            lookup: look,
            first_key: holds,
        };
        snapshot.undeclared_buckets.push(bucket_snapshot.clone());
        snapshot
            .buckets
            .insert(parse_name("backups"), bucket_snapshot);
    }
    if all.get("role").is_some() {
        snapshot.undeclared_roles.push(role.clone());
        snapshot.roles.insert(parse_name("backup"), role);
    }
    snapshot
}

fn parse_name(text: &str) -> Name {
    Name::parse(text).expect("it is a name")
}

fn inputs() -> Inputs {
    Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Unchecked,
        multiple_environments: false,
    }
}

pub(crate) fn headline() -> Headline {
    Headline {
        command: "plan",
        environment: "staging".to_owned(),
        project: "shop".to_owned(),
        org: "acme".to_owned(),
        target: String::new(),
        target_args: "staging".to_owned(),
        requests: 6,
        elapsed: Some(Duration::from_millis(900)),
    }
}

fn desired_of_every_kind() -> &'static Desired {
    static DESIRED: OnceLock<Desired> = OnceLock::new();
    DESIRED.get_or_init(|| {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        std::fs::write(folder.path().join("staging.toml"), MANIFEST).expect("it can be written to");
        let loaded = manifest::load(folder.path(), "staging", &inputs());
        loaded
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
            .desired
    })
}

const MANIFEST: &str = r#"
project = "shop"
[fly]
org = "acme"
[apps.web]
primary_region = "iad"
image = "registry.fly.io/shop-web:1"
kill_timeout = "10s"
certificates = ["shop.example"]
[apps.web.env]
LOG = "info"
[apps.web.processes]
app = "serve"
worker = "work"
[apps.web.secrets]
KEY = { env = "KEY" }
[apps.web.http_service]
internal_port = 8080
processes = ["app"]
[apps.web.machines.app]
count = { iad = 2, fra = 1 }
[apps.web.mounts]
source = "data"
destination = "/data"
processes = ["worker"]
[apps.web.deploy]
strategy = "rolling"
release_command = "migrate"
[apps.web.cron.nightly]
schedule = "daily"
command = ["clean"]
[aws]
account = "123456789012"
region = "eu-central-1"
[buckets.backups]
[identities.backup]
app = "web"
buckets.backups = { prefix = "db/" }
"#;
